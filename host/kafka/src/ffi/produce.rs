//! Production with a topic handle, and waiting until all of it is delivered.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

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

/// Between two looks at what the producer tells, a failed delivery among it, while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Sends what is queued and waits until no row is left in the producer; false: some are after `wait`.
///
/// rust-rdkafka's `flush` and `poll` go on to their deadline even when everything is delivered, and spin over its last
/// millisecond; librdkafka's wakes with the last delivery.
pub(crate) fn drain<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    while producer.in_flight_count() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let wait_ms = i32::try_from(left.min(LOOK).as_millis()).unwrap_or(1).max(1);
        // SAFETY: the producer lives. It tells of deliveries by events, so that nothing is called from in here.
        let code = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), wait_ms) };
        // Failed rows stay in the producer until they have been told of.
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR || producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
        }
    }
    true
}
