use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use weir_core::ports::{CreateFault, Digest, Processor, ProcessorSupplier};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

use crate::artifact::{Artifact, digest_name};
use crate::config::Limits;
use crate::guest::{Guest, Place};
use crate::host::PluginHost;
use crate::instance::Instance;
use crate::metrics::PluginMetrics;
use crate::ticker::Ticker;
use crate::trap;

/// One version of a node's plugin: an artifact with its configuration. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    host: PluginHost,
    artifact: Artifact,
    config_json: String,
    version: Digest,
    place: Place,
}

/// The configuration of a node cannot be given to any plugin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the configuration of node `{node}` is not JSON: {message}")]
pub struct ConfigError {
    /// The node.
    pub node: NodeName,
    /// What is wrong, and where.
    pub message: String,
}

impl Plugin {
    pub(crate) fn new(
        host: PluginHost,
        artifact: Artifact,
        config_json: &str,
        application: &str,
        node: &NodeName,
    ) -> Result<Self, ConfigError> {
        let refused = |error: serde_json::Error| ConfigError { node: node.clone(), message: error.to_string() };
        let text = if config_json.trim().is_empty() { "null" } else { config_json };
        let config: serde_json::Value = serde_json::from_str(text).map_err(refused)?;
        // Written anew, so that neither blanks nor line ends make another version.
        let config_json = config.to_string();
        let version = version(&artifact, &config_json);
        let place = Place { application: application.into(), node: node.clone(), config: Arc::new(config), task: None };
        Ok(Self { inner: Arc::new(Inner { host, artifact, config_json, version, place }) })
    }

    /// Names this version: over the artifact and the configuration.
    #[must_use]
    pub fn version(&self) -> &Digest {
        &self.inner.version
    }

    /// What runs.
    #[must_use]
    pub fn artifact(&self) -> &Artifact {
        &self.inner.artifact
    }

    /// The node that it runs at.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.inner.place.node
    }

    /// Its configuration as JSON text.
    #[must_use]
    pub fn config_json(&self) -> &str {
        &self.inner.config_json
    }

    pub(crate) fn limits(&self) -> Limits {
        self.inner.host.config().limits
    }

    pub(crate) fn metrics(&self) -> &PluginMetrics {
        self.inner.host.metrics()
    }

    /// An instance of its own for `task`. The last step of a deployment's check as well.
    ///
    /// # Errors
    /// [`CreateFault`]: the plugin refused its configuration, trapped, or the pool of instances is full.
    pub fn instantiate(&self, task: TaskId) -> Result<Instance, CreateFault> {
        let Inner { host, artifact, config_json, .. } = &*self.inner;
        let limits = self.limits();
        let place = Place { task: Some(task), ..self.inner.place.clone() };
        let mut store = host.store(Guest::new(place, limits));
        store.set_epoch_deadline(Ticker::epochs(limits.call_deadline));
        let guest =
            artifact.pre().instantiate(&mut store).map_err(|error| self.fault(host.instantiation_error(&error)))?;
        let created = guest.weir_plugin_processing().call_create(&mut store, config_json);
        let state = store.data_mut();
        state.log.flush(&state.place, None);
        match created {
            Ok(Ok(processor)) => {
                self.metrics().apply(self.node(), &mut store.data_mut().metrics);
                Ok(Instance::new(self.clone(), store, guest, processor))
            }
            Ok(Err(problems)) => {
                let problem = |problem: &crate::bindings::exports::weir::plugin::processing::Problem| {
                    let pointer = if problem.pointer.is_empty() { "the whole" } else { &problem.pointer };
                    format!("{pointer}: {}", problem.message)
                };
                let problems: Vec<_> = problems.iter().map(problem).collect();
                Err(self.fault(format!("it refuses its configuration: {}", problems.join("; "))))
            }
            Err(error) => {
                let last_words = store.data_mut().last_words.take();
                let trap = trap::trap(&error, last_words, &limits, limits.call_deadline);
                Err(self.fault(format!("`create` trapped: {trap}\n{}", trap.backtrace).trim_end().to_owned()))
            }
        }
    }

    fn fault(&self, message: String) -> CreateFault {
        CreateFault { node: self.node().clone(), digest: self.version().clone(), message }
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("node", self.node()).field("version", self.version()).finish_non_exhaustive()
    }
}

fn version(artifact: &Artifact, config_json: &str) -> Digest {
    let mut version = Sha256::new();
    for part in [artifact.digest().as_str(), config_json] {
        version.update((part.len() as u64).to_le_bytes());
        version.update(part);
    }
    digest_name(&version.finalize())
}

/// The deployed plugins of a host, by node and version. Cheap to clone; all clones are one, so each stream thread has its own.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    by_version: Arc<RwLock<BTreeMap<(NodeName, Digest), Plugin>>>,
}

impl Plugins {
    /// Adds a plugin, under its node and version.
    pub fn insert(&self, plugin: Plugin) {
        let key = (plugin.node().clone(), plugin.version().clone());
        self.by_version.write().unwrap_or_else(PoisonError::into_inner).insert(key, plugin);
    }

    /// The plugin of that node and version.
    #[must_use]
    pub fn get(&self, node: &NodeName, version: &Digest) -> Option<Plugin> {
        let key = (node.clone(), version.clone());
        self.by_version.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Forgets a version; instances of it live on.
    pub fn remove(&self, node: &NodeName, version: &Digest) -> Option<Plugin> {
        let key = (node.clone(), version.clone());
        self.by_version.write().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }
}

impl ProcessorSupplier for Plugins {
    fn create(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        let unknown = || CreateFault {
            node: node.clone(),
            digest: version.clone(),
            message: "this host does not have it; deploy it again with `weir plugin push`".to_owned(),
        };
        Ok(Box::new(self.get(node, version).ok_or_else(unknown)?.instantiate(task)?))
    }
}
