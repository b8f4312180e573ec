//! How far a deployment has come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fold::Deployment;
use crate::host::Host;
use crate::host::plugins::tasks_of;

/// How often somebody who waits looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A deployment as `GET deployments/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its id.
    pub id: String,
    /// The node.
    pub node: String,
    /// Component.
    pub artifact: String,
    /// Component and configuration.
    pub version: String,
    /// Configuration.
    pub config: Value,
    /// Rising over the application.
    pub revision: u64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    /// Who wanted it: file, api, rollback.
    pub from: String,
    /// swapping, live, refused (a task cannot start it), superseded or lost.
    pub phase: String,
    /// Tasks that run it.
    pub swapped: usize,
    /// Tasks that are to run it.
    pub tasks: usize,
    /// Why tasks of this host cannot start it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// False: it ran already.
    pub changed: bool,
}

/// How far `deployment` has come, as far as this host knows.
#[must_use]
pub fn view(host: &Host, deployment: &Deployment, changed: bool) -> View {
    let intent = &deployment.intent;
    let live = host.deployments.with(|fold| fold.live(&intent.node).map(|live| live.revision));
    let (swapped, tasks, refused) = progress(host, deployment);
    let phase = match (deployment.lost_to, live) {
        (Some(_), _) => "lost",
        (None, Some(live)) if live > deployment.revision => "superseded",
        _ if swapped >= tasks => "live",
        _ if !refused.is_empty() => "refused",
        _ => "swapping",
    };
    let from = serde_json::to_value(intent.from).ok().and_then(|from| from.as_str().map(str::to_owned));
    View {
        id: intent.id.clone(),
        node: intent.node.clone(),
        artifact: intent.artifact.clone(),
        version: intent.version.clone(),
        config: intent.config.clone(),
        revision: deployment.revision,
        at: intent.at,
        from: from.unwrap_or_default(),
        phase: phase.to_owned(),
        swapped,
        tasks,
        refused,
        changed,
    }
}

/// Tasks that run it, tasks in all, and why tasks of this host cannot. Our own tasks say so themselves; those of other
/// hosts by the record that they write with the first output of the new version.
fn progress(host: &Host, deployment: &Deployment) -> (usize, usize, Vec<String>) {
    let intent = &deployment.intent;
    let Some(index) = host.topology.find(&intent.node) else { return (0, 0, Vec::new()) };
    let subtopology = host.topology.node(index).subtopology;
    let tasks = host.partitions().map_or(0, |partitions| tasks_of(&host.topology, partitions, subtopology));
    let mut runs: BTreeMap<String, bool> = BTreeMap::new();
    host.deployments.with(|fold| {
        for (task, swap) in fold.swapped(&intent.node) {
            runs.insert(task.to_owned(), swap.revision >= deployment.revision && swap.to == intent.version);
        }
    });
    let mut refused = Vec::new();
    for thread in &host.threads {
        let snapshot = thread.snapshot();
        for task in &snapshot.tasks {
            if let Some((_, version, _)) = task.versions.iter().find(|(node, _, _)| node.as_str() == intent.node) {
                runs.insert(task.task.to_string(), version.as_str() == intent.version);
            }
        }
        for ((node, task), (version, why)) in &snapshot.refused {
            if node.as_str() == intent.node && version.as_str() == intent.version {
                refused.push(format!("task {task}: {why}"));
            }
        }
    }
    (runs.values().filter(|runs| **runs).count(), tasks.unsigned_abs() as usize, refused)
}

/// Waits until `deployment` is live, or will not be, for at most `wait`.
#[must_use]
pub fn wait(host: &Host, deployment: &Deployment, wait: Duration) -> View {
    let until = Instant::now() + wait;
    loop {
        let view = view(host, deployment, true);
        if view.phase != "swapping" || Instant::now() >= until || host.stop.is_set() {
            return view;
        }
        host.deployments.wait_change(LOOK_INTERVAL, until);
    }
}
