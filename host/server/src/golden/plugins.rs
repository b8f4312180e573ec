use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use weir_core::ports::Digest;
use weir_core::task::TaskId;
use weir_core::topology::{Node, NodeName, PluginRef, Topology};
use weir_wasm::{Binding, HostConfig, Plugin, PluginHost, Plugins};

use crate::host::initial::{Mistakes, looked_for};
use crate::host::plugins;
use crate::problem::Problem;

/// Instances beside one for each node: those that are made anew while the old ones are there yet.
const INSTANCES_SPARE: u32 = 8;

/// The plugins of a topology, compiled.
pub struct Loaded {
    /// What makes instances.
    pub plugins: Plugins,
    /// What each node runs.
    pub versions: BTreeMap<NodeName, Digest>,
}

/// Finds, compiles and tries the plugin of every node that has one, as a host does at its start.
///
/// # Errors
/// What is wrong with each, at its line of the file.
pub fn load(path: &Path, dirs: &[PathBuf], topology: &Topology) -> Result<Loaded, Problem> {
    let instances_max = 2 * topology.nodes.len() as u32 + INSTANCES_SPARE;
    let host = PluginHost::new(HostConfig { instances_max, ..HostConfig::default() })
        .map_err(|error| Problem::failed(error.to_string()))?;
    let mut loaded = Loaded { plugins: Plugins::default(), versions: BTreeMap::new() };
    let mut mistakes = Mistakes::in_file(path);
    for node in &topology.nodes {
        let Some(plugin) = node.plugin() else { continue };
        let Some(bytes) = plugins::component(path, dirs, plugin)? else {
            let paths = plugins::candidates(path, dirs, &plugin.plugin);
            mistakes.add(&node.name, plugin, "there is no such file", &looked_for(&paths));
            continue;
        };
        match version(&host, topology, node, plugin, &bytes) {
            Ok(version) => {
                loaded.versions.insert(node.name.clone(), version.version().clone());
                loaded.plugins.insert(version);
            }
            Err((detail, help)) => mistakes.add(&node.name, plugin, &detail, &help),
        }
    }
    mistakes.finish().map(|()| loaded)
}

/// The version of a node's plugin, or what is wrong with it and how to mend it.
fn version(
    host: &PluginHost,
    topology: &Topology,
    node: &Node,
    plugin: &PluginRef,
    bytes: &[u8],
) -> Result<Plugin, (String, String)> {
    let plain = |detail: String| (detail, String::new());
    let artifact = host.load(bytes).map_err(|error| plain(error.to_string()))?;
    let binding = Binding::of(topology, node).unwrap_or_default();
    if let Some(misfit) = binding.misfits(&artifact).into_iter().next() {
        return Err((misfit.detail, misfit.help));
    }
    let version = host
        .bound_plugin(&artifact, &plugin.config, &topology.application, &node.name, binding)
        .map_err(|error| plain(error.to_string()))?;
    let task = TaskId { subtopology: node.subtopology, partition: 0 };
    version.try_out(task).map_err(|fault| plain(fault.message))?;
    Ok(version)
}
