//! A topology under test, in one thread and without a broker: Kafka Streams' `TopologyTestDriver` on Weir's engine.
//!
//! The engine's own loop ([`weir_core::thread::Driver`]) runs on topics of one partition each, stores in memory and a clock
//! that the test moves. Nothing of the engine is replaced, so what a test sees is what production does: transactions,
//! changelogs, restores, repartition topics that feed back.
//!
//! ```
//! use weir_testing::{Options, TestRecord, TopologyTestDriver};
//!
//! let yaml = "
//! application: shop
//! topics: { orders: { key: string, value: json }, created: { key: string, value: json } }
//! nodes:
//!   orders: { source: orders }
//!   new: { from: orders, filter: value.state == 'CREATED' }
//!   out: { from: new, sink: created }
//! ";
//! let driver = TopologyTestDriver::from_yaml(yaml, Options::default())?;
//! let (orders, created) = (driver.create_input_topic("orders")?, driver.create_output_topic("created")?);
//! orders.pipe_input(TestRecord::new("a", r#"{"state":"CREATED"}"#, 5))?;
//! orders.pipe_input(TestRecord::new("b", r#"{"state":"PAID"}"#, 6))?;
//! driver.restart()?; // changes nothing, wherever it comes
//! assert_eq!(created.read_record(), Some(TestRecord::new("a", r#"{"state":"CREATED"}"#, 5)));
//! assert!(created.is_empty());
//! # Ok::<(), weir_testing::DriverError>(())
//! ```

mod engine;
mod log;
mod stores;
mod transport;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;
use weir_core::ports::{CreateFault, Digest, Processor, ProcessorSupplier, StoreError, TransportError};
use weir_core::record::TopicName;
use weir_core::task::TaskId;
use weir_core::thread::{Report, ReportKind};
use weir_core::topology::{Diagnostics, NodeName, StoreKind, Topology};

use engine::Engine;
pub use stores::{TestKeyValueStore, TestSessionStore, TestWindowStore};

/// A row as a test pipes it in and reads it.
pub use crate::broker::StoredRow as TestRecord;

impl TestRecord {
    /// A row without headers.
    pub fn new(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, timestamp: i64) -> Self {
        let (key, value) = (Some(key.as_ref().to_vec()), Some(value.as_ref().to_vec()));
        Self { timestamp, key, value, headers: Vec::new() }
    }
}

/// When the driver commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commits {
    /// After each row, as Kafka Streams' driver does.
    #[default]
    EachRecord,
    /// At [`TopologyTestDriver::commit`], and where the clock is advanced. Rows that were piped in wait until then, so that
    /// they make batches.
    Chosen,
}

/// What a driver is started with.
pub struct Options {
    /// Rows that one step takes at most. It shows with [`Commits::Chosen`] only.
    pub batch_rows_max: usize,
    /// See [`Commits`].
    pub commits: Commits,
    /// The host's clock at the start, in milliseconds since 1970 UTC; it moves only when told.
    pub wall_clock_ms: i64,
    /// The version that each node with a plugin runs; where none is given, its plugin's name as the file has it.
    pub versions: BTreeMap<NodeName, Digest>,
    /// Makes the plugins: Rust of the test's, or WebAssembly.
    pub supplier: Box<dyn ProcessorSupplier>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_rows_max: usize::MAX,
            commits: Commits::default(),
            wall_clock_ms: 0,
            versions: BTreeMap::new(),
            supplier: Box::new(NoPlugins),
        }
    }
}

struct NoPlugins;

impl ProcessorSupplier for NoPlugins {
    fn create(&mut self, node: &NodeName, version: &Digest, _: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        let message = "the test gives no plugins: set `supplier` in its options".to_owned();
        Err(CreateFault { node: node.clone(), digest: version.clone(), message })
    }
}

