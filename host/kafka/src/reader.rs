use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use weir_core::ports::TransportError;
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use crate::config::{KafkaConfig, Role};
use crate::ffi::{Fetched, RowQueue};
use crate::seek::{offset_list, seek};
use crate::status::{Status, Watch};

/// How long a wait for rows may hide the consumer's other events.
const TURN: Duration = Duration::from_millis(20);

/// A tail of one partition, outside of any group: kept between reads, so that reading on costs no new connection.
pub(crate) struct Reader {
    partition: TopicPartition,
    /// Where fetching stands.
    next: i64,
    rows: RowQueue<Watch>,
    consumer: Arc<BaseConsumer<Watch>>,
    status: Status,
}

impl Reader {
    pub fn new(
        config: &KafkaConfig,
        status: Status,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<Self, TransportError> {
        let id = format!("{}-{}-reader", config.application, config.host_id);
        let fatal = |what: String| TransportError::Fatal(format!("a reader of {partition} cannot be made: {what}"));
        let made = config.client(Role::Reader, &id).create_with_context(Watch(status.clone()));
        let consumer: Arc<BaseConsumer<Watch>> = Arc::new(made.map_err(|error| fatal(error.to_string()))?);
        let mut rows = RowQueue::new(consumer.clone()).ok_or_else(|| fatal("no queue".into()))?;
        if !rows.forward(partition) {
            return Err(fatal("no queue of the partition".into()));
        }
        let list = offset_list(&[(partition.clone(), offset)])?;
        consumer.assign(&list).map_err(|error| fatal(error.to_string()))?;
        Ok(Self { partition: partition.clone(), next: offset, rows, consumer, status })
    }

    pub fn is_of(&self, partition: &TopicPartition) -> bool {
        self.partition == *partition
    }

    pub fn topic(&self) -> &TopicName {
        &self.partition.topic
    }

    /// Rows from `offset` on, and where to go on; waits up to `wait` for the first.
    pub fn read(&mut self, offset: i64, rows_max: usize, wait: Duration) -> Result<(RecordBatch, i64), TransportError> {
        if self.next != offset {
            seek(&self.consumer, &[(self.partition.clone(), offset)])?;
            self.next = offset;
        }
        let deadline = Instant::now() + wait;
        loop {
            // Serves logs and errors; rows come by their own queue.
            let _event = self.consumer.poll(Duration::ZERO);
            let left = deadline.saturating_duration_since(Instant::now());
            let fetched = self.rows.take(left.min(TURN), rows_max);
            let rows = self.take(fetched)?;
            if !rows.is_empty() || left.is_zero() {
                return Ok((rows, self.next));
            }
        }
    }

    fn take(&mut self, fetched: Fetched) -> Result<RecordBatch, TransportError> {
        let mut batch = RecordBatch::default();
        for (_, rows) in fetched.rows {
            self.status.clear();
            self.next = rows.offsets.last().map_or(self.next, |last| last + 1);
            batch = rows;
        }
        for (_, end) in fetched.ends {
            self.status.clear();
            self.next = self.next.max(end);
        }
        match fetched.errors.into_iter().next() {
            Some((_, code, text)) if batch.is_empty() => {
                self.status.note(code, &text);
                Err(TransportError::Retriable(format!("{} cannot be read: {code} {text}", self.partition)))
            }
            _ => Ok(batch),
        }
    }
}
