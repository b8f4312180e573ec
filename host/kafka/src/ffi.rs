//! All unsafe code of this crate: what librdkafka can do and rust-rdkafka does not offer, each call behind a safe function.
//!
//! Lives here: rows taken in batches, production with a topic handle, group metadata that can be looked into, questions to
//! brokers that are answered while this thread goes on.
//! Pointers never leave this file; every native object is owned by a type whose `Drop` gives it back.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientContext, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

/// Rows that one call takes at most: librdkafka's lock is then taken once for many.
pub(crate) const BATCH_ROWS_MAX: usize = 4096;

/// What one batch of messages held, partition by partition.
#[derive(Default)]
pub(crate) struct Fetched {
    pub rows: Vec<(TopicPartition, RecordBatch)>,
    /// The end of a partition was met at this offset.
    pub ends: Vec<(TopicPartition, i64)>,
    pub errors: Vec<(TopicPartition, RDKafkaErrorCode, String)>,
}

/// A queue of our own that chosen partitions are forwarded to, so that rows can be taken in batches while rebalances stay on
/// the consumer's own queue, which a batch call would swallow.
pub(crate) struct RowQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    names: HashMap<(usize, i32), TopicPartition>,
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread; `messages` holds pointers only within `take`, which has `&mut self`.
unsafe impl<C: ConsumerContext + 'static> Send for RowQueue<C> {}

impl<C: ConsumerContext + 'static> RowQueue<C> {
    pub fn new(consumer: Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the client lives as long as `consumer`, which this type keeps.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) })?;
        Some(Self { queue, messages: vec![ptr::null_mut(); BATCH_ROWS_MAX], names: HashMap::new(), consumer })
    }

    /// Sends the rows of `partition` here. To be called before each assignment: the end of the last one undid it.
    pub fn forward(&mut self, partition: &TopicPartition) -> bool {
        let Ok(topic) = CString::new(partition.topic.as_str()) else { return false };
        // Topic handles of an earlier assignment may be gone, and their addresses used anew.
        self.names.clear();
        // SAFETY: the client lives; the partition's queue is given back at once, the forwarding holds its own reference.
        unsafe {
            let native = self.consumer.client().native_ptr();
            let from = sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition.partition);
            if from.is_null() {
                return false;
            }
            sys::rd_kafka_queue_forward(from, self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(from);
        }
        true
    }

    /// Up to `rows_max` rows; waits up to `wait` for the first.
    pub fn take(&mut self, wait: Duration, rows_max: usize) -> Fetched {
        let rows_max = rows_max.clamp(1, BATCH_ROWS_MAX);
        let mut count = self.consume(0, 0, rows_max);
        if count == 0 && !wait.is_zero() {
            // A batch call waits until the batch is full: so wait for one row, then take what else is there.
            let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).max(1);
            count = self.consume(0, wait_ms, 1);
            if count > 0 && count < rows_max {
                count += self.consume(count, 0, rows_max - count);
            }
        }
        let fetched = self.collect(count);
        for message in &mut self.messages[..count] {
            // SAFETY: each of the first `count` messages is ours, and given back once.
            unsafe { sys::rd_kafka_message_destroy(*message) };
            *message = ptr::null_mut();
        }
        fetched
    }

    fn consume(&mut self, from: usize, wait_ms: i32, rows_max: usize) -> usize {
        let room = &mut self.messages[from..from + rows_max];
        // SAFETY: the queue is ours, `room` has room for `rows_max` pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, room.as_mut_ptr(), rows_max) };
        usize::try_from(count).unwrap_or(0)
    }

    fn collect(&mut self, count: usize) -> Fetched {
        let mut fetched = Fetched::default();
        let mut places: Vec<((usize, i32), usize)> = Vec::new();
        for index in 0..count {
            // SAFETY: `consume` filled this slot, and the message is not destroyed before `take` ends.
            let message = unsafe { &*self.messages[index] };
            let id = (message.rkt as usize, message.partition);
            if message.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                let partition = self.name(message, id);
                note_error(&mut fetched, partition, message);
                continue;
            }
            let place = match places.iter().find(|(known, _)| *known == id) {
                Some((_, place)) => *place,
                None => {
                    let partition = self.name(message, id);
                    fetched.rows.push((partition, RecordBatch::default()));
                    places.push((id, fetched.rows.len() - 1));
                    fetched.rows.len() - 1
                }
            };
            push_row(&mut fetched.rows[place].1, message);
        }
        fetched
    }

    fn name(&mut self, message: &sys::rd_kafka_message_t, id: (usize, i32)) -> TopicPartition {
        self.names
            .entry(id)
            .or_insert_with(|| {
                if message.rkt.is_null() {
                    return TopicPartition::new("", message.partition);
                }
                // SAFETY: the message holds a reference on its topic, whose name lives as long.
                let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt)) };
                TopicPartition::new(TopicName::from(&*name.to_string_lossy()), message.partition)
            })
            .clone()
    }
}

