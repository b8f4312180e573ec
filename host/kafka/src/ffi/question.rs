//! Questions to brokers that are answered while this thread goes on.

use std::ffi::{CString, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use weir_core::record::{TopicName, TopicPartition};

use super::text;

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
