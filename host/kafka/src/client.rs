use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset};
use weir_core::ports::{Client, NewTopic, Position, TopicFacts, TransportError};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use crate::absent;
use crate::admin::{self, Admin};
use crate::config::{KafkaConfig, Role};
use crate::ffi;
use crate::producer::writable_timestamp;
use crate::reader::Reader;
use crate::seek::{offset_list, partition_list};
use crate::status::{Status, Watch, lock};

/// How long a request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// After which time a request looks why it is not answered yet.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How long to wait for the next event about a connection.
const EVENT_WAIT: Duration = Duration::from_millis(5);
/// Such events that are heard at once, at most.
const EVENTS_MAX: usize = 100;
/// How long an append may take: librdkafka repeats it until then.
const APPEND_WAIT: Duration = Duration::from_secs(30);
/// How long the appender waits for news at a time.
const APPEND_POLL: Duration = Duration::from_millis(5);
/// How long a topic that was created may stay unknown, one that was deleted known.
const CREATED_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks for it.
const CREATED_PAUSE: Duration = Duration::from_millis(20);
/// Tails that are kept open between reads.
const READERS_MAX: usize = 16;

/// Topics, tails, appends and offsets of one host, on connections of their own.
pub struct KafkaClient {
    config: Arc<KafkaConfig>,
    status: Status,
    looker: BaseConsumer<Watch>,
    appender: BaseProducer<AppendWatch>,
    readers: Mutex<Vec<Reader>>,
    /// Made when it is first needed.
    admin: Mutex<Option<Arc<Admin>>>,
}

impl KafkaClient {
    pub(crate) fn new(config: Arc<KafkaConfig>, status: Status) -> Result<Self, TransportError> {
        let id = format!("{}-{}", config.application, config.host_id);
        let fatal = |error: KafkaError| TransportError::Fatal(format!("a Kafka client cannot be made: {error}"));
        let looker = config.client(Role::Reader, &id).create_with_context(Watch(status.clone())).map_err(fatal)?;
        let appender = config.client(Role::Appender, &id).create_with_context(AppendWatch(Watch(status.clone())));
        let (appender, readers, admin) = (appender.map_err(fatal)?, Mutex::default(), Mutex::default());
        Ok(Self { config, status, looker, appender, readers, admin })
    }

    pub(crate) fn admin(&self) -> Result<Arc<Admin>, TransportError> {
        let mut admin = lock(&self.admin);
        if let Some(admin) = admin.as_ref() {
            return Ok(admin.clone());
        }
        let id = format!("{}-{}-admin", self.config.application, self.config.host_id);
        let made = self.config.client(Role::Admin, &id).create_with_context(Watch(self.status.clone()));
        let made: Admin =
            made.map_err(|error| TransportError::Fatal(format!("an admin client cannot be made: {error}")))?;
        Ok(admin.insert(Arc::new(made)).clone())
    }

    pub(crate) fn status(&self) -> Status {
        self.status.clone()
    }

    /// What a request's failure is: the outage where one is known.
    fn retriable(&self, what: &str, error: &KafkaError) -> TransportError {
        // Serves error events, which say more than a time-out. The first is seldom the one that tells why.
        let _served = (0..EVENTS_MAX).take_while(|_| self.looker.poll(EVENT_WAIT).is_some()).count();
        TransportError::Retriable(self.status.outage().unwrap_or_else(|| format!("{what}: {error}")))
    }

    /// What the brokers say of `topic`. An outage that is new is told soon, for it seldom ends within a request's time.
    fn metadata(&self, topic: &TopicName) -> Result<Metadata, TransportError> {
        let ask = |wait| {
            let asked = self.looker.fetch_metadata(Some(topic.as_str()), wait);
            asked.map(|it| self.answered(it)).map_err(|error| self.retriable("topics cannot be read", &error))
        };
        let known = self.status.outage();
        ask(FIRST_WAIT).or_else(|failed| match self.status.outage() {
            Some(outage) if known.as_ref() != Some(&outage) => Err(failed),
            _ => ask(REQUEST_WAIT),
        })
    }

    fn answered<T>(&self, value: T) -> T {
        self.status.clear();
        value
    }
}

