//! What people see of a host: its tasks, threads and nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::task::life::State;
use weir_core::thread::TaskStatus;
use weir_core::topology::NodeKind;

use super::restores::offsets_left;
use super::thread::{Phase, Snapshot};
use super::{Host, plugins};
use crate::problem::Problem;

/// A thread whose loop has not come round for this long does not step any more.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Why the process ought to be restarted; none: its threads step.
#[must_use]
pub fn not_alive(host: &Host) -> Option<String> {
    let silent = host.threads.iter().find(|thread| {
        thread.silence() > SILENCE_MAX && !matches!(thread.snapshot().phase, Phase::Starting | Phase::Stopped)
    })?;
    Some(format!("stream thread {} has not come round for {} s", silent.index, silent.silence().as_secs()))
}

/// Why no rows are to be expected to go through; none: the host is ready.
#[must_use]
pub fn not_ready(host: &Host) -> Option<String> {
    if host.stop.is_set() {
        return Some("the host stops".to_owned());
    }
    if let Some(reason) = host.waiting_for() {
        return Some(format!("it waits for {reason}"));
    }
    let snapshots: Vec<Snapshot> = host.threads.iter().map(|thread| thread.snapshot()).collect();
    if let Some((index, fault)) =
        snapshots.iter().enumerate().find_map(|(index, snapshot)| Some((index, snapshot.fault.as_ref()?)))
    {
        return Some(format!("stream thread {index} waits: {fault}"));
    }
    if snapshots.iter().all(|snapshot| snapshot.tasks.is_empty()) {
        return Some("no partitions are assigned to it yet".to_owned());
    }
    restoring(snapshots.iter().flat_map(|snapshot| &snapshot.tasks))
}

/// Which of `tasks` restore their stores, and how much they have to read still; none: none of them.
pub fn restoring<'t>(tasks: impl Iterator<Item = &'t TaskStatus>) -> Option<String> {
    let restoring: Vec<&TaskStatus> = tasks.filter(|task| task.state == State::Restoring).collect();
    let (first, others) = restoring.split_first()?;
    let left: Option<i64> = restoring.iter().map(|task| offsets_left(task)).sum();
    let left = left.map_or_else(String::new, |left| format!(", {left} offsets of their changelogs left"));
    Some(match others.len() {
        0 => format!("task {} restores its stores{}", first.task, left.replace("their", "its")),
        _ => format!("{} tasks restore their stores{left}", restoring.len()),
    })
}

/// `GET /api/v1/status`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The application.
    pub application: String,
    /// This host's id.
    pub host: String,
    /// Whether rows go through.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The tasks of this host.
    pub tasks: Vec<TaskView>,
    /// Its stream threads.
    pub threads: Vec<ThreadView>,
    /// The nodes, in file order.
    pub nodes: Vec<NodeView>,
}

/// A task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// As `0_3`.
    pub task: String,
    /// The stream thread that runs it.
    pub thread: usize,
    /// Where it stands.
    pub state: String,
    /// Milliseconds since 1970 UTC.
    pub stream_time_ms: Option<i64>,
    /// Its input partitions.
    pub positions: Vec<PositionView>,
    /// The changelogs that it replays, while it restores.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub restoring: Vec<ReplayView>,
    /// What it runs at each process node.
    pub versions: Vec<VersionView>,
    /// Why it is FAILED.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<serde_json::Value>,
}

/// An input partition of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionView {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to take.
    pub offset: i64,
    /// The offset after the last committed row; none: the log does not answer.
    pub end: Option<i64>,
    /// How many offsets lie between.
    pub lag: Option<i64>,
}

/// A changelog that a task replays.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// The changelog.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to replay.
    pub next: i64,
    /// Where the replay ends; none: the log has not said yet.
    pub end: Option<i64>,
}

/// A version that a task runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// The node.
    pub node: String,
    /// The version.
    pub version: String,
    /// The deployment's revision.
    pub revision: u64,
}

/// A stream thread.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadView {
    /// From 0.
    pub thread: usize,
    /// Where it stands.
    pub phase: String,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<String>,
    /// How often it began anew.
    pub restarts: u64,
    /// Its transactions that are committed.
    pub commits: u64,
}

/// A node, over all threads of this host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// What it does.
    pub kind: String,
    /// Rows taken in.
    pub rows_in: u64,
    /// Rows given out.
    pub rows_out: u64,
    /// Rows dropped, by reason.
    pub dropped_records: std::collections::BTreeMap<String, u64>,
    /// The plugin's component that is deployed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<String>,
    /// Component and configuration that are deployed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<u64>,
    /// Its configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<serde_json::Value>,
    /// The longest time for which a swap kept rows waiting on this host, in milliseconds; none: no swap yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub longest_pause_ms: Option<f64>,
}

