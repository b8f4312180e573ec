//! A host: stream threads on a log, the deployments they follow, and what others may know of both.
//!
//! The flow: [`start`] connects, prepares topics, reads the deployments and starts a [`thread`] for each stream thread;
//! [`follow`] then hands them what is deployed. REST reads [`status`] and [`metrics`], and answers before any of it is there.

mod backoff;
mod busy;
mod clock;
pub mod config;
pub mod connect;
mod deployments;
mod fit;
pub mod follow;
pub mod histogram;
pub mod initial;
pub mod internal;
pub mod logging;
mod meter;
pub mod metrics;
pub mod observer;
mod pause;
pub mod plugins;
pub mod query;
mod report_limit;
mod restores;
mod space;
mod start;
pub mod status;
pub mod stop;
mod store;
pub mod stores;
pub mod thread;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use weir_core::ports::{Client, Connector};
use weir_core::record::TopicName;
use weir_core::topology::Topology;

use crate::problem::Problem;
use crate::state_dir::StateDir;
pub use config::Config;
pub use deployments::Deployments;
pub use plugins::Plugins;
pub use start::run;
pub use stop::Stop;
pub use thread::Shared as ThreadShared;

/// What of the state directory holds stores.
pub const STORES_DIR: &str = "stores";

/// What all parts of a host share.
pub struct Host {
    /// As the command line has it.
    pub config: Config,
    /// What runs.
    pub topology: Arc<Topology>,
    /// Ours alone.
    pub state_dir: StateDir,
    /// The plugins that this host has compiled.
    pub plugins: Plugins,
    /// What is deployed.
    pub deployments: Deployments,
    /// Nodes that are being deployed to.
    pub busy: busy::Busy,
    /// What is left of the disk.
    pub space: space::Space,
    /// The stores of its tasks.
    pub stores: stores::OpenStores,
    /// What each stream thread says of itself.
    pub threads: Vec<Arc<ThreadShared>>,
    /// Set once the host is to stop.
    pub stop: Stop,
    connector: OnceLock<Arc<dyn Connector>>,
    partitions: OnceLock<BTreeMap<TopicName, i32>>,
    /// Why the host is not ready; none: it has started.
    waiting_for: Mutex<Option<String>>,
}

impl Host {
    /// A host that has not started.
    pub fn new(config: Config, topology: Arc<Topology>, state_dir: StateDir) -> Result<Self, Problem> {
        let plugins = Plugins::new(&config, &topology, &state_dir)?;
        let stores = stores::OpenStores::new(&topology, &state_dir.join(STORES_DIR));
        let space = space::Space::default();
        space.look(&state_dir.join(""));
        let threads = (0..config.threads).map(|index| Arc::new(ThreadShared::new(index))).collect();
        Ok(Self {
            config,
            topology,
            state_dir,
            plugins,
            deployments: Deployments::default(),
            busy: busy::Busy::default(),
            space,
            stores,
            threads,
            stop: Stop::default(),
            connector: OnceLock::new(),
            partitions: OnceLock::new(),
            waiting_for: Mutex::new(Some("the log to be opened".to_owned())),
        })
    }

    /// The client of its log.
    ///
    /// # Errors
    /// It is not open yet.
    pub fn client(&self) -> Result<Arc<dyn Client>, Problem> {
        self.connector().map(|connector| connector.client())
    }

    fn connector(&self) -> Result<&Arc<dyn Connector>, Problem> {
        self.connector.get().ok_or_else(|| self.not_ready())
    }

    /// Partitions of every topic of the topology and of the deployments.
    ///
    /// # Errors
    /// They are not known yet.
    pub fn partitions(&self) -> Result<&BTreeMap<TopicName, i32>, Problem> {
        self.partitions.get().ok_or_else(|| self.not_ready())
    }

    fn not_ready(&self) -> Problem {
        let waiting_for = self.waiting_for().unwrap_or_else(|| "its threads".to_owned());
        Problem::unreachable(format!("the host is starting and waits for {waiting_for}; try again"))
    }

    /// What the start waits for; none: it is over.
    #[must_use]
    pub fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait_for(&self, what: Option<String>) {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The topic of the application's deployments.
    #[must_use]
    pub fn deployments_topic(&self) -> TopicName {
        TopicName::from(format!("{}-deployments", self.topology.application).as_str())
    }

    /// The topic of the application's components.
    #[must_use]
    pub fn plugins_topic(&self) -> TopicName {
        TopicName::from(format!("{}-plugins", self.topology.application).as_str())
    }
}