impl Client for KafkaClient {
    fn partitions(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, i32>, TransportError> {
        let mut found = BTreeMap::new();
        for topic in topics {
            let metadata = self.metadata(topic)?;
            let Some(entry) = metadata.topics().iter().find(|entry| entry.name() == topic.as_str()) else { continue };
            match entry.error() {
                None => {
                    found.insert(topic.clone(), entry.partitions().len() as i32);
                }
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {}
                Some(error) => {
                    let code = Code::from(error);
                    return Err(TransportError::Retriable(format!("topic `{topic}` cannot be read: {code}")));
                }
            }
        }
        Ok(found)
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<bool, TransportError> {
        let created = admin::create_topic(&*self.admin()?, &self.status, topic)?;
        // Brokers learn of a new topic one after the other: whoever asks next is to find it.
        let deadline = Instant::now() + CREATED_WAIT;
        while created && self.partitions(std::slice::from_ref(&topic.name))?.is_empty() && Instant::now() < deadline {
            std::thread::sleep(CREATED_PAUSE);
        }
        Ok(created)
    }

    fn offsets(&self, partition: &TopicPartition) -> Result<(i64, i64), TransportError> {
        // The consumer reads committed rows, so its end is the one after the last of them.
        self.looker
            .fetch_watermarks(partition.topic.as_str(), partition.partition, REQUEST_WAIT)
            .map(|offsets| self.answered(offsets))
            .map_err(|error| self.retriable(&format!("the offsets of {partition} cannot be read"), &error))
    }

    fn offset_at(&self, partition: &TopicPartition, timestamp: i64) -> Result<i64, TransportError> {
        let what = || format!("the offset of {timestamp} in {partition} cannot be read");
        let list = offset_list(&[(partition.clone(), timestamp)])?;
        let found =
            self.looker.offsets_for_times(list, REQUEST_WAIT).map_err(|error| self.retriable(&what(), &error))?;
        match found.elements().first().map(|element| (element.error(), element.offset())) {
            Some((Ok(()), Offset::Offset(offset))) => Ok(self.answered(offset)),
            Some((Err(error), _)) => Err(self.retriable(&what(), &error)),
            _ => Ok(self.offsets(partition)?.1),
        }
    }

    fn read(
        &self,
        partition: &TopicPartition,
        offset: i64,
        rows: usize,
        wait: Duration,
    ) -> Result<(RecordBatch, i64), TransportError> {
        let kept = {
            let mut readers = lock(&self.readers);
            let found = readers.iter().position(|reader| reader.is_of(partition));
            found.map(|index| readers.remove(index))
        };
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader::new(&self.config, self.status.clone(), partition, offset)?,
        };
        // A reader that failed is dropped: the next read begins afresh.
        let read = reader.read(offset, rows, wait)?;
        let evicted = {
            let mut readers = lock(&self.readers);
            readers.push(reader);
            (readers.len() > READERS_MAX).then(|| readers.remove(0))
        };
        drop(evicted);
        Ok(read)
    }

    fn append(&self, partition: &TopicPartition, rows: &RecordBatch) -> Result<Vec<i64>, TransportError> {
        let acks = Arc::new(Mutex::new(Acks { offsets: vec![-1; rows.len()], left: rows.len(), failed: None }));
        let deadline = Instant::now() + APPEND_WAIT;
        let failed =
            |text: String| TransportError::Retriable(format!("rows cannot be appended to {partition}: {text}"));
        for row in 0..rows.len() {
            let ack = Box::new(Ack { row, acks: acks.clone() });
            let mut record = BaseRecord::<[u8], [u8], Box<Ack>>::with_opaque_to(partition.topic.as_str(), ack)
                .partition(partition.partition)
                .timestamp(writable_timestamp(rows.timestamps[row]));
            record.key = rows.keys.get(row);
            record.payload = rows.values.get(row);
            record.headers = rows.headers.as_ref().and_then(|headers| owned_headers(headers.row(row)));
            while let Err((error, back)) = self.appender.send(record) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) || Instant::now() > deadline {
                    return Err(failed(error.to_string()));
                }
                self.appender.poll(APPEND_POLL);
                record = back;
            }
        }
        loop {
            let (left, refused) = {
                let acks = lock(&acks);
                (acks.left, acks.failed.clone())
            };
            if let Some(text) = refused {
                return Err(failed(self.status.outage().unwrap_or(text)));
            }
            if left == 0 {
                return Ok(std::mem::take(&mut lock(&acks).offsets));
            }
            if Instant::now() > deadline {
                return Err(failed(self.status.outage().unwrap_or_else(|| "no answer".into())));
            }
            self.appender.poll(APPEND_POLL);
        }
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Position>, TransportError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let what = "the committed positions cannot be read";
        let list = self
            .looker
            .committed_offsets(partition_list(partitions), REQUEST_WAIT)
            .map_err(|error| self.retriable(what, &error))?;
        let mut positions = Vec::new();
        for element in list.elements() {
            element.error().map_err(|error| self.retriable(what, &error))?;
            if let Offset::Offset(offset) = element.offset() {
                let partition = TopicPartition::new(element.topic(), element.partition());
                positions.push(Position { partition, offset, metadata: Some(element.metadata().to_owned()) });
            }
        }
        Ok(self.answered(positions))
    }

    fn members(&self) -> Result<Vec<String>, TransportError> {
        let group = &self.config.application;
        let what = || format!("the members of group `{group}` cannot be read");
        let listed = self.looker.fetch_group_list(Some(group), REQUEST_WAIT);
        let listed = listed.map_err(|error| self.retriable(&what(), &error))?;
        let members = listed.groups().iter().flat_map(|group| group.members().iter());
        let name = |member: &GroupMemberInfo| format!("{} at {}", member.client_id(), member.client_host());
        Ok(self.answered(members.map(name).collect()))
    }

    fn set_positions(&self, positions: &[Position]) -> Result<(), TransportError> {
        absent::set_positions(self, &self.config, &self.looker, positions)
    }

    fn describe(&self, topics: &[TopicName]) -> Result<BTreeMap<TopicName, TopicFacts>, TransportError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let failed = |why: String| {
            let _event = self.looker.poll(Duration::ZERO);
            let why = self.status.outage().unwrap_or(why);
            TransportError::Retriable(format!("topics cannot be described: {why}"))
        };
        let answers = ffi::describe_topics(self.looker.client(), topics, REQUEST_WAIT);
        let answers = answers.ok_or_else(|| failed("no answer".into()))?.map_err(failed)?;
        self.status.clear();
        let mut known = BTreeMap::new();
        for (name, answer) in answers {
            match answer {
                Ok((partitions, id)) => drop(known.insert(TopicName::from(name.as_str()), (partitions as i32, id))),
                Err(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {}
                Err(code) => return Err(failed(format!("`{name}`: {code}"))),
            }
        }
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<TopicName> = known.keys().cloned().collect();
        let mut settings = admin::settings(&*self.admin()?, &self.status, &names)?;
        let facts = known.into_iter().map(|(name, (partitions, id))| {
            let settings = settings.remove(&name).unwrap_or_default();
            (name, TopicFacts { partitions, id, settings })
        });
        Ok(facts.collect())
    }

    fn delete_topic(&self, topic: &TopicName) -> Result<bool, TransportError> {
        let deleted = admin::delete_topic(&*self.admin()?, &self.status, topic)?;
        // Brokers learn of it one after the other, as of a new one.
        let deadline = Instant::now() + CREATED_WAIT;
        while deleted && !self.partitions(std::slice::from_ref(topic))?.is_empty() && Instant::now() < deadline {
            std::thread::sleep(CREATED_PAUSE);
        }
        lock(&self.readers).retain(|reader| reader.topic() != topic);
        Ok(deleted)
    }

    fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        if before.is_empty() {
            return Ok(());
        }
        admin::delete_records(&*self.admin()?, &self.status, before)
    }
}

fn owned_headers<'a>(row: impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Option<OwnedHeaders> {
    if row.len() == 0 {
        return None;
    }
    let headers = OwnedHeaders::new_with_capacity(row.len());
    Some(
        row.fold(headers, |headers, (name, value)| {
            headers.insert(Header { key: &String::from_utf8_lossy(name), value })
        }),
    )
}

/// What has come of one append.
struct Acks {
    offsets: Vec<i64>,
    left: usize,
    failed: Option<String>,
}

/// The place of one row in it.
struct Ack {
    row: usize,
    acks: Arc<Mutex<Acks>>,
}

/// The appender's context: sorts delivery reports to their appends.
struct AppendWatch(Watch);

impl ClientContext for AppendWatch {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for AppendWatch {
    type DeliveryOpaque = Box<Ack>;

    fn delivery(&self, result: &DeliveryResult<'_>, ack: Box<Ack>) {
        let mut acks = lock(&ack.acks);
        acks.left -= 1;
        match result {
            Ok(message) => acks.offsets[ack.row] = message.offset(),
            Err((error, _)) => acks.failed = Some(error.to_string()),
        }
    }
}
