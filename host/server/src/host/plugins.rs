use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use weir_core::ports::ProcessorSupplier;
use weir_core::record::TopicName;
use weir_core::task::TaskId;
use weir_core::topology::{Node, NodeName, PluginRef, Topology};
use weir_wasm::{Artifact, Binding, HostConfig, LoadError, Misfit, Plugin, PluginHost};

use super::Config;
use crate::deploy::intent::artifact_digest;
use crate::problem::{Kind, Mistake, Problem};
use crate::state_dir::{StateDir, cannot};

/// Compiled components that are kept though no node may run them any more: a rollback finds them ready.
const ARTIFACTS_KEPT: usize = 16;

/// Partitions that instances are reserved for where a topic's number is not known before the broker has answered.
const PARTITIONS_ASSUMED: i32 = 16;

/// Instances beside those of tasks: checks and dry runs.
const INSTANCES_SPARE: u32 = 16;

/// The plugins of a host: compiled components, and which of them its nodes may run.
pub struct Plugins {
    host: PluginHost,
    deployed: weir_wasm::Plugins,
    application: String,
    /// What each node gives its plugin.
    bindings: BTreeMap<NodeName, Binding>,
    dir: PathBuf,
    /// In the order of their last use, newest last.
    compiled: Mutex<Vec<(String, Artifact)>>,
}

impl Plugins {
    /// None yet.
    ///
    /// # Errors
    /// The machine gives no room for instances.
    pub fn new(config: &Config, topology: &Topology, state_dir: &StateDir) -> Result<Self, Problem> {
        let dir = state_dir.join("artifacts");
        std::fs::create_dir_all(&dir).map_err(|cause| cannot("create", &dir, &cause))?;
        let host_config = HostConfig {
            instances_max: instances(topology),
            artifact_bytes_max: config.artifact_bytes_max,
            cache_dir: Some(state_dir.join("compiled")),
            ..HostConfig::default()
        };
        let host = PluginHost::new(host_config).map_err(|error| Problem::failed(error.to_string()))?;
        let application = topology.application.clone();
        let binding = |node: &Node| Some((node.name.clone(), Binding::of(topology, node)?));
        let bindings = topology.nodes.iter().filter_map(binding).collect();
        let deployed = weir_wasm::Plugins::default();
        Ok(Self { host, deployed, application, bindings, dir, compiled: Mutex::default() })
    }

    /// For one stream thread, or one dry run.
    #[must_use]
    pub fn supplier(&self) -> Box<dyn ProcessorSupplier> {
        Box::new(self.deployed.clone())
    }

    /// What plugins count.
    #[must_use]
    pub fn metrics(&self) -> Vec<weir_wasm::Metric> {
        self.host.metrics().snapshot()
    }

    /// Compiles a component, or finds it compiled.
    ///
    /// # Errors
    /// It is none, or does not fit.
    pub fn load(&self, bytes: &[u8]) -> Result<Artifact, Problem> {
        let artifact = self.host.load(bytes).map_err(|error| refused(&error, self.host.config().artifact_bytes_max))?;
        self.keep(&artifact);
        Ok(artifact)
    }

