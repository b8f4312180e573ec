//! Rows taken in batches from a queue of their own.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::text;

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
