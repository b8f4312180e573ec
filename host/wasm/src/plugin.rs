use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wasmtime::Store;
use wasmtime::component::{Instance as ComponentInstance, ResourceAny};
use weir_core::ports::{Aggregator, CreateFault, Digest, Extractor, Processor, ProcessorSupplier};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

use crate::aggregator::AggregatorInstance;
use crate::artifact::{Artifact, digest_name};
use crate::binding::{Binding, Role};
use crate::bindings::weir::plugin::types::Problem;
use crate::config::Limits;
use crate::extractor::ExtractorInstance;
use crate::guest::{Guest, Place};
use crate::host::PluginHost;
use crate::instance::Instance;
use crate::metrics::PluginMetrics;
use crate::running::Running;
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
        mut place: Place,
    ) -> Result<Self, ConfigError> {
        let refused = |error: serde_json::Error| ConfigError { node: place.node.clone(), message: error.to_string() };
        let text = if config_json.trim().is_empty() { "null" } else { config_json };
        let config: serde_json::Value = serde_json::from_str(text).map_err(refused)?;
        // Written anew, so that neither blanks nor line ends make another version.
        let config_json = config.to_string();
        let version = version(&artifact, &config_json);
        place.config = Arc::new(config);
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

    /// What its node gives it.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.inner.place.binding
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
        let offers = self.artifact().offers();
        let Some(processing) = &offers.processing else { return Err(self.fault(no_role(Role::Processor))) };
        let (mut store, instance) = self.begin(task)?;
        let loaded = processing.load(&mut store, &instance).and_then(|processing| {
            let timing = offers.timing.as_ref().map(|timing| timing.load(&mut store, &instance)).transpose()?;
            Ok((processing, timing))
        });
        let (processing, timing) = loaded.map_err(|error| self.fault(format!("{error:#}")))?;
        let created = processing.call_create(&mut store, &self.inner.config_json);
        let running = self.created(store, created)?;
        Ok(Instance::new(running, processing, timing))
    }

    /// An instance of an aggregator.
    ///
    /// # Errors
    /// As of [`Plugin::instantiate`]; the plugin is no aggregator.
    pub fn instantiate_aggregator(&self, task: TaskId) -> Result<AggregatorInstance, CreateFault> {
        let Some(aggregation) = &self.artifact().offers().aggregation else {
            return Err(self.fault(no_role(Role::Aggregator)));
        };
        let (mut store, instance) = self.begin(task)?;
        let loaded = aggregation.load(&mut store, &instance);
        let aggregation = loaded.map_err(|error| self.fault(format!("{error:#}")))?;
        let created = aggregation.call_create(&mut store, &self.inner.config_json);
        let running = self.created(store, created)?;
        Ok(AggregatorInstance::new(running, aggregation))
    }

    /// An instance of an extractor.
    ///
    /// # Errors
    /// As of [`Plugin::instantiate`]; the plugin is no extractor.
    pub fn instantiate_extractor(&self, task: TaskId) -> Result<ExtractorInstance, CreateFault> {
        let Some(extraction) = &self.artifact().offers().extraction else {
            return Err(self.fault(no_role(Role::Extractor)));
        };
        let (mut store, instance) = self.begin(task)?;
        let loaded = extraction.load(&mut store, &instance);
        let extraction = loaded.map_err(|error| self.fault(format!("{error:#}")))?;
        let created = extraction.call_create(&mut store, &self.inner.config_json);
        let running = self.created(store, created)?;
        Ok(ExtractorInstance::new(running, extraction))
    }

    /// Makes an instance of its node's kind and drops it: the last step of a deployment's check.
    ///
    /// # Errors
    /// As of [`Plugin::instantiate`].
    pub fn try_out(&self, task: TaskId) -> Result<(), CreateFault> {
        match self.binding().role {
            Role::Processor => self.instantiate(task).map(drop),
            Role::Aggregator => self.instantiate_aggregator(task).map(drop),
            Role::Extractor => self.instantiate_extractor(task).map(drop),
        }
    }

    /// A component instance in a store of its own, its deadline set for `create`.
    fn begin(&self, task: TaskId) -> Result<(Store<Guest>, ComponentInstance), CreateFault> {
        let Inner { host, artifact, place, .. } = &*self.inner;
        let limits = self.limits();
        let mut store = host.store(Guest::new(Place { task: Some(task), ..place.clone() }, limits));
        store.set_epoch_deadline(Ticker::epochs(limits.call_deadline));
        let instance =
            artifact.pre().instantiate(&mut store).map_err(|error| self.fault(host.instantiation_error(&error)))?;
        Ok((store, instance))
    }

    /// What `create` came to.
    fn created(
        &self,
        mut store: Store<Guest>,
        created: wasmtime::Result<Result<ResourceAny, Vec<Problem>>>,
    ) -> Result<Running, CreateFault> {
        let limits = self.limits();
        let state = store.data_mut();
        state.log.flush(&state.place, None);
        match created {
            Ok(Ok(resource)) => {
                self.metrics().apply(self.node(), &mut state.metrics);
                Ok(Running::new(self.clone(), store, resource))
            }
            Ok(Err(problems)) => {
                let problem = |problem: &Problem| {
                    let pointer = if problem.pointer.is_empty() { "the whole" } else { &problem.pointer };
                    format!("{pointer}: {}", problem.message)
                };
                let problems: Vec<_> = problems.iter().map(problem).collect();
                Err(self.fault(format!("it refuses its configuration: {}", problems.join("; "))))
            }
            Err(error) => {
                let trap = trap::trap(&error, state.last_words.take(), &limits, limits.call_deadline);
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

fn no_role(role: Role) -> String {
    format!("it exports no {}, which {} calls", role.export(), role.node())
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

    fn deployed(&self, node: &NodeName, version: &Digest) -> Result<Plugin, CreateFault> {
        self.get(node, version).ok_or_else(|| CreateFault {
            node: node.clone(),
            digest: version.clone(),
            message: "this host does not have it; deploy it again with `weir plugin push`".to_owned(),
        })
    }

    /// Forgets a version; instances of it live on.
    pub fn remove(&self, node: &NodeName, version: &Digest) -> Option<Plugin> {
        let key = (node.clone(), version.clone());
        self.by_version.write().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }
}

impl ProcessorSupplier for Plugins {
    fn create(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        Ok(Box::new(self.deployed(node, version)?.instantiate(task)?))
    }

    fn create_aggregator(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Aggregator>, CreateFault> {
        Ok(Box::new(self.deployed(node, version)?.instantiate_aggregator(task)?))
    }
    fn create_extractor(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Extractor>, CreateFault> {
        Ok(Box::new(self.deployed(node, version)?.instantiate_extractor(task)?))
    }
}