    fn keep(&self, artifact: &Artifact) {
        let digest = artifact.digest().as_str();
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|(other, _)| other != digest);
        compiled.push((digest.to_owned(), artifact.clone()));
        if compiled.len() > ARTIFACTS_KEPT {
            compiled.remove(0);
        }
    }

    /// The component of a digest, if it is compiled or on this disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn find(&self, digest: &str) -> Result<Option<Artifact>, Problem> {
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, artifact)) = compiled.iter().find(|(other, _)| other == digest) {
            return Ok(Some(artifact.clone()));
        }
        drop(compiled);
        match self.read(digest)? {
            Some(bytes) => self.load(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of a component on this disk. A file that is not what its name says was torn: none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, Problem> {
        let path = self.path(digest);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| artifact_digest(bytes) == digest)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cannot("read", &path, &cause)),
        }
    }

    /// Keeps the bytes of a component on this disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, digest: &str, bytes: &[u8]) -> Result<(), Problem> {
        let (path, partial) = (self.path(digest), self.path(&format!("{digest}.{:?}", std::thread::current().id())));
        std::fs::write(&partial, bytes)
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|cause| cannot("write", &path, &cause))
    }

    fn path(&self, digest: &str) -> PathBuf {
        let name: String = digest.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.dir.join(format!("{name}.wasm"))
    }

    /// Everything about a component that does not fit `node`.
    #[must_use]
    pub fn misfits(&self, artifact: &Artifact, node: &NodeName) -> Vec<Misfit> {
        self.bindings.get(node).map_or_else(Vec::new, |binding| binding.misfits(artifact))
    }

    /// A version of `node`'s plugin, tried with its configuration on an instance that is thrown away.
    ///
    /// # Errors
    /// The plugin does not fit the node, refuses the configuration, or traps on it.
    pub fn version(&self, artifact: &Artifact, config: &Value, node: &NodeName) -> Result<Plugin, Problem> {
        let misfits = self.misfits(artifact, node);
        if !misfits.is_empty() {
            let mistake =
                |misfit: Misfit| Mistake { detail: misfit.detail, help: Some(misfit.help), ..Mistake::default() };
            let detail = format!("the plugin does not fit node `{node}`");
            return Err(Problem::invalid(detail).with(misfits.into_iter().map(mistake).collect()));
        }
        let binding = self.bindings.get(node).cloned().unwrap_or_default();
        let plugin = self
            .host
            .bound_plugin(artifact, &config.to_string(), &self.application, node, binding)
            .map_err(|error| Problem::invalid(error.to_string()))?;
        plugin.try_out(TaskId { subtopology: 0, partition: 0 }).map_err(|fault| Problem::invalid(fault.to_string()))?;
        Ok(plugin)
    }

    /// Stream threads may run it from here on.
    pub fn insert(&self, plugin: Plugin) {
        self.deployed.insert(plugin);
    }

    /// The version of a node, if it is compiled.
    #[must_use]
    pub fn get(&self, node: &NodeName, version: &str) -> Option<Plugin> {
        self.deployed.get(node, &version.into())
    }
}

/// Tasks times nodes with a plugin, twice (a swap has the old and the new), and some to spare.
fn instances(topology: &Topology) -> u32 {
    let mut instances = 0;
    for part in &topology.subtopologies {
        let plugins = part.nodes.iter().filter(|node| topology.node(**node).plugin().is_some()).count();
        let partitions =
            part.topics.iter().map(|topic| topology.topic(*topic).partitions.unwrap_or(PARTITIONS_ASSUMED)).max();
        instances += plugins as u32 * partitions.unwrap_or(0).unsigned_abs();
    }
    instances * 2 + INSTANCES_SPARE
}

fn refused(error: &LoadError, bytes_max: usize) -> Problem {
    match error {
        LoadError::TooLarge { .. } => {
            Problem::new(Kind::TooLarge, format!("{error}; raise --artifact-bytes-max, {bytes_max} now"))
        }
        _ => Problem::invalid(error.to_string()),
    }
}

/// Nodes that run a plugin, with it, in file order.
pub fn plugin_nodes(topology: &Topology) -> impl Iterator<Item = (&NodeName, &PluginRef)> {
    topology.nodes.iter().filter_map(|node| Some((&node.name, node.plugin()?)))
}

/// Where the component of a plugin's name may lie: beside the topology file or in one of `dirs`.
#[must_use]
pub fn candidates(topology_path: &Path, dirs: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let beside = topology_path.parent().map(Path::to_path_buf).unwrap_or_default();
    let names = [name.to_owned(), format!("{name}.wasm"), format!("{}.wasm", name.replace('-', "_"))];
    let mut paths: Vec<PathBuf> = Vec::new();
    for dir in std::iter::once(&beside).chain(dirs) {
        for name in &names {
            let path = dir.join(name);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// The bytes of the component that the file names for a node; none: there is no such file.
///
/// # Errors
/// The file cannot be read.
pub fn component(topology_path: &Path, dirs: &[PathBuf], plugin: &PluginRef) -> Result<Option<Vec<u8>>, Problem> {
    let found = candidates(topology_path, dirs, &plugin.plugin).into_iter().find(|path| path.is_file());
    found.map(|path| std::fs::read(&path).map_err(|cause| cannot("read", &path, &cause))).transpose()
}

/// Configuration as the file has it.
#[must_use]
pub fn config_of(plugin: &PluginRef) -> Value {
    serde_json::from_str(&plugin.config).unwrap_or(Value::Null)
}

/// Partitions by topic, of those that a subtopology reads.
#[must_use]
pub fn tasks_of(topology: &Topology, partitions: &BTreeMap<TopicName, i32>, subtopology: usize) -> i32 {
    let topics = topology.subtopologies[subtopology].topics.iter();
    topics.filter_map(|topic| partitions.get(&topology.topic(*topic).name)).copied().max().unwrap_or(0)
}