impl<C: ConsumerContext + 'static> Drop for RowQueue<C> {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, before the client that `consumer` keeps alive.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

fn note_error(fetched: &mut Fetched, partition: TopicPartition, message: &sys::rd_kafka_message_t) {
    if message.err == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
        fetched.ends.push((partition, message.offset));
        return;
    }
    // SAFETY: of an error message, this is its text, which lives as long as the message, or null.
    let text = text(unsafe { sys::rd_kafka_message_errstr(message) });
    fetched.errors.push((partition, message.err.into(), text));
}

#[inline]
fn push_row(batch: &mut RecordBatch, message: &sys::rd_kafka_message_t) {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: a consumed message; its timestamp is a field.
    let timestamp = unsafe { sys::rd_kafka_message_timestamp(message, &raw mut kind) };
    let key = bytes(message.key, message.key_len);
    let value = bytes(message.payload, message.len);
    let mut headers: *mut sys::rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: a consumed message; the headers stay its own.
    let found = unsafe { sys::rd_kafka_message_headers(message, &raw mut headers) };
    if found == Code::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null() {
        batch.push(message.offset, timestamp, key, value, &header_list(headers));
    } else {
        batch.push(message.offset, timestamp, key, value, &[]);
    }
}

/// A cell of a message: null is told from empty by the pointer.
#[inline]
fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: librdkafka gives pointer and length of one buffer of the message, which outlives the copy into the batch.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

fn header_list<'a>(headers: *mut sys::rd_kafka_headers_t) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
    // SAFETY: the headers of a living message.
    let count = unsafe { sys::rd_kafka_header_cnt(headers) };
    let mut list = Vec::with_capacity(count);
    for index in 0..count {
        let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0_usize);
        // SAFETY: an index below the count; name and value live as long as the headers.
        let found =
            unsafe { sys::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) };
        if found == Code::RD_KAFKA_RESP_ERR_NO_ERROR && !name.is_null() {
            // SAFETY: librdkafka ends names with a zero byte.
            list.push((unsafe { CStr::from_ptr(name) }.to_bytes(), bytes(value, size)));
        }
    }
    list
}

/// Events that wait to be polled.
pub(crate) fn queued_events<C: ProducerContext>(producer: &BaseProducer<C>) -> usize {
    // SAFETY: the producer lives; the reference on its queue is given back at once.
    unsafe {
        let queue = sys::rd_kafka_queue_get_main(producer.client().native_ptr());
        let length = sys::rd_kafka_queue_length(queue);
        sys::rd_kafka_queue_destroy(queue);
        length
    }
}

/// A topic of a producer, so that a row costs no search by name. To be dropped before its producer.
pub(crate) struct TopicHandle(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: topic handles are reference-counted and usable from any thread.
unsafe impl Send for TopicHandle {}

impl TopicHandle {
    pub fn new<C: ProducerContext>(producer: &BaseProducer<C>, topic: &str) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the producer lives; no configuration is handed over.
        NonNull::new(unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), topic.as_ptr(), ptr::null_mut())
        })
        .map(Self)
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

