use crate::ports::{Digest, Outgoing, Position, Replay};
use crate::record::TopicPartition;
use crate::state::ReplayFrom;
use crate::task::TaskId;
use crate::topology::NodeName;

/// All that the engine can ask for, to be done in the order given.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Begin a transaction: its first output or position follows.
    Begin,
    /// Add rows to the transaction.
    Produce(Outgoing),
    /// Commit the transaction with these positions; answered by `Committed` or `CommitFailed`.
    Commit(Vec<Position>),
    /// Abort the transaction.
    Abort,
    /// Settle what is open and read positions anew; answered by `Recovered`.
    Recover,
    /// Fetch from these offsets.
    Seek(Vec<(TopicPartition, i64)>),
    /// Fetch no more of these.
    Pause(Vec<TopicPartition>),
    /// Fetch these again.
    Resume(Vec<TopicPartition>),
    /// Give up revoked partitions.
    Release(Vec<TopicPartition>),
    /// Read changelogs; answered by `Replayed` until each has come to its end.
    Replay(Vec<Replay>),
    /// Read these changelogs no further.
    StopReplay(Vec<TopicPartition>),
    /// Rows before these offsets are not needed any more.
    Purge(Vec<(TopicPartition, i64)>),
    /// Tell people.
    Report(Report),
    /// The thread has nothing open and nothing left to do.
    Stop,
}

impl Effect {
    /// Whether it is about the open transaction, and void once that is broken.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        matches!(self, Self::Begin | Self::Produce(_) | Self::Commit(_) | Self::Abort)
    }
}

/// Something that an operator wants to know: a log line, a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The node.
    pub node: NodeName,
    /// The plugin version, at a process node.
    pub version: Option<Digest>,
    /// Where the record stands; none where no record caused it.
    pub at: Option<(TopicPartition, i64)>,
    /// What.
    pub kind: ReportKind,
}

/// What a [`Report`] is about. `reason` is a metric's label: a trap's kind or a reject's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// The task replays changelogs before it runs; or begins again with one of those that it was told to replay.
    RestoreBegan {
        /// Partitions, and where each is begun with.
        changelogs: Vec<(TopicPartition, ReplayFrom)>,
    },
    /// The task's stores are where its last commit left them; it runs.
    Restored,
    /// The row was dropped by the node's policy.
    Skipped {
        /// For the metric.
        reason: String,
        /// For people.
        message: String,
        /// Symbolised frames, empty where there are none.
        backtrace: String,
    },
    /// A node shows a row to people: a few of a step.
    Peeked {
        /// The row, or what an expression makes of it: one line of bounded length.
        shown: String,
        /// Rows of the step behind it that the node does not show.
        unshown: u64,
    },
    /// The task is FAILED at the row.
    Failed {
        /// For the metric.
        reason: String,
        /// For people.
        message: String,
        /// Symbolised frames, empty where there are none.
        backtrace: String,
    },
    /// A call trapped, and did not on a fresh instance or with fewer rows: no record's fault.
    Retried {
        /// The trap's kind.
        reason: String,
        /// For people.
        message: String,
    },
    /// The task runs another version of the node's plugin from here on.
    Swapped {
        /// The version before.
        from: Digest,
        /// The version now.
        to: Digest,
    },
    /// The new version could not be started in this task: it keeps the old one.
    SwapRefused {
        /// The version asked for.
        to: Digest,
        /// Why.
        message: String,
    },
}
