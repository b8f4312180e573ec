use std::collections::BTreeMap;
use std::time::Duration;

use super::{Position, Transport, TransportError};
use crate::record::{RecordBatch, TopicName, TopicPartition};

/// All that a host does with its log beside its stream threads: topics, tailing, appending, offsets. Blocking; any thread.
pub trait Client: Send + Sync {
    /// Partitions of every topic asked for that exists.
    ///
    /// # Errors
    /// [`TransportError`].
    fn partitions(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, i32>, TransportError>;

    /// Creates a topic; `false`: it is already there, as it is.
    ///
    /// # Errors
    /// [`TransportError`].
    fn create_topic(&self, topic: &NewTopic) -> Result<bool, TransportError>;

    /// The first offset of a partition that can be read, and the one after the last committed one.
    ///
    /// # Errors
    /// [`TransportError`].
    fn offsets(&self, partition: &TopicPartition) -> Result<(i64, i64), TransportError>;

    /// The first offset whose timestamp (milliseconds since 1970 UTC) is `timestamp` or later; the end where there is none.
    ///
    /// # Errors
    /// [`TransportError`].
    fn offset_at(&self, partition: &TopicPartition, timestamp: i64) -> Result<i64, TransportError>;

    /// Committed rows of a partition from `offset` on, at most `rows` of them; waits up to `wait` for the first. The
    /// second result is where to go on: beyond the last row, past markers and compacted rows.
    ///
    /// # Errors
    /// [`TransportError`].
    fn read(
        &self,
        partition: &TopicPartition,
        offset: i64,
        rows: usize,
        wait: Duration,
    ) -> Result<(RecordBatch, i64), TransportError>;

    /// Appends rows (`offsets` are ignored) and returns the offset of each once all are durable. Outside of transactions;
    /// on an error some may have been appended.
    ///
    /// # Errors
    /// [`TransportError`].
    fn append(&self, partition: &TopicPartition, rows: &RecordBatch) -> Result<Vec<i64>, TransportError>;

    /// The positions that the application has committed, for those of `partitions` that have one.
    ///
    /// # Errors
    /// [`TransportError`].
    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Position>, TransportError>;

    /// Who is a member of the application's group now, by names that people know; empty: nobody runs it.
    ///
    /// # Errors
    /// [`TransportError`].
    fn members(&self) -> Result<Vec<String>, TransportError>;

    /// Commits positions of the application in its absence, `metadata` left out. Whoever was expelled and does not know it
    /// yet can commit nothing afterwards, and has nothing open that others would wait for; that holds for no positions too.
    ///
    /// # Errors
    /// [`TransportError`]; abortable where the group has a member: nothing was committed then.
    fn set_positions(&self, positions: &[Position]) -> Result<(), TransportError>;

    /// What is known of every topic asked for that exists.
    ///
    /// # Errors
    /// [`TransportError`].
    fn describe(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, TopicFacts>, TransportError>;

    /// Deletes a topic with its rows and the positions in it; `false`: there is none. One that is created under its name
    /// later has another identity.
    ///
    /// # Errors
    /// [`TransportError`].
    fn delete_topic(&self, topic: &TopicName) -> Result<bool, TransportError>;

    /// Deletes the rows before each offset, all rows where it lies beyond the end, and returns once they are gone. Kafka
    /// refuses it for topics whose `cleanup.policy` does not name `delete`.
    ///
    /// # Errors
    /// [`TransportError`]; some may be gone already.
    fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError>;
}

/// What a log tells of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// How many partitions it has.
    pub partitions: i32,
    /// Its identity: no other topic of this log ever had it, nor will one of the same name after this one is deleted.
    pub id: String,
    /// Its settings by Kafka's names, values as Kafka writes them; those that this log has, `cleanup.policy` among them. A
    /// log without `delete.retention.ms` keeps tombstones for as long as no younger row of their key is there.
    pub settings: BTreeMap<String, String>,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// At least 1.
    pub partitions: i32,
    /// Keeps the last row of each key for ever instead of all rows for a time.
    pub compacted: bool,
    /// Further settings by Kafka's names; a transport that has no such setting says so. `cleanup.policy` set to
    /// `compact,delete` beside `compacted` lets rows be deleted by time and by offset as well.
    pub settings: BTreeMap<String, String>,
}

/// Makes what a host needs of one kind of log.
pub trait Connector: Send + Sync {
    /// The client of this host.
    fn client(&self) -> std::sync::Arc<dyn Client>;

    /// The transport of stream thread `thread` (from 0), to be used by the calling OS thread alone.
    ///
    /// # Errors
    /// [`TransportError`].
    fn transport(&self, thread: usize) -> Result<Box<dyn Transport>, TransportError>;
}
