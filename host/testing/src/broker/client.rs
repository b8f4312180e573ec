use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Client, Connector, NewTopic, Position, TopicFacts, Transport, TransportError};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::{SimBroker, SimTransport, StoredRow};

/// A host of an application at a simulated broker.
#[derive(Clone)]
pub struct SimConnector {
    broker: SimBroker,
    application: String,
    host: usize,
    topics: Vec<TopicName>,
}

impl SimConnector {
    /// Host `host` of `application`, whose threads read `topics`.
    #[must_use]
    pub fn new(broker: &SimBroker, host: usize, application: &str, topics: &[TopicName]) -> Self {
        Self { broker: broker.clone(), application: application.to_owned(), host, topics: topics.to_vec() }
    }

    /// The transport of a thread.
    #[must_use]
    pub fn sim_transport(&self, thread: usize) -> SimTransport {
        let instance = format!("{}-{}-{thread}", self.application, self.host);
        SimTransport::new(&self.broker, &self.application, instance, &self.topics)
    }
}

impl Connector for SimConnector {
    fn client(&self) -> Arc<dyn Client> {
        Arc::new(self.clone())
    }

    fn transport(&self, thread: usize) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(self.sim_transport(thread)))
    }
}

fn unknown(partition: &TopicPartition) -> TransportError {
    TransportError::Retriable(format!("there is no partition {partition}"))
}

impl Client for SimConnector {
    fn partitions(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, i32>, TransportError> {
        let known = topics.iter().map(|topic| (topic.clone(), self.broker.partitions(topic)));
        Ok(known.filter(|(_, partitions)| *partitions > 0).collect())
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<bool, TransportError> {
        let mut settings = topic.settings.clone();
        let policy = if topic.compacted { "compact" } else { "delete" };
        settings.entry("cleanup.policy".to_owned()).or_insert_with(|| policy.to_owned());
        Ok(self.broker.create_topic_with(&topic.name, topic.partitions, settings))
    }

    fn offsets(&self, partition: &TopicPartition) -> Result<(i64, i64), TransportError> {
        let broker = self.broker.lock();
        let log = broker.partition(partition).ok_or_else(|| unknown(partition))?;
        Ok((log.begin(), log.stable_end()))
    }

    fn offset_at(&self, partition: &TopicPartition, timestamp: i64) -> Result<i64, TransportError> {
        let broker = self.broker.lock();
        let log = broker.partition(partition).ok_or_else(|| unknown(partition))?;
        Ok(log.offset_at(timestamp, &broker.transactions))
    }

    /// Does not wait: simulated time passes elsewhere.
    fn read(
        &self,
        partition: &TopicPartition,
        offset: i64,
        rows: usize,
        _wait: Duration,
    ) -> Result<(RecordBatch, i64), TransportError> {
        let broker = self.broker.lock();
        let log = broker.partition(partition).ok_or_else(|| unknown(partition))?;
        Ok(log.read(offset, rows, &broker.transactions))
    }

    fn append(&self, partition: &TopicPartition, rows: &RecordBatch) -> Result<Vec<i64>, TransportError> {
        let append = |row| self.broker.append(partition, StoredRow::of_batch(rows, row));
        (0..rows.len()).map(|row| append(row).ok_or_else(|| unknown(partition))).collect()
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Position>, TransportError> {
        let at = |partition| self.broker.committed_position(&self.application, partition);
        Ok(partitions.iter().filter_map(at).collect())
    }

    fn members(&self) -> Result<Vec<String>, TransportError> {
        Ok(self.broker.lock().members(&self.application))
    }

    fn set_positions(&self, positions: &[Position]) -> Result<(), TransportError> {
        self.broker.lock().set_positions(&self.application, positions)
    }

    fn describe(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, TopicFacts>, TransportError> {
        let broker = self.broker.lock();
        let facts = |topic: &TopicName| Some((topic.clone(), broker.facts.get(topic)?.clone()));
        Ok(topics.iter().filter_map(facts).collect())
    }

    fn delete_topic(&self, topic: &TopicName) -> Result<bool, TransportError> {
        Ok(self.broker.delete_topic(topic))
    }

    fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        let mut broker = self.broker.lock();
        for (partition, offset) in before {
            broker.partition_mut(partition).ok_or_else(|| unknown(partition))?.purge(*offset);
        }
        Ok(())
    }
}
