//! The tests' Kafka: topics made, orders put in, committed records read out.

use std::env;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::checker::{Coordinates, Output};
use crate::orders;
use crate::proxy::KafkaProxy;

const REQUEST_WAIT: Duration = Duration::from_secs(30);
const PRODUCE_POLL: Duration = Duration::from_millis(1);
/// How long a reader waits for the next record of a topic that has more.
const READ_WAIT: Duration = Duration::from_secs(30);
/// How often a producer at a given rate looks at the clock.
const PACE: Duration = Duration::from_millis(2);

/// Who may come to [`Kafka::sasl_address`].
pub const USER: &str = "weir";
/// The password of [`USER`].
pub const PASSWORD: &str = "right";

/// What a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything, also of transactions that are open or aborted.
    Uncommitted,
    /// Only what was committed, and nothing beyond the first open transaction.
    Committed,
}

impl Isolation {
    fn level(self) -> &'static str {
        match self {
            Self::Uncommitted => "read_uncommitted",
            Self::Committed => "read_committed",
        }
    }
}

/// A record read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a Kafka record's fields")]
pub struct Row {
    pub at: Coordinates,
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Row {
    /// As the checker takes it.
    pub fn to_output(&self) -> Output {
        orders::output(self.at, self.key.as_deref(), self.value.as_deref())
    }
}

/// A broker that `cargo xtask kafka start` started.
#[derive(Clone, Debug)]
pub struct Kafka {
    address: SocketAddr,
}

impl Kafka {
    /// The one that `WEIR_TEST_KAFKA` names.
    pub fn from_env() -> Result<Self> {
        let address = env::var("WEIR_TEST_KAFKA").map_err(|_| {
            anyhow!("this test needs a Kafka: `cargo xtask test`, or `cargo xtask kafka start` and WEIR_TEST_KAFKA=HOST:PORT")
        })?;
        Ok(Self { address: address.parse().with_context(|| format!("WEIR_TEST_KAFKA={address} is not IP:PORT"))? })
    }

    /// The address for clients that go to the broker without a proxy.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The address for clients that say who they are, as [`USER`] with [`PASSWORD`].
    pub fn sasl_address(&self) -> String {
        SocketAddr::new(self.address.ip(), self.address.port() + 4).to_string()
    }

    /// A proxy for those that shall be disturbed. There is one at a time: a second waits for the first one's end.
    pub fn proxy(&self) -> Result<KafkaProxy> {
        let beside = |distance| SocketAddr::new(self.address.ip(), self.address.port() + distance);
        KafkaProxy::start(beside(3), beside(2))
    }

    /// A name that no other test of this run has.
    pub fn unique(&self, name: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a topic, and waits until the broker serves it.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(topic, partitions, &[])
    }

