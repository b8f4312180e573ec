use std::time::Duration;

use thiserror::Error;

use crate::record::{RecordBatch, Rows, TopicName, TopicPartition};

/// Where one stream thread's records come from and go to: Kafka, the embedded log, a simulation.
///
/// Nothing above this trait knows which. One suite, `weir_testing::contract`, holds all three to what is said here.
///
/// A transport has at most one transaction open. Rows, positions and revocations reach the engine only through
/// [`Transport::poll`], so nothing changes hands in the middle of a step.
pub trait Transport {
    /// What came by the end of `wait`; returns at once when there is something. Empty: nothing came.
    ///
    /// Rows are committed ones, in offset order within a partition, and only of partitions that were assigned and are
    /// neither revoked nor paused. After [`Transport::seek`] no row of before the seek appears any more.
    ///
    /// # Errors
    /// [`TransportError`]; a retriable one leaves everything as it was.
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError>;

    /// Begins a transaction. None may be open.
    ///
    /// # Errors
    /// [`TransportError`]: nothing was begun.
    fn begin(&mut self) -> Result<(), TransportError>;

    /// Adds rows to the open transaction, in order within each partition. Waits where the queue is full.
    ///
    /// # Errors
    /// [`TransportError`]: the transaction can only be aborted.
    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError>;

    /// Commits the open transaction with the input positions of every task that wrote in it: all of it or nothing.
    ///
    /// # Errors
    /// [`CommitError`] says what is known of the outcome; [`Transport::recover`] is what comes next in each case.
    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError>;

    /// Aborts the open transaction; readers of committed records never see a row of it.
    ///
    /// # Errors
    /// [`TransportError`]: the outcome is settled by [`Transport::recover`].
    fn abort(&mut self) -> Result<(), TransportError>;

    /// Makes an end of whatever was open, by a new producer where there is one, and reads the committed positions of the
    /// partitions assigned now anew. Fetching goes on from them.
    ///
    /// # Errors
    /// [`TransportError`]; the caller tries again with a back-off while it is retriable.
    fn recover(&mut self) -> Result<Vec<Position>, TransportError>;

    /// Fetching goes on from `offset` in each partition.
    ///
    /// # Errors
    /// [`TransportError`].
    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError>;

    /// Fetches no more rows of `partitions` until they are resumed.
    ///
    /// # Errors
    /// [`TransportError`].
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError>;

    /// Fetches rows of `partitions` again.
    ///
    /// # Errors
    /// [`TransportError`].
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError>;

    /// Gives up revoked partitions: their work is committed or aborted. The group waits for this.
    ///
    /// # Errors
    /// [`TransportError`].
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError>;

    /// Reads changelogs beside the input: [`Incoming::Replayed`] follows until each has come to the end that it has now.
    /// A partition that is being replayed already begins anew. Membership does not touch it.
    ///
    /// # Errors
    /// [`TransportError`].
    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError>;

    /// Reads these changelogs no further; what was read of them and not yet polled is dropped.
    ///
    /// # Errors
    /// [`TransportError`].
    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError>;

    /// Rows before each offset are not needed any more and may be deleted, now or later: a hint, outside of transactions.
    ///
    /// # Errors
    /// [`TransportError::Fatal`] alone: that it cannot be done now is the transport's to log and to forget.
    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError>;
}

/// What a poll brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// These are ours now, beside those we have; fetching from these positions has begun.
    Assigned(Vec<Position>),
    /// These go to another member once they are released: commit or abort, then [`Transport::release`].
    Revoked(Vec<TopicPartition>),
    /// Another member owns these by now: abort, a commit would be a lie. Nothing is to be released.
    Lost(Vec<TopicPartition>),
    /// Rows of one partition.
    Fetched(TopicPartition, RecordBatch),
    /// Every row of the partition that is committed has been given: told once when it is so, also of a partition without
    /// rows, and again after more rows, a [`Transport::seek`], [`Transport::recover`] or [`Transport::resume`].
    Ended(TopicPartition),
    /// Committed rows of a changelog that [`Transport::replay`] asked for, in offset order.
    Replayed {
        /// The changelog's partition.
        partition: TopicPartition,
        /// May be empty.
        rows: RecordBatch,
        /// Where to go on: beyond the last row, past markers and compacted rows.
        next: i64,
        /// The end as it was when the replay began, rows of open transactions included. `next >= end`: this was the last.
        /// It may hold rows that were committed at or beyond the end since.
        end: i64,
        /// The offset to begin with was not in the log any more, or not yet: this begins at the log's first row, and what
        /// was kept is to be forgotten. Only in the first batch of a replay.
        restarted: bool,
    },
}

/// A changelog to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset; none: the log's first row.
    pub from: Option<i64>,
}

/// What a commit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Of each partition that the transaction wrote: an offset beyond its last row there, before any later row of this
    /// transport. One is missing where the log could not be asked in time: what was known of it before still holds.
    pub ends: Vec<(TopicPartition, i64)>,
}

/// How far a task has come in one of its input partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: TopicPartition,
    /// The next row to take.
    pub offset: i64,
    /// What was committed with it (at most 4 KB); none: nothing was ever committed, and `offset` is where to start.
    pub metadata: Option<String>,
}

/// Rows for one topic, each with its partition: the engine computes every partition itself.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The topic.
    pub topic: TopicName,
    /// A cell per row.
    pub partitions: Vec<i32>,
    /// The rows; a sink's origins are no longer of interest.
    pub rows: Rows,
}

/// Why a commit did not return as done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// Nothing of it happened.
    #[error("the transaction was refused and did not happen: {0}")]
    Refused(String),
    /// It may have happened: only the committed positions tell.
    #[error("the end of the transaction is unknown: {0}")]
    Unknown(String),
    /// The group or another producer has passed over us. Nothing of it happened.
    #[error("fenced: {0}")]
    Fenced(String),
}

/// Why a transport could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// It may pass; try again with a back-off.
    #[error("{0}")]
    Retriable(String),
    /// The open transaction cannot be committed any more: recover.
    #[error("{0}")]
    Abortable(String),
    /// This transport is done for: the thread ends, its partitions go to others. Nothing is lost.
    #[error("{0}")]
    Fatal(String),
}