/// Why a driver cannot do what a test asks.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The file is not a topology.
    #[error("{0}")]
    File(Box<Diagnostics>),
    /// A task stopped, or a plugin could not be started.
    #[error("{}", failure(.0))]
    Failed(Box<Report>),
    /// No topic of that name in that application.
    #[error("the topology of `{1}` has no topic `{0}`: list it under `topics`")]
    NoSuchTopic(String, String),
    /// No store of that name in that application.
    #[error("the topology of `{1}` has no store `{0}`")]
    NoSuchStore(String, String),
    /// The store is of another kind.
    #[error("`{0}` is a {1} store")]
    OtherKind(String, StoreKind),
    /// A test cannot put that there.
    #[error("{0}")]
    Unseedable(String),
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The loop ended.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The topology writes for ever to what it reads.
    #[error("the topology has not come to rest after {0} turns: does it write to a topic that it reads?")]
    Restless(usize),
    /// It was closed before.
    #[error("the driver is closed")]
    Closed,
}

fn failure(report: &Report) -> String {
    let at = report.at.as_ref().map_or_else(String::new, |(partition, offset)| format!(" at {partition}@{offset}"));
    let (task, node) = (report.task, &report.node);
    match &report.kind {
        ReportKind::Failed { reason, message, backtrace } => {
            let frames = if backtrace.is_empty() { String::new() } else { format!("\n{backtrace}") };
            format!("task {task} stopped at node `{node}`{at}: {reason}: {message}{frames}")
        }
        ReportKind::SwapRefused { to, message } => format!("node `{node}` cannot run {to}: {message}"),
        kind => format!("task {task}, node `{node}`{at}: {kind:?}"),
    }
}

type Shared = Rc<RefCell<Engine>>;

/// A topology that a test pipes rows into. Topics and stores made of it stay with it.
pub struct TopologyTestDriver {
    shared: Shared,
}

impl TopologyTestDriver {
    /// Starts `topology`.
    ///
    /// # Errors
    /// [`DriverError`]: a plugin does not start.
    pub fn new(topology: Topology, options: Options) -> Result<Self, DriverError> {
        Ok(Self { shared: Rc::new(RefCell::new(Engine::new(topology, options)?)) })
    }

    /// Starts the topology that a file says.
    ///
    /// # Errors
    /// [`DriverError`]: also all that is wrong with the file.
    pub fn from_yaml(text: &str, options: Options) -> Result<Self, DriverError> {
        let parsed = weir_core::topology::parse("topology.yaml", text);
        Self::new(parsed.map_err(|diagnostics| DriverError::File(Box::new(diagnostics)))?, options)
    }

    /// A topic to pipe rows into: any of the topology's, an internal one too.
    ///
    /// # Errors
    /// [`DriverError::NoSuchTopic`].
    pub fn create_input_topic(&self, name: &str) -> Result<TestInputTopic, DriverError> {
        let topic = self.topic(name)?;
        Ok(TestInputTopic { shared: self.shared.clone(), topic })
    }

    /// A topic to read rows from: any of the topology's, an internal one too.
    ///
    /// # Errors
    /// [`DriverError::NoSuchTopic`].
    pub fn create_output_topic(&self, name: &str) -> Result<TestOutputTopic, DriverError> {
        let topic = self.topic(name)?;
        Ok(TestOutputTopic { shared: self.shared.clone(), topic })
    }

    fn topic(&self, name: &str) -> Result<TopicName, DriverError> {
        let topic = TopicName::from(name);
        self.shared.borrow().has_topic(&topic)?;
        Ok(topic)
    }

    /// Commits what was piped in since the last commit, and what that feeds back into the topology.
    ///
    /// # Errors
    /// [`DriverError::Failed`]: a task has stopped.
    pub fn commit(&self) -> Result<(), DriverError> {
        self.shared.borrow_mut().commit()
    }

    /// Commits, moves the host's clock, fires the timers that are due by it, and commits again.
    ///
    /// # Errors
    /// See [`TopologyTestDriver::commit`].
    pub fn advance_wall_clock_time(&self, by: Duration) -> Result<(), DriverError> {
        self.shared.borrow_mut().advance(by)
    }

    /// Kills the engine, with its open transaction and its stores, and starts it anew: stores are restored from their
    /// changelogs, rows that were not committed are taken again. No result shows it.
    ///
    /// # Errors
    /// See [`TopologyTestDriver::commit`].
    pub fn restart(&self) -> Result<(), DriverError> {
        self.shared.borrow_mut().restart()
    }

