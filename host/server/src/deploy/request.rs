//! The way of a deployment that somebody asks for: check, compile, instantiate, dry run, and only then an intent. What fails
//! before that leaves the version before running.

use serde_json::Value;
use weir_core::topology::NodeName;
use weir_wasm::{Artifact, Plugin};

use super::dry_run;
use super::fold::Deployment;
use super::intent::{Intent, Origin, is_digest};
use crate::host::Host;
use crate::host::plugins::{config_of, plugin_nodes};
use crate::host::status::no_node;
use crate::problem::{Kind, Problem};

/// Which component is to run.
pub enum Component {
    /// This one.
    Bytes(Vec<u8>),
    /// One that was uploaded.
    Digest(String),
}

/// What is asked for.
pub struct Request {
    /// The node.
    pub node: String,
    /// What is to run there.
    pub component: Component,
    /// Its configuration; none: as it is deployed now, or as the file has it.
    pub config: Option<Value>,
    /// The revision that must be the current one.
    pub if_match: Option<u64>,
    /// Only try it.
    pub dry_run: bool,
}

/// What came of it.
pub enum Outcome {
    /// It runs already.
    Unchanged(Deployment),
    /// It would do.
    Tried {
        /// The version that would run.
        version: String,
        /// Records of the dry run.
        records: usize,
    },
    /// It is decided; tasks swap at their next commit.
    Deployed(Deployment),
}

/// Deploys what `request` asks for.
///
/// # Errors
/// Why not; the version before goes on.
pub fn deploy(host: &Host, request: Request) -> Result<Outcome, Problem> {
    let (node, in_file) = plugin_nodes(&host.topology)
        .find(|(node, _)| node.as_str() == request.node)
        .ok_or_else(|| no_node(host, &request.node))?;
    let _busy = host.busy.enter(&request.node)?;
    let live = host.deployments.with(|fold| fold.live(node.as_str()).cloned());
    let revision = live.as_ref().map_or(0, |live| live.revision);
    if request.if_match.is_some_and(|wanted| wanted != revision) {
        return Err(Problem::new(
            Kind::PreconditionFailed,
            format!("node `{node}` is at revision {revision}, not at the one in If-Match; look at it and try again"),
        ));
    }
    let (artifact, bytes) = component(host, request.component)?;
    let config = request
        .config
        .or_else(|| live.as_ref().map(|live| live.intent.config.clone()))
        .unwrap_or_else(|| config_of(in_file));
    let plugin = host.plugins.version(&artifact, &config, node)?;
    if let Some(live) = live.filter(|live| live.intent.version == plugin.version().as_str()) {
        return Ok(Outcome::Unchanged(live));
    }
    let records = dry_run::run(host, &plugin)?;
    if request.dry_run {
        return Ok(Outcome::Tried { version: plugin.version().as_str().to_owned(), records });
    }
    if let Some(bytes) = bytes {
        host.store_artifact(artifact.digest().as_str(), &bytes)?;
    }
    append(host, &plugin, &config, revision, Origin::Api).map(Outcome::Deployed)
}

/// Deploys what ran at `node` before. No dry run: the way back must not be barred by a record that neither version takes.
///
/// # Errors
/// Nothing else ever ran there.
pub fn rollback(host: &Host, node: &str) -> Result<Deployment, Problem> {
    let (node, _) =
        plugin_nodes(&host.topology).find(|(of, _)| of.as_str() == node).ok_or_else(|| no_node(host, node))?;
    let _busy = host.busy.enter(node.as_str())?;
    let (live, before) =
        host.deployments.with(|fold| (fold.live(node.as_str()).cloned(), fold.before(node.as_str()).cloned()));
    let before = before.ok_or_else(|| {
        Problem::not_found(format!("node `{node}` has run no other version that it could go back to"))
    })?;
    let artifact = host.artifact(&before.intent.artifact)?.ok_or_else(|| unknown(&before.intent.artifact))?;
    let plugin = host.plugins.version(&artifact, &before.intent.config, node)?;
    append(host, &plugin, &before.intent.config, live.map_or(0, |live| live.revision), Origin::Rollback)
}

fn component(host: &Host, component: Component) -> Result<(Artifact, Option<Vec<u8>>), Problem> {
    match component {
        Component::Bytes(bytes) => Ok((host.plugins.load(&bytes)?, Some(bytes))),
        Component::Digest(digest) if !is_digest(&digest) => {
            Err(Problem::invalid(format!("`{digest}` is no digest: write sha256: and 64 hex digits")))
        }
        Component::Digest(digest) => Ok((host.artifact(&digest)?.ok_or_else(|| unknown(&digest))?, None)),
    }
}

fn unknown(digest: &str) -> Problem {
    Problem::invalid(format!("no component {digest} was uploaded; do so with `weir plugin push`"))
}

fn append(
    host: &Host,
    plugin: &Plugin,
    config: &Value,
    base_revision: u64,
    from: Origin,
) -> Result<Deployment, Problem> {
    // Known to this host before anybody can read of it, so that its stream threads need not wait for a compiler.
    host.plugins.insert(plugin.clone());
    let intent = Intent::new(plugin, config, base_revision, from)?;
    host.append_intent(&intent)?;
    let node: &NodeName = plugin.node();
    let decided = host.deployments.with(|fold| fold.find(&intent.id).cloned());
    let decided = decided.ok_or_else(|| Problem::failed(format!("deployment {} was not read back", intent.id)))?;
    match decided.lost_to {
        None => Ok(decided),
        Some(winner) => Err(Problem::new(
            Kind::Conflict,
            format!(
                "another deployment of node `{node}` came first: it is at revision {winner}; look at it and try again"
            ),
        )),
    }
}
