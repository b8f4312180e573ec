use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weir_core::ports::{Client, Connector, NewTopic, Position, TopicFacts, Transport, TransportError};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use crate::config::{FETCH_BYTES_MAX, PARTITIONS_MAX};
use crate::draft::Draft;
use crate::error::WriteError;
use crate::frame::{PartitionKey, PositionMeta, TopicMeta};
use crate::group::Group;
use crate::log::EmbeddedLog;
use crate::retention::{Retention, cleanup_policy};
use crate::transport::{LogTransport, no_partition, position_of};
use crate::writer::{Done, Request};

/// Makes what a host of one application needs of an embedded log.
#[derive(Clone, Debug)]
pub struct LogConnector {
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// Names the group: its threads share the partitions, its positions are its own.
    pub application: String,
    /// The topics whose partitions are shared out.
    pub topics: Vec<TopicName>,
}

impl Connector for LogConnector {
    fn client(&self) -> Arc<dyn Client> {
        Arc::new(LogClient { log: self.log.clone(), application: self.application.clone() })
    }

    fn transport(&self, thread: usize) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(LogTransport::new(self.log.clone(), &self.application, &self.topics, thread)))
    }
}

struct LogClient {
    log: Arc<EmbeddedLog>,
    application: String,
}

impl From<WriteError> for TransportError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Failed(why) | WriteError::Unknown(why) => Self::Fatal(why),
        }
    }
}

impl LogClient {
    fn key(&self, partition: &TopicPartition) -> Result<PartitionKey, TransportError> {
        let key = self.log.state().key(partition);
        key.ok_or_else(|| TransportError::Abortable(no_partition(partition)))
    }
}

impl Client for LogClient {
    fn partitions(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, i32>, TransportError> {
        let state = self.log.state();
        let count = |topic| Some(state.topics.get(state.by_name.get(topic)?)?.meta.partitions);
        Ok(topics.iter().filter_map(|topic| Some((topic.clone(), count(topic)?))).collect())
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<bool, TransportError> {
        let refused = |why: String| TransportError::Abortable(format!("cannot create topic `{}`: {why}", topic.name));
        if !(1..=PARTITIONS_MAX).contains(&topic.partitions) {
            return Err(refused(format!("{} partitions; from 1 to {PARTITIONS_MAX} are possible", topic.partitions)));
        }
        if topic.name.as_str().is_empty() {
            return Err(refused("it has no name".into()));
        }
        Retention::of(&topic.settings, topic.compacted).map_err(refused)?;
        let meta = TopicMeta {
            id: 0,
            name: topic.name.as_str().to_owned(),
            partitions: topic.partitions,
            compacted: topic.compacted,
            settings: topic.settings.clone(),
        };
        Ok(self.log.write(Request::CreateTopic(meta))? != Done::Exists)
    }

    fn offsets(&self, partition: &TopicPartition) -> Result<(i64, i64), TransportError> {
        let key = self.key(partition)?;
        Ok(self.log.state().partition(key).map_or((0, 0), |partition| (partition.begin, partition.next)))
    }

    fn offset_at(&self, partition: &TopicPartition, timestamp: i64) -> Result<i64, TransportError> {
        Ok(self.log.find_timestamp(self.key(partition)?, timestamp)?)
    }

    fn read(
        &self,
        partition: &TopicPartition,
        offset: i64,
        rows: usize,
        wait: Duration,
    ) -> Result<(RecordBatch, i64), TransportError> {
        let key = self.key(partition)?;
        let deadline = Instant::now() + wait;
        let mut offset = offset;
        loop {
            let (batch, next) = self.log.read_rows(partition, key, offset, rows, FETCH_BYTES_MAX)?;
            offset = next;
            let state = self.log.state();
            let left = deadline.saturating_duration_since(Instant::now());
            if !batch.is_empty() || rows == 0 || left.is_zero() {
                return Ok((batch, offset));
            }
            // Committed since it was read: the notification has passed already.
            if state.partition(key).is_none_or(|partition| partition.next <= offset) {
                drop(self.log.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn append(&self, partition: &TopicPartition, rows: &RecordBatch) -> Result<Vec<i64>, TransportError> {
        let key = self.key(partition)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut draft = Draft::default();
        draft.add_batch(key, rows).map_err(TransportError::Abortable)?;
        let base = match self.log.write(Request::Transaction(draft))? {
            Done::Written(bases) => bases.get(&key).copied().unwrap_or_default(),
            Done::Exists | Done::Gone => return Err(TransportError::Abortable(no_partition(partition))),
        };
        Ok((base..base + rows.len() as i64).collect())
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Position>, TransportError> {
        let state = self.log.state();
        let positions = partitions.iter().filter_map(|partition| {
            let key = state.key(partition)?;
            Some(position_of(&state, &self.application, partition, key))
        });
        Ok(positions.filter(|position| position.metadata.is_some()).collect())
    }

    fn members(&self) -> Result<Vec<String>, TransportError> {
        let state = self.log.state();
        Ok(state.groups.get(&self.application).map(Group::members).unwrap_or_default())
    }

    fn set_positions(&self, positions: &[Position]) -> Result<(), TransportError> {
        let members = self.members()?;
        if !members.is_empty() {
            let (application, members) = (&self.application, members.join(", "));
            return Err(TransportError::Abortable(format!("`{application}` runs: {members}")));
        }
        if positions.is_empty() {
            return Ok(());
        }
        let position = |position: &Position| {
            let (application, metadata) = (self.application.clone(), String::new());
            let partition = self.key(&position.partition)?;
            Ok(PositionMeta { application, partition, offset: position.offset, metadata })
        };
        let positions = positions.iter().map(position).collect::<Result<Vec<_>, TransportError>>()?;
        let mut draft = Draft::default();
        draft.positions = positions;
        match self.log.write(Request::Transaction(draft))? {
            Done::Written(_) => Ok(()),
            Done::Exists | Done::Gone => Err(TransportError::Abortable("a topic was deleted meanwhile".into())),
        }
    }

    fn describe(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, TopicFacts>, TransportError> {
        let state = self.log.state();
        let facts = |topic: &TopicName| {
            let meta = &state.topics.get(state.by_name.get(topic)?)?.meta;
            let mut settings = meta.settings.clone();
            settings.insert("cleanup.policy".to_owned(), cleanup_policy(&meta.settings, meta.compacted));
            let id = format!("{:016x}-{}", self.log.log_id, meta.id);
            Some((topic.clone(), TopicFacts { partitions: meta.partitions, id, settings }))
        };
        Ok(topics.iter().filter_map(facts).collect())
    }

    fn delete_topic(&self, topic: &TopicName) -> Result<bool, TransportError> {
        let id = self.log.state().by_name.get(topic).copied();
        let Some(id) = id else { return Ok(false) };
        Ok(matches!(self.log.write(Request::DeleteTopic(id))?, Done::Written(_)))
    }

    fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        let purge = |(partition, offset): &(TopicPartition, i64)| Ok((self.key(partition)?, *offset));
        let purges = before.iter().map(purge).collect::<Result<Vec<_>, TransportError>>()?;
        let mut draft = Draft::default();
        draft.purges = purges;
        Ok(self.log.write(Request::Transaction(draft)).map(drop)?)
    }
}