/// One row for the producer's queue.
pub(crate) struct NewRow<'a> {
    pub partition: i32,
    /// librdkafka takes 0 for "now".
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// Copies a row into the producer's queue.
#[inline]
pub(crate) fn produce<'h, C: ProducerContext>(
    producer: &BaseProducer<C>,
    topic: &TopicHandle,
    row: &NewRow<'_>,
    headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)>,
) -> Result<(), RDKafkaErrorCode> {
    let headers = new_headers(headers);
    let (key, key_len) = row.key.map_or((ptr::null(), 0), |key| (key.as_ptr(), key.len()));
    let (value, value_len) = row.value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
    // SAFETY: each tag is followed by the arguments that rdkafka.h names for it; bytes are copied before the call returns.
    let code = unsafe {
        sys::rd_kafka_producev(
            producer.client().native_ptr(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
            topic.0.as_ptr(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
            row.partition,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            sys::RD_KAFKA_MSG_F_COPY,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            value,
            value_len,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
            key,
            key_len,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
            row.timestamp,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            headers,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        )
    };
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    if !headers.is_null() {
        // SAFETY: on an error the headers stay ours.
        unsafe { sys::rd_kafka_headers_destroy(headers) };
    }
    Err(code.into())
}

fn new_headers<'h>(list: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)>) -> *mut sys::rd_kafka_headers_t {
    if list.len() == 0 {
        return ptr::null_mut();
    }
    // SAFETY: names and values are copied; lengths are those of the slices.
    unsafe {
        let headers = sys::rd_kafka_headers_new(list.len());
        for (name, value) in list {
            let (data, len) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
            sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, data.cast(), len as isize);
        }
        headers
    }
}

/// A member's place in its group, as it was when it was read: what a transaction's offsets are fenced with.
pub(crate) struct GroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

impl GroupMetadata {
    /// Reads it now. None: this consumer has no group.
    pub fn read<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client lives; what is returned is ours.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) }).map(Self)
    }

    /// Below 0: not a member at this moment, and the broker would not check the commit.
    pub fn generation(&self) -> i32 {
        // SAFETY: ours.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.0.as_ptr()) }
    }

    /// Empty: not a member at this moment, and the broker would not check the commit.
    pub fn member_id(&self) -> String {
        // SAFETY: a C string of the metadata, or null.
        text(unsafe { sys::rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr()) })
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

/// What a call of the transaction API said.
#[derive(Debug)]
pub(crate) struct TransactionError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
}

/// Adds `offsets` to the open transaction, fenced by `group`.
pub(crate) fn send_offsets<C: ProducerContext>(
    producer: &BaseProducer<C>,
    offsets: &TopicPartitionList,
    group: &GroupMetadata,
    timeout: Duration,
) -> Result<(), TransactionError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: all three live during the call; the error, if any, is ours and destroyed once.
    unsafe {
        let error = sys::rd_kafka_send_offsets_to_transaction(
            producer.client().native_ptr(),
            offsets.ptr(),
            group.0.as_ptr(),
            timeout_ms,
        );
        if error.is_null() {
            return Ok(());
        }
        let told = TransactionError {
            code: sys::rd_kafka_error_code(error).into(),
            text: text(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(told)
    }
}

/// A question to the brokers, answered on a queue of its own. To be dropped before its client.
struct Question(NonNull<sys::rd_kafka_queue_t>);

impl Question {
    fn new<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client lives; the queue is ours.
        NonNull::new(unsafe { sys::rd_kafka_queue_new(client.native_ptr()) }).map(Self)
    }

    /// The answer, or what prevents it; none: not within `wait`. `read` is given the event, which lives during its call.
    fn answer<T>(
        &self,
        wait: Duration,
        read: impl FnOnce(*mut sys::rd_kafka_event_t) -> T,
    ) -> Option<Result<T, String>> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is ours; the event is ours, read while it lives and destroyed once.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.0.as_ptr(), wait_ms);
            if event.is_null() {
                return None;
            }
            let failed = sys::rd_kafka_event_error(event) != Code::RD_KAFKA_RESP_ERR_NO_ERROR;
            let answer = if failed { Err(text(sys::rd_kafka_event_error_string(event))) } else { Ok(read(event)) };
            sys::rd_kafka_event_destroy(event);
            Some(answer)
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; an answer that is still to come is dropped by librdkafka.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

