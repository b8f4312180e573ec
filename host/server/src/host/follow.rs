//! The tail of the deployments: what others have deployed is fetched, compiled and handed to our stream threads.

use std::sync::Arc;
use std::time::Duration;

use weir_core::record::TopicPartition;
use weir_core::topology::NodeName;

use super::backoff::Backoff;
use super::{Host, plugins};
use crate::deploy::fold::Deployment;
use crate::problem::Problem;

/// Rows of one read.
const ROWS_MAX: usize = 1000;

/// The longest wait of one read.
const READ_WAIT: Duration = Duration::from_millis(500);

/// Reads the deployments to their end.
///
/// # Errors
/// The log does not answer.
pub fn catch_up(host: &Host) -> Result<(), Problem> {
    let partition = TopicPartition::new(host.deployments_topic(), 0);
    let client = host.client()?;
    let (begin, end) = client.offsets(&partition)?;
    let mut position = host.deployments.position().max(begin);
    while position < end {
        let (rows, next) = client.read(&partition, position, ROWS_MAX, READ_WAIT)?;
        host.deployments.apply(&rows, next);
        position = next;
        if host.stop.is_set() {
            break;
        }
    }
    Ok(())
}

/// Reads on until the host stops.
pub fn run(host: &Arc<Host>) {
    let partition = TopicPartition::new(host.deployments_topic(), 0);
    let mut backoff = Backoff::default();
    while !host.stop.is_set() {
        let followed = host.client().and_then(|client| {
            let (rows, next) = client.read(&partition, host.deployments.position(), ROWS_MAX, READ_WAIT)?;
            host.deployments.apply(&rows, next);
            prepare_all(host)
        });
        match followed {
            Ok(()) => backoff.reset(),
            Err(problem) => {
                tracing::warn!(cause = problem.detail, "cannot follow the deployments; trying again");
                host.stop.wait(backoff.next());
            }
        }
    }
}

fn prepare_all(host: &Host) -> Result<(), Problem> {
    for (node, _) in plugins::plugin_nodes(&host.topology) {
        let live = host.deployments.with(|fold| fold.live(node.as_str()).cloned());
        match live {
            Some(live) if live.revision > host.deployments.ready(node) => prepare(host, node, &live)?,
            _ => {}
        }
    }
    Ok(())
}

/// Makes a deployment ready for our stream threads.
///
/// # Errors
/// Its component is not to be found, or cannot be compiled here.
pub fn prepare(host: &Host, node: &NodeName, live: &Deployment) -> Result<(), Problem> {
    let intent = &live.intent;
    if host.plugins.get(node, &intent.version).is_none() {
        let artifact = host.artifact(&intent.artifact)?.ok_or_else(|| {
            Problem::failed(format!(
                "the component {} of node `{node}` is not in topic {}; push it again with `weir plugin push`",
                intent.artifact,
                host.plugins_topic()
            ))
        })?;
        host.plugins.insert(host.plugins.version(&artifact, &intent.config, node)?);
    }
    host.deployments.set_ready(node.clone(), intent.version.as_str().into(), live.revision);
    tracing::info!(node = %node, version = intent.version, revision = live.revision, "deployed");
    Ok(())
}