/// The whole status. Asks the log for the ends of partitions.
#[must_use]
pub fn status(host: &Host) -> Status {
    let snapshots: Vec<Snapshot> = host.threads.iter().map(|thread| thread.snapshot()).collect();
    let reason = not_ready(host);
    let mut tasks: Vec<TaskView> = Vec::new();
    for (thread, snapshot) in snapshots.iter().enumerate() {
        tasks.extend(snapshot.tasks.iter().map(|task| task_view(host, thread, snapshot, task)));
    }
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    let threads = snapshots.iter().enumerate().map(|(thread, snapshot)| ThreadView {
        thread,
        phase: phase_name(snapshot.phase).to_owned(),
        fault: snapshot.fault.clone(),
        restarts: snapshot.restarts,
        commits: snapshot.commits.count(),
    });
    Status {
        application: host.topology.application.clone(),
        host: host.state_dir.host_id().to_owned(),
        ready: reason.is_none(),
        reason,
        tasks,
        threads: threads.collect(),
        nodes: nodes(host, &snapshots),
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Waiting => "waiting",
        Phase::Stopped => "stopped",
    }
}

fn task_view(host: &Host, thread: usize, snapshot: &Snapshot, task: &TaskStatus) -> TaskView {
    let client = host.client().ok();
    let position = |(at, offset): &(weir_core::record::TopicPartition, i64)| {
        let end = client.as_ref().and_then(|client| client.offsets(at).ok()).map(|(_, end)| end);
        PositionView {
            topic: at.topic.as_str().to_owned(),
            partition: at.partition,
            offset: *offset,
            end,
            lag: end.map(|end| (end - offset).max(0)),
        }
    };
    let version = |(node, version, revision): &(weir_core::topology::NodeName, weir_core::ports::Digest, u64)| {
        VersionView { node: node.as_str().to_owned(), version: version.as_str().to_owned(), revision: *revision }
    };
    let replay = |(at, next, end): &(weir_core::record::TopicPartition, i64, Option<i64>)| ReplayView {
        topic: at.topic.as_str().to_owned(),
        partition: at.partition,
        next: *next,
        end: *end,
    };
    let failure = snapshot.failures.get(&task.task).filter(|_| task.state == State::Failed);
    TaskView {
        task: task.task.to_string(),
        thread,
        state: task.state.as_str().to_owned(),
        stream_time_ms: task.stream_time_ms,
        positions: task.positions.iter().map(position).collect(),
        restoring: task.restoring.iter().map(replay).collect(),
        versions: task.versions.iter().map(version).collect(),
        failure: failure.and_then(|failure| serde_json::to_value(failure).ok()),
    }
}

fn nodes(host: &Host, snapshots: &[Snapshot]) -> Vec<NodeView> {
    let metrics = super::metrics::nodes(snapshots);
    let view = |node: &weir_core::topology::Node| {
        let done = metrics.get(&node.name).cloned().unwrap_or_default();
        let live = host
            .deployments
            .with(|fold| fold.live(node.name.as_str()).cloned())
            .map(|live| (live.revision, live.intent));
        let pauses = snapshots.iter().filter_map(|snapshot| snapshot.pauses.get(node.name.as_str()));
        NodeView {
            node: node.name.as_str().to_owned(),
            kind: kind_name(&node.kind).to_owned(),
            rows_in: done.rows_in,
            rows_out: done.rows_out,
            dropped_records: done.dropped,
            artifact: live.as_ref().map(|(_, intent)| intent.artifact.clone()),
            version: live.as_ref().map(|(_, intent)| intent.version.clone()),
            revision: live.as_ref().map(|(revision, _)| *revision),
            config: live.map(|(_, intent)| intent.config),
            longest_pause_ms: pauses.max().map(|pause| pause.as_secs_f64() * 1e3),
        }
    };
    host.topology.nodes.iter().map(view).collect()
}

/// The status of one node.
///
/// # Errors
/// There is no such node.
pub fn node(host: &Host, name: &str) -> Result<NodeView, Problem> {
    let snapshots: Vec<Snapshot> = host.threads.iter().map(|thread| thread.snapshot()).collect();
    nodes(host, &snapshots).into_iter().find(|node| node.node == name).ok_or_else(|| no_node(host, name))
}

/// There is no process node of that name; those that there are.
#[must_use]
pub fn no_node(host: &Host, name: &str) -> Problem {
    let nodes: Vec<&str> = plugins::plugin_nodes(&host.topology).map(|(node, _)| node.as_str()).collect();
    Problem::not_found(format!("there is no node `{name}` with a plugin; there are: {}", nodes.join(", ")))
}

/// What a node does, as the topology file calls it.
#[must_use]
pub fn kind_name(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Source(_) => "source",
        NodeKind::Filter(_) => "filter",
        NodeKind::Process(_) => "process",
        NodeKind::Branch(_) => "branch",
        NodeKind::Map(_) => "map",
        NodeKind::FlatMap(_) => "flat-map",
        NodeKind::Peek(_) => "peek",
        NodeKind::Aggregate(_) => "aggregate",
        NodeKind::Suppress(_) => "suppress",
        NodeKind::ToTable(_) => "to-table",
        NodeKind::FilterTable(_) => "filter",
        NodeKind::MapTable(_) => "map",
        NodeKind::Join(_) | NodeKind::JoinTables(_) | NodeKind::StreamJoin(_) => "join",
        NodeKind::Sink(_) | NodeKind::DynamicSink(_) => "sink",
    }
}
