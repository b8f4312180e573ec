use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use weir_core::ports::{CommitError, Committed, Outgoing, Position, TransportError};
use weir_core::record::{TopicName, TopicPartition};

use crate::ffi::{self, AskedOffsets, GroupMetadata, NewRow, TopicHandle, TransactionError};
use crate::status::{CONNECTION_FAILED, Status, lock, log};

/// How long one attempt to initialise transactions may keep the thread.
const INIT_WAIT: Duration = Duration::from_secs(2);
/// How long a full queue waits before it is tried again.
const FULL_POLL: Duration = Duration::from_millis(1);
/// How long an abort waits for rows in flight: purging one that was sent leaves a gap in the sequence numbers.
const ABORT_DRAIN: Duration = Duration::from_secs(1);
/// A commit that took longer than this and [`SLOW_FACTOR`] medians may have left a second end of transaction on the wire.
const SLOW_COMMIT: Duration = Duration::from_secs(1);
/// See [`SLOW_COMMIT`].
const SLOW_FACTOR: u32 = 10;
/// How long a commit that is done waits to be told where it ended.
const ENDS_WAIT: Duration = Duration::from_secs(1);
/// Events that are served at once, at most.
const EVENTS_MAX: usize = 1000;
/// Commits that the median is taken of.
const COMMITS_REMEMBERED: usize = 31;

/// The producer's context: whether a transaction was disturbed, and whether a row of it failed.
pub(crate) struct TransactionWatch {
    status: Status,
    disturbed: AtomicBool,
    failed: Mutex<Option<String>>,
}

impl ClientContext for TransactionWatch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A connection lost with a single request under way raises no event: it is told here alone. (librdkafka leaves out
        // repetitions of a line, per client: after the first one this producer is replaced.)
        if facility == CONNECTION_FAILED && may_have_carried_requests(message) {
            self.disturbed.store(true, Ordering::Release);
        }
        self.status.note_log(facility, message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer event");
        let summary = error.rdkafka_error_code() == Some(Code::AllBrokersDown);
        if !summary && may_have_carried_requests(reason) {
            self.disturbed.store(true, Ordering::Release);
        }
        if let Some(code) = error.rdkafka_error_code() {
            self.status.note(code, reason);
        }
    }
}

impl ProducerContext for TransactionWatch {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            lock(&self.failed).get_or_insert_with(|| error.to_string());
        }
    }
}

/// A connection that never came about has nothing on the wire: a broker that is down for long costs no replacement.
fn may_have_carried_requests(reason: &str) -> bool {
    !reason.contains("Connect to") && !reason.contains("Failed to resolve")
}

/// A topic that was written to.
struct Topic {
    handle: TopicHandle,
    /// Whether the open transaction has rows in each partition.
    written: Vec<bool>,
}

/// The one transactional producer of a stream thread, replaced where it cannot be trusted any more.
pub(crate) struct TransactionalProducer {
    config: ClientConfig,
    status: Status,
    replace_disturbed: bool,
    timeout: Duration,
    /// Before `producer`: handles are given back first.
    topics: BTreeMap<TopicName, Topic>,
    producer: Option<BaseProducer<TransactionWatch>>,
    initialised: bool,
    open: bool,
    disturbed: bool,
    commits: VecDeque<Duration>,
}

impl TransactionalProducer {
    pub fn new(config: ClientConfig, status: Status, timeout: Duration, replace_disturbed: bool) -> Self {
        Self {
            config,
            status,
            replace_disturbed,
            timeout,
            topics: BTreeMap::new(),
            producer: None,
            initialised: false,
            open: false,
            disturbed: false,
            commits: VecDeque::with_capacity(COMMITS_REMEMBERED),
        }
    }