    /// Makes a topic with these settings.
    pub fn create_topic_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let results = block_on(self.admin()?.create_topics([&new], &admin_options()))?;
        for result in results {
            result.map_err(|(topic, code)| anyhow!("cannot create topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Gives a topic these settings, and takes all others from it.
    pub fn set_topic(&self, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
        let config = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let config = settings.iter().fold(config, |config, (name, value)| config.set(name, value));
        for result in block_on(self.admin()?.alter_configs([&config], &admin_options()))? {
            result.map_err(|(_, code)| anyhow!("cannot change the settings of {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        for result in block_on(self.admin()?.delete_topics(&[topic], &admin_options()))? {
            result.map_err(|(topic, code)| anyhow!("cannot delete topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes all records that a topic has. Its `cleanup.policy` must name `delete`.
    pub fn delete_records(&self, topic: &str, partitions: i32) -> Result<()> {
        let mut ends = TopicPartitionList::new();
        for partition in 0..partitions {
            ends.add_partition_offset(topic, partition, Offset::End)?;
        }
        let deleted = block_on(self.admin()?.delete_records(&ends, &admin_options()))?;
        for partition in deleted.elements() {
            partition.error().with_context(|| format!("cannot delete records of {topic}"))?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.config().create().context("cannot make an admin client")
    }

    /// Puts the orders `numbers` in, each under its customer's key; at `rate` per second, or as fast as may be.
    pub fn produce_orders(&self, topic: &str, numbers: Range<u64>, rate: Option<u64>) -> Result<()> {
        let records = numbers.map(|number| (Some(orders::key(number)), Some(orders::value(number))));
        self.produce(topic, records, rate)
    }

    /// Puts records in, in order, partitioned by key as the Java client does it.
    pub fn produce<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = (Option<K>, Option<V>)>,
        rate: Option<u64>,
    ) -> Result<()> {
        self.produce_to(topic, None, records, rate)
    }

    /// Puts records into one partition, in order; none: partitioned by key.
    pub fn produce_to<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: Option<i32>,
        records: impl IntoIterator<Item = (Option<K>, Option<V>)>,
        rate: Option<u64>,
    ) -> Result<()> {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("partitioner", "murmur2_random").set("linger.ms", "5");
        let producer: BaseProducer = config.create().context("cannot make a producer")?;
        let begin = Instant::now();
        for (count, (key, value)) in (0u64..).zip(records) {
            while rate.is_some_and(|rate| count > begin.elapsed().as_micros() as u64 * rate / 1_000_000) {
                producer.poll(PACE);
            }
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            record.key = key.as_ref().map(AsRef::as_ref);
            record.payload = value.as_ref().map(AsRef::as_ref);
            record.partition = partition;
            let deadline = Instant::now() + REQUEST_WAIT;
            while let Err((error, back)) = producer.send(record) {
                let is_full = error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                ensure!(is_full && Instant::now() < deadline, "cannot produce to {topic}: {error}");
                producer.poll(PRODUCE_POLL);
                record = back;
            }
        }
        producer.flush(REQUEST_WAIT).with_context(|| format!("records for {topic} were not delivered"))
    }

    /// A reader of the whole topic, from its beginning.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Result<TopicReader> {
        TopicReader::new(self, topic, isolation)
    }

    /// Every committed record of the topic, a partition's in offset order.
    pub fn read_committed(&self, topic: &str) -> Result<Vec<Row>> {
        self.read(topic, Isolation::Committed)?.read_to_end()
    }

    /// Where each partition ends. The committed end lies before the other while a transaction is open.
    pub fn end_offsets(&self, topic: &str, isolation: Isolation) -> Result<Vec<i64>> {
        self.read(topic, isolation)?.end_offsets()
    }

    /// Whether some transaction has written to the topic and has not ended.
    pub fn has_open_transaction(&self, topic: &str) -> Result<bool> {
        Ok(self.end_offsets(topic, Isolation::Committed)? != self.end_offsets(topic, Isolation::Uncommitted)?)
    }

    /// A client's settings for this broker.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("client.id", "weir-tests");
        config
    }
}

/// Reads all partitions of a topic, without a group.
pub struct TopicReader {
    consumer: BaseConsumer,
    topic: String,
    /// Which partitions were read to their end at least once.
    has_ended: Vec<bool>,
}

impl TopicReader {
    fn new(kafka: &Kafka, topic: &str, isolation: Isolation) -> Result<Self> {
        let mut config = kafka.config();
        config.set("group.id", "weir-tests").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        config.set("isolation.level", isolation.level()).set("fetch.queue.backoff.ms", "2");
        let consumer: BaseConsumer = config.create().context("cannot make a consumer")?;
        let metadata =
            consumer.fetch_metadata(Some(topic), REQUEST_WAIT).context("cannot read the topic's metadata")?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        ensure!(partitions > 0, "there is no topic {topic}");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition as i32, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, topic: topic.to_owned(), has_ended: vec![false; partitions] })
    }

    /// The records that come within `wait`; returns early with the first batch of them.
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<Row>> {
        const ROWS_MAX: usize = 10_000;
        let deadline = Instant::now() + wait;
        let mut rows = Vec::new();
        while rows.len() < ROWS_MAX {
            let left =
                if rows.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match self.consumer.poll(left) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(partition))) => self.has_ended[partition as usize] = true,
                Some(Err(error)) => bail!("cannot read {}: {error}", self.topic),
                Some(Ok(message)) => {
                    let at = Coordinates { partition: message.partition(), offset: message.offset() };
                    rows.push(Row {
                        at,
                        timestamp: message.timestamp().to_millis(),
                        key: message.key().map(<[u8]>::to_vec),
                        value: message.payload().map(<[u8]>::to_vec),
                    });
                }
            }
        }
        Ok(rows)
    }

    /// The records up to the present end of every partition. (Offsets cannot tell that it is reached: the last ones
    /// may be control records, which nobody sees.)
    fn read_to_end(mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut last_news = Instant::now();
        while !self.has_ended.iter().all(|ended| *ended) {
            let more = self.poll(Duration::from_millis(20))?;
            if !more.is_empty() {
                last_news = Instant::now();
            }
            ensure!(last_news.elapsed() < READ_WAIT, "{}: {READ_WAIT:?} without a record or an end", self.topic);
            rows.extend(more);
        }
        Ok(rows)
    }

    /// Where each partition ends for this reader.
    pub fn end_offsets(&self) -> Result<Vec<i64>> {
        let end = |partition| Ok(self.consumer.fetch_watermarks(&self.topic, partition as i32, REQUEST_WAIT)?.1);
        (0..self.has_ended.len()).map(end).collect()
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_WAIT)).request_timeout(Some(REQUEST_WAIT))
}

/// An admin request is a future that its own client completes; nothing else here is asynchronous.
fn block_on<F: Future>(future: F) -> F::Output {
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(REQUEST_WAIT),
        }
    }
}
