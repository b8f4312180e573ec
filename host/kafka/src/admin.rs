use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic as NativeTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use weir_core::ports::{NewTopic, TransportError};
use weir_core::record::{TopicName, TopicPartition};

use crate::seek::offset_list;
use crate::status::{Status, Watch};

/// How long the broker may take for a request of the admin.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// Brokers choose the number of replicas (`default.replication.factor`).
const REPLICAS_OF_BROKER: i32 = -1;

/// What topics are made, changed and deleted with.
pub(crate) type Admin = AdminClient<Watch>;

/// Creates a topic; `false`: it is there already.
pub(crate) fn create_topic(admin: &Admin, status: &Status, topic: &NewTopic) -> Result<bool, TransportError> {
    let mut settings: BTreeMap<&str, &str> = BTreeMap::new();
    if topic.compacted {
        settings.insert("cleanup.policy", "compact");
    }
    settings.extend(topic.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let replicas = TopicReplication::Fixed(REPLICAS_OF_BROKER);
    let mut native = NativeTopic::new(topic.name.as_str(), topic.partitions, replicas);
    for (name, value) in settings {
        native = native.set(name, value);
    }
    let what = || format!("topic `{}` cannot be created", topic.name);
    let results = answer(admin.create_topics(&[native], &options()), status, what)?;
    match results.into_iter().next() {
        Some(Ok(_)) | None => Ok(true),
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code @ (Code::InvalidPartitions | Code::InvalidConfig | Code::InvalidTopic)))) => {
            Err(TransportError::Fatal(format!("{}: {code}", what())))
        }
        Some(Err((_, code))) => Err(TransportError::Retriable(format!("{}: {code}", what()))),
    }
}

/// Deletes a topic; `false`: there is none.
pub(crate) fn delete_topic(admin: &Admin, status: &Status, topic: &TopicName) -> Result<bool, TransportError> {
    let what = || format!("topic `{topic}` cannot be deleted");
    let results = answer(admin.delete_topics(&[topic.as_str()], &options()), status, what)?;
    match results.into_iter().next() {
        Some(Ok(_)) | None => Ok(true),
        Some(Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic))) => Ok(false),
        Some(Err((_, code))) => Err(TransportError::Retriable(format!("{}: {code}", what()))),
    }
}

/// Deletes the rows before each offset, all where it lies beyond the end.
pub(crate) fn delete_records(
    admin: &Admin,
    status: &Status,
    before: &[(TopicPartition, i64)],
) -> Result<(), TransportError> {
    let what = || "rows cannot be deleted".to_owned();
    let list = answer(admin.delete_records(&offset_list(before)?, &options()), status, what)?;
    let mut to_end = TopicPartitionList::new();
    for element in list.elements() {
        match element.error() {
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code() == Some(Code::OffsetOutOfRange) => {
                let added = to_end.add_partition_offset(element.topic(), element.partition(), Offset::End);
                added.map_err(|error| TransportError::Fatal(format!("{}: {error}", what())))?;
            }
            Err(error) => return Err(undeleted(element.topic(), element.partition(), &error)),
        }
    }
    if to_end.count() == 0 {
        return Ok(());
    }
    let list = answer(admin.delete_records(&to_end, &options()), status, what)?;
    for element in list.elements() {
        element.error().map_err(|error| undeleted(element.topic(), element.partition(), &error))?;
    }
    Ok(())
}

fn undeleted(topic: &str, partition: i32, error: &KafkaError) -> TransportError {
    let text = format!("rows of {topic}/{partition} cannot be deleted: {error}");
    match error.rdkafka_error_code() {
        Some(Code::PolicyViolation) => TransportError::Fatal(format!("{text}. Its cleanup.policy must name `delete`")),
        _ => TransportError::Retriable(text),
    }
}

/// The settings of topics that exist, defaults of the brokers included.
pub(crate) fn settings(
    admin: &Admin,
    status: &Status,
    topics: &[TopicName],
) -> Result<BTreeMap<TopicName, BTreeMap<String, String>>, TransportError> {
    let what = || "the settings of topics cannot be read".to_owned();
    let wanted: Vec<ResourceSpecifier<'_>> =
        topics.iter().map(|topic| ResourceSpecifier::Topic(topic.as_str())).collect();
    let mut settings = BTreeMap::new();
    for described in answer(admin.describe_configs(&wanted, &options()), status, what)? {
        let described = described.map_err(|code| TransportError::Retriable(format!("{}: {code}", what())))?;
        let OwnedResourceSpecifier::Topic(name) = described.specifier else { continue };
        let entries = described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
        settings.insert(TopicName::from(name.as_str()), entries.collect());
    }
    Ok(settings)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_WAIT)).request_timeout(Some(REQUEST_WAIT))
}

/// What an admin's request came to.
fn answer<T>(
    request: impl Future<Output = KafkaResult<T>>,
    status: &Status,
    what: impl Fn() -> String,
) -> Result<T, TransportError> {
    block_on(request, REQUEST_WAIT * 2)
        .ok_or_else(|| TransportError::Retriable(format!("{}: no answer", what())))?
        .map_err(|error| {
            let why = status.outage().unwrap_or_else(|| error.to_string());
            TransportError::Retriable(format!("{}: {why}", what()))
        })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread for what the admin's own thread finishes. None: not within `wait`.
fn block_on<T>(future: impl Future<Output = T>, wait: Duration) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = Instant::now() + wait;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return Some(result);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}
