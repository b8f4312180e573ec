use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message, TopicPartitionList};
use weir_core::ports::TransportError;
use weir_core::record::{TopicName, TopicPartition};

use super::{Change, Membership};
use crate::ffi::GroupMetadata;
use crate::seek::offset_list;
use crate::status::{Status, lock, log};

/// The consumer's context: notes what the group decides, and nothing else. librdkafka waits for the call that answers it.
pub(crate) struct GroupWatch {
    status: Status,
    changes: Mutex<VecDeque<Change>>,
    /// The consumer is being dropped: nobody will answer any more.
    closing: AtomicBool,
}

impl GroupWatch {
    pub fn new(status: Status) -> Self {
        Self { status, changes: Mutex::default(), closing: AtomicBool::new(false) }
    }
}

impl ClientContext for GroupWatch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.status.note_log(facility, message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.status.note(code, reason);
        }
    }
}

impl ConsumerContext for GroupWatch {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            // Closing waits for the answer, and no engine is left to give it.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "the assignment could not be given up while closing");
            }
            return;
        }
        let list = partitions_of(partitions);
        let change = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(list),
            // Who slept through its revocation was expelled meanwhile: librdkafka tells the revocation it had noted before,
            // but has no member id any more.
            _ if consumer.assignment_lost() || place_in_group(consumer).is_none() => Change::Lost(list),
            _ => Change::Revoked(list),
        };
        lock(&self.changes).push_back(change);
    }
}

/// A member of a classic group under the range assignor: partition i of every topic falls to one member.
///
/// The protocol is eager: a rebalance revokes all partitions of all members. A static member (`group.instance.id`) that
/// comes back in time causes none.
pub(crate) struct ClassicGroup {
    consumer: Arc<BaseConsumer<GroupWatch>>,
    group: String,
    topics: Vec<TopicName>,
}

impl ClassicGroup {
    pub fn new(consumer: Arc<BaseConsumer<GroupWatch>>, group: String, topics: Vec<TopicName>) -> Self {
        Self { consumer, group, topics }
    }

    /// Serves one event of the consumer: a change lands in the watch.
    fn serve(&self) -> Result<(), TransportError> {
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(()),
            Some(Ok(row)) => Err(TransportError::Fatal(format!(
                "librdkafka delivered {}/{} at {} outside of its partition's queue; the row is not lost, the thread restarts",
                row.topic(),
                row.partition(),
                row.offset()
            ))),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                Err(TransportError::Fatal(format!("the group has expelled this member for good: {code}")))
            }
            Some(Err(error)) => {
                // Already in the status where it is an outage; the rest passes or comes again as a change.
                tracing::debug!(%error, "consumer event");
                Ok(())
            }
        }
    }
}

impl Membership for ClassicGroup {
    fn join(&mut self) -> Result<(), TransportError> {
        let topics: Vec<&str> = self.topics.iter().map(TopicName::as_str).collect();
        self.consumer.subscribe(&topics).map_err(|error| TransportError::Retriable(error.to_string()))
    }

    fn next_change(&mut self) -> Result<Option<Change>, TransportError> {
        self.serve()?;
        Ok(lock(&self.consumer.context().changes).pop_front())
    }

    fn accept(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        let list = offset_list(from)?;
        self.consumer.assign(&list).map_err(|error| TransportError::Retriable(error.to_string()))
    }

    fn release(&mut self) -> Result<(), TransportError> {
        self.consumer.unassign().map_err(|error| TransportError::Retriable(error.to_string()))
    }

    fn fence(&self) -> Option<GroupMetadata> {
        place_in_group(&self.consumer)
    }

    fn members(&self, timeout: Duration) -> Result<BTreeSet<String>, TransportError> {
        let listed = self.consumer.fetch_group_list(Some(&self.group), timeout).map_err(|error| {
            TransportError::Retriable(format!("the members of group `{}` cannot be read: {error}", self.group))
        })?;
        let members = listed.groups().iter().flat_map(|group| group.members().iter());
        Ok(members.map(|member| member.client_id().to_owned()).collect())
    }
}

impl Drop for ClassicGroup {
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Release);
        if !lock(&self.consumer.context().changes).is_empty() || self.consumer.assignment().is_ok_and(|a| a.count() > 0)
        {
            // A change that was noted and never answered would keep the close waiting.
            let _unanswered = self.consumer.unassign();
        }
    }
}

/// None: not a member at this moment. Without a generation or a member id the broker would take the commit unchecked.
fn place_in_group(consumer: &BaseConsumer<GroupWatch>) -> Option<GroupMetadata> {
    GroupMetadata::read(consumer).filter(|group| group.generation() >= 0 && !group.member_id().is_empty())
}

/// The partitions of a list.
fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}
