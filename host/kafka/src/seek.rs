use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use weir_core::ports::TransportError;
use weir_core::record::TopicPartition;

/// How long a seek may take, the start of fetching before it included.
const SEEK_WAIT: Duration = Duration::from_secs(5);
/// Pause before a seek is tried again on a partition whose fetching is just starting.
const SEEK_PAUSE: Duration = Duration::from_millis(5);

/// Moves fetching to these offsets. librdkafka versions what it has fetched: no row of before comes any more.
pub(crate) fn seek<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    to: &[(TopicPartition, i64)],
) -> Result<(), TransportError> {
    let deadline = Instant::now() + SEEK_WAIT;
    let mut left = to.to_vec();
    while !left.is_empty() {
        let sought = consumer.seek_partitions(offset_list(&left)?, SEEK_WAIT);
        let sought = sought.map_err(|error| TransportError::Retriable(format!("no seek: {error}")))?;
        let mut starting = Vec::new();
        for element in sought.elements() {
            let Err(error) = element.error() else { continue };
            let partition = TopicPartition::new(element.topic(), element.partition());
            // Fetching of a partition that was assigned just now starts in the background.
            if !is_starting(&error) || Instant::now() > deadline {
                return Err(TransportError::Retriable(format!("{partition} cannot seek: {error}")));
            }
            starting.push(partition);
        }
        left.retain(|(partition, _)| starting.contains(partition));
        if !left.is_empty() {
            // No event tells when fetching has started; it takes a few of these, once for each assignment.
            std::thread::sleep(SEEK_PAUSE);
        }
    }
    Ok(())
}

fn is_starting(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::State | Code::PreviousInProgress | Code::UnknownPartition))
}

/// A list with an offset each.
pub(crate) fn offset_list(of: &[(TopicPartition, i64)]) -> Result<TopicPartitionList, TransportError> {
    let mut list = TopicPartitionList::with_capacity(of.len());
    for (partition, offset) in of {
        list.add_partition_offset(partition.topic.as_str(), partition.partition, Offset::Offset(*offset))
            .map_err(|error| TransportError::Fatal(format!("{partition} at {offset}: {error}")))?;
    }
    Ok(list)
}

/// A list without offsets.
pub(crate) fn partition_list<'a>(of: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in of {
        list.add_partition(partition.topic.as_str(), partition.partition);
    }
    list
}