/// A C string, or nothing where there is none.
fn text(of: *const c_char) -> String {
    if of.is_null() {
        return String::new();
    }
    // SAFETY: callers hand over C strings of objects that are alive.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}

/// A partition's offset, or why there is none.
pub(crate) type OffsetAnswer = (TopicPartition, Result<i64, RDKafkaErrorCode>);

/// The first or next offsets of partitions, asked for and not told yet. Open transactions count. To be dropped before its
/// client.
pub(crate) struct AskedOffsets(Question);

impl AskedOffsets {
    /// Asks for what the offsets of `of` say: [`rdkafka::Offset::Beginning`] or [`rdkafka::Offset::End`] of each.
    pub fn new<C: ClientContext>(client: &Client<C>, of: &TopicPartitionList) -> Option<Self> {
        let question = Question::new(client)?;
        // SAFETY: client, list and queue live; the list is copied. By default, the answer counts uncommitted rows.
        unsafe { sys::rd_kafka_ListOffsets(client.native_ptr(), of.ptr(), ptr::null(), question.0.as_ptr()) };
        Some(Self(question))
    }

    /// The answer, once; none: not within `wait`.
    pub fn answer(&mut self, wait: Duration) -> Option<Result<Vec<OffsetAnswer>, String>> {
        self.0.answer(wait, |event| {
            let mut count = 0;
            // SAFETY: the event lives and is of this kind, for nothing else is asked on this queue; infos live as long.
            unsafe {
                let infos = sys::rd_kafka_ListOffsets_result_infos(
                    sys::rd_kafka_event_ListOffsets_result(event),
                    &raw mut count,
                );
                let info = |index| &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index));
                let tell = |at: &sys::rd_kafka_topic_partition_t| {
                    let failed = at.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR;
                    let offset = if failed { Err(at.err.into()) } else { Ok(at.offset) };
                    (TopicPartition::new(TopicName::from(text(at.topic).as_str()), at.partition), offset)
                };
                (0..count).map(info).map(tell).collect()
            }
        })
    }
}

/// A topic's partitions and its identity; none of a topic that is not there.
pub(crate) type TopicAnswer = (String, Result<(usize, String), RDKafkaErrorCode>);

/// What the brokers say of topics; none: nothing within `wait`.
pub(crate) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[TopicName],
    wait: Duration,
) -> Option<Result<Vec<TopicAnswer>, String>> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let question = Question::new(client)?;
    // SAFETY: client and queue live; names are copied into the collection, which is ours and destroyed once.
    unsafe {
        let of = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client.native_ptr(), of, ptr::null(), question.0.as_ptr());
        sys::rd_kafka_TopicCollection_destroy(of);
    }
    question.answer(wait, |event| {
        let mut count = 0;
        // SAFETY: the event lives and is of this kind; all that hangs on it lives as long.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            let tell = |topic: *const sys::rd_kafka_TopicDescription_t| {
                let error = sys::rd_kafka_TopicDescription_error(topic);
                let name = text(sys::rd_kafka_TopicDescription_name(topic));
                let code =
                    if error.is_null() { Code::RD_KAFKA_RESP_ERR_NO_ERROR } else { sys::rd_kafka_error_code(error) };
                if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return (name, Err(code.into()));
                }
                let mut partitions = 0;
                sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                let id = sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic));
                (name, Ok((partitions, text(id))))
            };
            (0..count).map(|index| tell(*topics.add(index))).collect()
        }
    })
}