    /// Breaks the open transaction, if there is one, and refuses the next commit once: what they held is done again. No
    /// result shows it.
    ///
    /// # Errors
    /// See [`TopologyTestDriver::commit`].
    pub fn abort(&self) -> Result<(), DriverError> {
        self.shared.borrow_mut().abort()
    }

    /// A key-value store, or the store of an aggregate without windows.
    ///
    /// # Errors
    /// [`DriverError`]: there is none of that name, or it is of another kind.
    pub fn get_key_value_store(&self, name: &str) -> Result<TestKeyValueStore, DriverError> {
        self.shared.borrow().find(name, |kind| matches!(kind, StoreKind::KeyValue { .. }))?;
        Ok(TestKeyValueStore { shared: self.shared.clone(), name: name.to_owned() })
    }

    /// A store with windows.
    ///
    /// # Errors
    /// [`DriverError`]: there is none of that name, or it is of another kind.
    pub fn get_window_store(&self, name: &str) -> Result<TestWindowStore, DriverError> {
        self.shared.borrow().find(name, |kind| matches!(kind, StoreKind::Window { .. }))?;
        Ok(TestWindowStore { shared: self.shared.clone(), name: name.to_owned() })
    }

    /// A store with sessions.
    ///
    /// # Errors
    /// [`DriverError`]: there is none of that name, or it is of another kind.
    pub fn get_session_store(&self, name: &str) -> Result<TestSessionStore, DriverError> {
        self.shared.borrow().find(name, |kind| matches!(kind, StoreKind::Session { .. }))?;
        Ok(TestSessionStore { shared: self.shared.clone(), name: name.to_owned() })
    }

    /// What was said of rows and tasks so far: rows skipped, calls that trapped.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.shared.borrow().reports().to_vec()
    }

    /// Commits and stops.
    ///
    /// # Errors
    /// See [`TopologyTestDriver::commit`].
    pub fn close(self) -> Result<(), DriverError> {
        self.shared.borrow_mut().close()
    }
}

impl fmt::Debug for TopologyTestDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopologyTestDriver").finish_non_exhaustive()
    }
}

/// A topic of a driver, to write to.
pub struct TestInputTopic {
    shared: Shared,
    topic: TopicName,
}

impl TestInputTopic {
    /// Pipes a row in. With [`Commits::EachRecord`] all that follows from it is done and committed when this returns.
    ///
    /// # Errors
    /// [`DriverError::Failed`]: a task has stopped.
    pub fn pipe_input(&self, record: TestRecord) -> Result<(), DriverError> {
        let mut engine = self.shared.borrow_mut();
        engine.take_in_seeds()?;
        engine.log.borrow_mut().append(&self.topic, record);
        if engine.commits == Commits::EachRecord { engine.commit() } else { Ok(()) }
    }

    /// Pipes rows in, one after the other.
    ///
    /// # Errors
    /// See [`TestInputTopic::pipe_input`].
    pub fn pipe_record_list(&self, records: impl IntoIterator<Item = TestRecord>) -> Result<(), DriverError> {
        records.into_iter().try_for_each(|record| self.pipe_input(record))
    }
}

/// A topic of a driver, to read from: committed rows alone.
pub struct TestOutputTopic {
    shared: Shared,
    topic: TopicName,
}

impl TestOutputTopic {
    /// The next row; none: there is none yet.
    #[must_use]
    pub fn read_record(&self) -> Option<TestRecord> {
        self.shared.borrow().log.borrow_mut().read(&self.topic)
    }

    /// All rows that were not read yet.
    #[must_use]
    pub fn read_records_to_list(&self) -> Vec<TestRecord> {
        std::iter::from_fn(|| self.read_record()).collect()
    }

    /// How many rows were not read yet.
    #[must_use]
    pub fn queue_size(&self) -> usize {
        self.shared.borrow().log.borrow().unread(&self.topic)
    }

    /// Whether all rows were read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue_size() == 0
    }
}