    /// Makes the producer and initialises its transactions, which ends whatever its id has left open and fences whoever
    /// else uses it. To be repeated while it is retriable; an attempt goes on where the last one stopped.
    pub fn ready(&mut self) -> Result<&BaseProducer<TransactionWatch>, TransportError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.make()?,
        };
        if !self.initialised
            && let Err(error) = initialise(&producer, INIT_WAIT)
        {
            // What the log says of the connection tells more than the time-out.
            serve_all(&producer);
            if error.fatal || !error.retriable {
                // The next attempt begins with a new one.
                self.topics.clear();
                return Err(TransportError::Retriable(init_text(&error)));
            }
            self.producer = Some(producer);
            return Err(TransportError::Retriable(self.status.outage().unwrap_or_else(|| init_text(&error))));
        }
        if !self.initialised {
            self.status.clear();
            self.initialised = true;
        }
        Ok(self.producer.insert(producer))
    }

    fn make(&self) -> Result<BaseProducer<TransactionWatch>, TransportError> {
        let watch = TransactionWatch {
            status: self.status.clone(),
            disturbed: AtomicBool::new(false),
            failed: Mutex::default(),
        };
        self.config
            .create_with_context(watch)
            .map_err(|error| TransportError::Fatal(format!("the producer cannot be made: {error}")))
    }

    /// Drops the producer; the next [`Self::ready`] makes another of the same id, and with it ends what is open.
    pub fn discard(&mut self) {
        self.topics.clear();
        self.producer = None;
        self.initialised = false;
        self.open = false;
        self.disturbed = false;
    }

    /// Serves all events that the producer has.
    pub fn serve(&self) {
        if let Some(producer) = &self.producer {
            serve_all(producer);
        }
    }

    pub fn begin(&mut self) -> Result<(), TransportError> {
        self.serve();
        let told = self.producer.as_ref().is_some_and(|producer| producer.context().disturbed.load(Ordering::Acquire));
        if (self.disturbed || told) && self.replace_disturbed {
            // librdkafka's transaction protocol has no number per transaction: the end of the last one, delayed on a
            // connection that was given up, would end the next one. A new producer epoch refuses it.
            tracing::info!("the last transaction was disturbed: the producer is replaced");
            self.discard();
        }
        let producer = self.ready()?;
        lock(&producer.context().failed).take();
        producer.begin_transaction().map_err(|error| abortable("a transaction cannot begin", &error))?;
        self.open = true;
        self.disturbed = false;
        self.topics.values_mut().for_each(|topic| topic.written.clear());
        Ok(())
    }

    pub fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        let Some(producer) = self.producer.as_ref().filter(|_| self.open) else {
            return Err(TransportError::Abortable("rows were produced outside of a transaction".into()));
        };
        if !self.topics.contains_key(&outgoing.topic) {
            let handle = TopicHandle::new(producer, outgoing.topic.as_str()).ok_or_else(|| {
                TransportError::Abortable(format!("`{}` is no topic name that Kafka takes", outgoing.topic))
            })?;
            self.topics.insert(outgoing.topic.clone(), Topic { handle, written: Vec::new() });
        }
        let Some(topic) = self.topics.get_mut(&outgoing.topic) else { return Ok(()) };
        topic.note(&outgoing.partitions);
        let rows = &outgoing.rows;
        let deadline = Instant::now() + self.timeout;
        for index in 0..rows.len() {
            let row = NewRow {
                partition: outgoing.partitions[index],
                timestamp: writable_timestamp(rows.timestamps[index]),
                key: rows.keys.get(index),
                value: rows.values.get(index),
            };
            loop {
                let produced = match &rows.headers {
                    None => ffi::produce(producer, &topic.handle, &row, std::iter::empty()),
                    Some(headers) => ffi::produce(producer, &topic.handle, &row, headers.row(index)),
                };
                match produced {
                    Ok(()) => break,
                    Err(Code::QueueFull) if Instant::now() < deadline => producer.poll(FULL_POLL),
                    Err(code) => return Err(refused_row(outgoing, index, code)),
                }
            }
        }
        producer.poll(Duration::ZERO);
        match lock(&producer.context().failed).clone() {
            Some(failed) => Err(TransportError::Abortable(format!("a row was not delivered: {failed}"))),
            None => Ok(()),
        }
    }

    /// Commits with `positions`, fenced by `group`, which was read just now.
    pub fn commit(&mut self, positions: &[Position], group: Option<&GroupMetadata>) -> Result<Committed, CommitError> {
        let began = Instant::now();
        let Some(producer) = self.producer.as_ref().filter(|_| self.open) else {
            return Err(CommitError::Refused("no transaction is open".into()));
        };
        let Some(group) = group else {
            return Err(CommitError::Fenced("this member has no place in its group at this moment".into()));
        };
        let offsets = offset_list(positions)?;
        // rdkafka's `flush`, which its `commit_transaction` calls, polls until its 100 ms deadline even when everything is
        // delivered; drained first, a commit takes some 10 ms.
        if !ffi::drain(producer, self.timeout) {
            return Err(CommitError::Refused(format!("rows were not delivered within {:?}", self.timeout)));
        }
        if let Some(failed) = lock(&producer.context().failed).clone() {
            return Err(CommitError::Refused(format!("a row was not delivered: {failed}")));
        }
        // Asked for now, when every row has its offset and no later one can have been sent; answered while the commit goes on.
        // Delivery reports would tell the same, but one for each row, of which this thread has hundreds of thousands a second.
        let written = written(&self.topics);
        let mut asked = ask_ends(producer, &written);
        if offsets.count() > 0 {
            ffi::send_offsets(producer, &offsets, group, self.timeout).map_err(|error| not_ended(&error))?;
        }
        let ended = producer.commit_transaction(self.timeout);
        producer.poll(Duration::ZERO);
        self.open = false;
        ended.map_err(|error| {
            // Also of a fence: our request may have been done, its answer lost, and the fence met by its repetition.
            CommitError::Unknown(error.to_string())
        })?;
        let took = began.elapsed();
        let mut ends = told_ends(asked.as_mut());
        if ends.len() < written.len() {
            ends = told_ends(ask_ends(producer, &written).as_mut());
        }
        self.disturbed = self.is_slow(took);
        self.remember(took);
        Ok(Committed { ends })
    }

    fn is_slow(&self, took: Duration) -> bool {
        let mut sorted: Vec<Duration> = self.commits.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        took > SLOW_COMMIT.max(median * SLOW_FACTOR)
    }

    fn remember(&mut self, took: Duration) {
        if self.commits.len() == COMMITS_REMEMBERED {
            self.commits.pop_front();
        }
        self.commits.push_back(took);
    }

    pub fn abort(&mut self) -> Result<(), TransportError> {
        let Some(producer) = self.producer.as_ref().filter(|_| self.open) else { return Ok(()) };
        // librdkafka's abort waits for reports that only a poll delivers, and this thread would be inside the abort: so
        // every row is out of the producer before it, delivered or, where the broker is silent, purged.
        if !ffi::drain(producer, ABORT_DRAIN) {
            producer.purge(PurgeConfig::default().queue().inflight());
            ffi::drain(producer, ABORT_DRAIN);
        }
        let aborted = producer.abort_transaction(self.timeout);
        producer.poll(Duration::ZERO);
        self.open = false;
        aborted.map_err(|error| abortable("the transaction cannot be aborted", &error))
    }
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        self.topics.clear();
    }
}

