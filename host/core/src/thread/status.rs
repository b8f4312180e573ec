use super::StreamThread;
use crate::ports::Digest;
use crate::record::TopicPartition;
use crate::task::{NodeMetrics, TaskId, life::State};
use crate::topology::{NodeIndex, NodeName};

/// What people and monitors want to know of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: State,
    /// The next offset of each input partition, committed or not.
    pub positions: Vec<(TopicPartition, i64)>,
    /// The next offset of each as of the last commit: what its stores hold the effects of.
    pub committed: Vec<(TopicPartition, i64)>,
    /// Milliseconds since 1970 UTC; none before the first row.
    pub stream_time_ms: Option<i64>,
    /// The changelogs that are being replayed, with the next offset and, once it is known, the end.
    pub restoring: Vec<(TopicPartition, i64, Option<i64>)>,
    /// The version that runs at each process node, with its deployment's revision.
    pub versions: Vec<(NodeName, Digest, u64)>,
}

impl StreamThread {
    /// All tasks of this thread.
    pub fn tasks(&self) -> impl Iterator<Item = TaskStatus> + '_ {
        self.tasks.values().map(|task| TaskStatus {
            task: task.id,
            state: task.state(),
            positions: task.offsets(),
            committed: task.committed_offsets().map(|(partition, offset)| (partition.clone(), offset)).collect(),
            stream_time_ms: task.stream_time(),
            restoring: task.restoring(),
            versions: task.running().into_iter().map(|at| (at.node, at.version, at.revision)).collect(),
        })
    }

    /// What each node has done since the thread started, in file order.
    pub fn metrics(&self) -> impl Iterator<Item = (&NodeName, &NodeMetrics)> {
        let name = |(index, metrics)| (&self.topology.node(NodeIndex(index)).name, metrics);
        self.metrics.iter().enumerate().map(name)
    }
}
