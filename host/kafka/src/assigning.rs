//! Where a new owner begins: at the committed positions, once no open transaction can still move them.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use weir_core::ports::{Position, TransportError};
use weir_core::record::TopicPartition;

use crate::client::KafkaClient;
use crate::config::KafkaConfig;
use crate::hosts;
use crate::membership::{GroupWatch, Membership};
use crate::seek::partition_list;

/// How long one look at the committed positions may take. librdkafka hides that they are unstable by asking again and
/// again, so that the end of this time is how it is told.
const LOOK_WAIT: Duration = Duration::from_millis(250);
/// How long other requests may take.
const REQUEST_WAIT: Duration = Duration::from_secs(2);
/// Pause between two attempts to end the transactions of expelled members.
const FENCE_PAUSE: Duration = Duration::from_millis(500);

/// An attempt to find out where to begin, gone on with at each poll.
pub(crate) struct Assigning {
    pub partitions: Vec<TopicPartition>,
    fenced_at: Option<Instant>,
}

/// What it takes to settle positions.
pub(crate) struct Settling<'a> {
    pub consumer: &'a BaseConsumer<GroupWatch>,
    pub membership: &'a dyn Membership,
    pub client: &'a KafkaClient,
    pub config: &'a KafkaConfig,
    pub own: &'a str,
}

impl Assigning {
    pub fn new(partitions: Vec<TopicPartition>) -> Self {
        Self { partitions, fenced_at: None }
    }

    /// The positions, or none: some are not stable yet.
    pub fn positions(&mut self, with: &Settling<'_>) -> Result<Option<Vec<Position>>, TransportError> {
        if self.partitions.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if let Some(positions) = look(with, &self.partitions)? {
            return Ok(Some(positions));
        }
        if self.fenced_at.is_none_or(|at| at.elapsed() > FENCE_PAUSE) {
            let members = with.membership.members(REQUEST_WAIT)?;
            hosts::fence_expelled(with.client, with.config, &members, with.own)?;
            self.fenced_at = Some(Instant::now());
        }
        Ok(None)
    }
}

/// One look at the committed positions; none: an open transaction holds offsets of some.
fn look(with: &Settling<'_>, partitions: &[TopicPartition]) -> Result<Option<Vec<Position>>, TransportError> {
    let committed = match with.consumer.committed_offsets(partition_list(partitions), LOOK_WAIT) {
        Ok(committed) => committed,
        Err(error) if error.rdkafka_error_code().is_some_and(is_unsettled) => return Ok(None),
        Err(error) => return Err(unread(&error)),
    };
    let mut positions = Vec::with_capacity(partitions.len());
    for element in committed.elements() {
        match element.error() {
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code().is_some_and(is_unsettled) => return Ok(None),
            Err(error) => return Err(unread(&error)),
        }
        let partition = TopicPartition::new(element.topic(), element.partition());
        positions.push(match element.offset() {
            Offset::Offset(offset) => Position { partition, offset, metadata: Some(element.metadata().to_owned()) },
            _ => Position { offset: start(with, &partition)?, partition, metadata: None },
        });
    }
    Ok(Some(positions))
}

fn is_unsettled(code: Code) -> bool {
    matches!(code, Code::UnstableOffsetCommit | Code::OperationTimedOut | Code::RequestTimedOut)
}

fn unread(error: &KafkaError) -> TransportError {
    TransportError::Retriable(format!("the committed positions cannot be read: {error}"))
}

/// Where a partition without a committed position begins, as `auto.offset.reset` has it.
fn start(with: &Settling<'_>, partition: &TopicPartition) -> Result<i64, TransportError> {
    let (topic, number) = (partition.topic.as_str(), partition.partition);
    let (first, end) = with.consumer.fetch_watermarks(topic, number, REQUEST_WAIT).map_err(|error| {
        TransportError::Retriable(format!("the first offset of {partition} cannot be read: {error}"))
    })?;
    let reset = with.config.properties.iter().rev().find(|(name, _)| name == "auto.offset.reset");
    match reset.map_or("earliest", |(_, value)| value.as_str()) {
        "latest" | "largest" | "end" => Ok(end),
        "error" | "none" => Err(TransportError::Fatal(format!(
            "{partition} has no committed position, and auto.offset.reset forbids to choose one"
        ))),
        _ => Ok(first),
    }
}
