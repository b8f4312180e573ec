//! How a stream thread shares the partitions with the other members of its application.
//!
//! [`ClassicGroup`] is librdkafka's classic consumer group. A streams group (KIP-1071) would be a second file here: a
//! heartbeat of its own, and the consumer on manual assignment.

mod classic;

use std::collections::BTreeSet;
use std::time::Duration;

use weir_core::ports::TransportError;
use weir_core::record::TopicPartition;

pub(crate) use classic::{ClassicGroup, GroupWatch};

use crate::ffi::GroupMetadata;

/// What the group decided. Each waits for our answer: `accept`, or `release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

/// A member of the application's group.
pub(crate) trait Membership {
    /// Joins.
    fn join(&mut self) -> Result<(), TransportError>;

    /// The next thing that the group decided. To be called often: not to call it for `max.poll.interval.ms` is to leave.
    fn next_change(&mut self) -> Result<Option<Change>, TransportError>;

    /// Takes an assignment up, to be fetched from these offsets on.
    fn accept(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), TransportError>;

    /// Gives up what was revoked or lost: the group goes on without it.
    fn release(&mut self) -> Result<(), TransportError>;

    /// Our place in the group, read now: what offsets are fenced with. None while we have none.
    fn fence(&self) -> Option<GroupMetadata>;

    /// The client ids of all members now.
    fn members(&self, timeout: Duration) -> Result<BTreeSet<String>, TransportError>;
}