impl Topic {
    /// Notes that the open transaction has rows in `partitions`.
    fn note(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            let Ok(partition) = usize::try_from(partition) else { continue };
            if partition >= self.written.len() {
                self.written.resize(partition + 1, false);
            }
            self.written[partition] = true;
        }
    }
}

/// The partitions that the open transaction has rows in.
fn written(topics: &BTreeMap<TopicName, Topic>) -> Vec<TopicPartition> {
    let of = |(name, topic): (&TopicName, &Topic)| {
        let written = topic.written.iter().zip(0..).filter(|(written, _)| **written);
        written.map(|(_, partition)| TopicPartition::new(name, partition)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

/// Asks where partitions end now; none: there is nothing to ask.
fn ask_ends(producer: &BaseProducer<TransactionWatch>, of: &[TopicPartition]) -> Option<AskedOffsets> {
    let mut list = TopicPartitionList::with_capacity(of.len());
    for partition in of {
        list.add_partition_offset(partition.topic.as_str(), partition.partition, Offset::End).ok()?;
    }
    (!of.is_empty()).then(|| AskedOffsets::new(producer.client(), &list))?
}

/// What was told of that in time.
fn told_ends(asked: Option<&mut AskedOffsets>) -> Vec<(TopicPartition, i64)> {
    let told = asked.and_then(|asked| asked.answer(ENDS_WAIT)).unwrap_or_else(|| Ok(Vec::new()));
    let told = told.unwrap_or_else(|error| {
        tracing::warn!(error, "a commit is done, but where it ended cannot be read");
        Vec::new()
    });
    told.into_iter().filter_map(|(partition, end)| Some((partition, end.ok()?))).collect()
}

/// Initialises the transactions of a producer, once.
pub(crate) fn initialise<C: ProducerContext>(
    producer: &BaseProducer<C>,
    wait: Duration,
) -> Result<(), TransactionError> {
    let initialised = producer.init_transactions(wait);
    producer.poll(Duration::ZERO);
    initialised.map_err(|error| match error {
        KafkaError::Transaction(error) => TransactionError {
            code: error.code(),
            text: error.string(),
            fatal: error.is_fatal(),
            retriable: error.is_retriable(),
        },
        other => TransactionError { code: Code::Fail, text: other.to_string(), fatal: true, retriable: false },
    })
}

fn init_text(error: &TransactionError) -> String {
    format!("transactions cannot be initialised: {}", error.text)
}

/// Each poll serves one event, and log lines are events as well.
fn serve_all(producer: &BaseProducer<TransactionWatch>) {
    for _ in 0..ffi::queued_events(producer).clamp(1, EVENTS_MAX) {
        producer.poll(Duration::ZERO);
    }
}

/// librdkafka takes 0 for "now", which would differ at each repetition: the start of 1970 is written a millisecond late.
pub(crate) fn writable_timestamp(timestamp: i64) -> i64 {
    if timestamp == 0 { 1 } else { timestamp }
}

fn offset_list(positions: &[Position]) -> Result<TopicPartitionList, CommitError> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for position in positions {
        let mut element = list.add_partition(position.partition.topic.as_str(), position.partition.partition);
        let set = element.set_offset(Offset::Offset(position.offset));
        set.map_err(|error| CommitError::Refused(format!("{} at {}: {error}", position.partition, position.offset)))?;
        element.set_metadata(position.metadata.as_deref().unwrap_or_default());
    }
    Ok(list)
}

fn refused_row(outgoing: &Outgoing, index: usize, code: Code) -> TransportError {
    let partition = outgoing.partitions[index];
    TransportError::Abortable(match code {
        Code::QueueFull => {
            format!("the queue towards {}/{partition} stayed full: the broker does not keep up", outgoing.topic)
        }
        Code::UnknownPartition => format!("{}/{partition} does not exist", outgoing.topic),
        code => format!("a row for {}/{partition} was refused: {code}", outgoing.topic),
    })
}

fn abortable(what: &str, error: &KafkaError) -> TransportError {
    TransportError::Abortable(format!("{what}: {error}"))
}

/// What a failure before the end of the transaction was asked for means: nothing of it happened.
fn not_ended(error: &TransactionError) -> CommitError {
    let fenced = matches!(
        error.code,
        Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::Fenced
            | Code::RebalanceInProgress
    );
    if fenced || error.fatal {
        return CommitError::Fenced(error.text.clone());
    }
    CommitError::Refused(error.text.clone())
}
