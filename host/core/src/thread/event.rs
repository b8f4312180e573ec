use crate::ports::{CommitError, Committed, Digest, Position};
use crate::record::{RecordBatch, TopicPartition};
use crate::topology::NodeName;

/// All that can wake the engine. Closed: what is not here cannot happen to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These partitions are ours now, beside those we have.
    Assigned(Vec<Position>),
    /// These go to another member once we release them: commit first.
    Revoked(Vec<TopicPartition>),
    /// Another member owns these by now: abort, a commit would be a lie.
    Lost(Vec<TopicPartition>),
    /// Rows of one partition, in offset order.
    Fetched(TopicPartition, RecordBatch),
    /// The partition has no more rows at this moment.
    Ended(TopicPartition),
    /// Rows of a changelog; see [`Incoming::Replayed`](crate::ports::Incoming).
    Replayed {
        /// The changelog's partition.
        partition: TopicPartition,
        /// In offset order.
        rows: RecordBatch,
        /// Where to go on.
        next: i64,
        /// Where the replay ends.
        end: i64,
        /// What was kept is to be forgotten.
        restarted: bool,
    },
    /// The transaction asked for is committed.
    Committed(Committed),
    /// It is not, or nobody knows: everything since the last commit is to be forgotten, positions read anew.
    CommitFailed(CommitError),
    /// The transaction broke before its commit was asked for: like a refused commit.
    Broken(String),
    /// Positions as they are committed, after a failure.
    Recovered(Vec<Position>),
    /// `node` runs `version` from each task's next commit boundary on. Comes before the first assignment for every
    /// process node; `revision` numbers the deployments of the application.
    Deployed {
        /// The node.
        node: NodeName,
        /// The version.
        version: Digest,
        /// Rising.
        revision: u64,
    },
    /// Time has passed and nothing else came.
    Tick,
    /// Commit what there is, now: commit points that a test chooses.
    Commit,
    /// Commit what there is and stop.
    Shutdown,
}
