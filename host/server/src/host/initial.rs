//! What runs at the start: the deployments decide. The file's plugin is deployed where its node has never had a deployment,
//! or where the last one came from a file as well and was another version.

use serde_json::Value;
use weir_core::topology::{Diagnostics, NodeName, PluginRef};
use weir_wasm::{Artifact, Plugin};

use super::{Host, plugins};
use crate::deploy::fold::Deployment;
use crate::deploy::intent::{Intent, Origin, is_digest};
use crate::problem::{Mistake, Problem};

/// How often two hosts that start at one time may come before each other.
const TRIES_MAX: usize = 8;

/// The plugins of the file, compiled: a node of which there is no file is left out.
///
/// # Errors
/// What is wrong with each, at its line of the file.
pub fn compile(host: &Host) -> Result<Vec<(NodeName, Artifact, Vec<u8>)>, Problem> {
    let mut compiled = Vec::new();
    let mut mistakes = Mistakes::of(host);
    for (node, plugin) in plugins::plugin_nodes(&host.topology) {
        let dirs = &host.config.plugin_dirs;
        let loaded = plugins::component(&host.config.topology_path, dirs, plugin)
            .and_then(|bytes| bytes.map(|bytes| Ok((host.plugins.load(&bytes)?, bytes))).transpose());
        match loaded {
            Ok(Some((artifact, bytes))) => {
                for misfit in host.plugins.misfits(&artifact, node) {
                    mistakes.add(node, plugin, &misfit.detail, &misfit.help);
                }
                compiled.push((node.clone(), artifact, bytes));
            }
            Ok(None) => {}
            Err(problem) => mistakes.add(node, plugin, &problem.detail, ""),
        }
    }
    mistakes.finish().map(|()| compiled)
}

/// Mistakes in the topology file that only its plugins show.
pub struct Mistakes {
    diagnostics: Diagnostics,
}

impl Mistakes {
    /// None yet.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        Self::in_file(&host.config.topology_path)
    }

    /// None yet, of a file.
    #[must_use]
    pub fn in_file(path: &std::path::Path) -> Self {
        // Read again for its lines; if it has changed meanwhile a span is cut to what there is.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self { diagnostics: Diagnostics::new(&path.display().to_string(), &text) }
    }

    /// What is wrong with the plugin of `node`.
    pub fn add(&mut self, node: &NodeName, plugin: &PluginRef, detail: &str, help: &str) {
        self.diagnostics.error(plugin.span, format!("plugin `{}` of node `{node}`: {detail}", plugin.plugin), help);
    }

    /// All of them.
    ///
    /// # Errors
    /// There are some.
    pub fn finish(self) -> Result<(), Problem> {
        if self.diagnostics.is_empty() { Ok(()) } else { Err(Problem::topology(&self.diagnostics)) }
    }
}

/// Decides for every node with a plugin what it runs, deploys what the file names where that is to be, and hands it all to the
/// stream threads. The deployments must have been read to their end.
///
/// # Errors
/// A node has no plugin; the log does not answer.
pub fn settle(host: &Host, compiled: &[(NodeName, Artifact, Vec<u8>)]) -> Result<(), Problem> {
    let mut mistakes = Mistakes::of(host);
    for (node, plugin) in plugins::plugin_nodes(&host.topology) {
        let file =
            compiled.iter().find(|(of, _, _)| of == node).map(|(_, artifact, bytes)| (artifact, bytes.as_slice()));
        match settle_node(host, node, plugin, file)? {
            None => {}
            Some(missing) => mistakes.add(node, plugin, &missing.detail, missing.help.as_deref().unwrap_or_default()),
        }
    }
    mistakes.finish()?;
    host.deployments.set_initial();
    Ok(())
}

fn settle_node(
    host: &Host,
    node: &NodeName,
    plugin: &PluginRef,
    file: Option<(&Artifact, &[u8])>,
) -> Result<Option<Mistake>, Problem> {
    let config = plugins::config_of(plugin);
    for _ in 0..TRIES_MAX {
        let live = host.deployments.with(|fold| fold.live(node.as_str()).cloned());
        let wanted = match wanted(host, node, plugin, file, &config, live.as_ref())? {
            Wanted::Deployed => {
                let Some(live) = live else { continue };
                super::follow::prepare(host, node, &live)?;
                return Ok(None);
            }
            Wanted::Missing(mistake) => return Ok(Some(mistake)),
            Wanted::File(version) => version,
        };
        if let Some((artifact, bytes)) = file {
            host.store_artifact(artifact.digest().as_str(), bytes)?;
        }
        let base_revision = live.map_or(0, |live| live.revision);
        let intent = Intent::new(&wanted, &config, base_revision, Origin::File)?;
        host.plugins.insert(wanted);
        tracing::info!(node = %node, artifact = intent.artifact, version = intent.version, "deploying the file's plugin");
        host.append_intent(&intent)?;
    }
    Err(Problem::failed(format!("node `{node}`: other hosts keep deploying to it; try again when they are done")))
}

enum Wanted {
    /// What is deployed.
    Deployed,
    /// The file's plugin, to be deployed.
    File(Plugin),
    /// There is neither.
    Missing(Mistake),
}

fn wanted(
    host: &Host,
    node: &NodeName,
    plugin: &PluginRef,
    file: Option<(&Artifact, &[u8])>,
    config: &Value,
    live: Option<&Deployment>,
) -> Result<Wanted, Problem> {
    let artifact = match file {
        Some((artifact, _)) => Some(artifact.clone()),
        // A name that is a digest may be of an artifact that was pushed before.
        None if live.is_none() && is_digest(&plugin.plugin) => host.artifact(&plugin.plugin)?,
        None => None,
    };
    let Some(artifact) = artifact else {
        return Ok(if live.is_some() { Wanted::Deployed } else { Wanted::Missing(not_found(host, plugin)) });
    };
    let version = host.plugins.version(&artifact, config, node)?;
    match live {
        Some(live) if live.intent.version == version.version().as_str() => Ok(Wanted::Deployed),
        Some(live) if live.intent.from != Origin::File => {
            tracing::warn!(
                node = %node, deployed = live.intent.artifact, file = artifact.digest().as_str(),
                "the deployed version goes on, not the file's; deploy that one with `weir plugin deploy`"
            );
            Ok(Wanted::Deployed)
        }
        _ => Ok(Wanted::File(version)),
    }
}

fn not_found(host: &Host, plugin: &PluginRef) -> Mistake {
    let paths = plugins::candidates(&host.config.topology_path, &host.config.plugin_dirs, &plugin.plugin);
    Mistake {
        detail: "it was never deployed, and there is no such file".to_owned(),
        help: Some(looked_for(&paths)),
        ..Mistake::default()
    }
}

/// Where a plugin was looked for, for people.
#[must_use]
pub fn looked_for(paths: &[std::path::PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("build it to one of {}, or name its folder with --plugin-dir", paths.join(", "))
}
