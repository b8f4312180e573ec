//! What is done for an application while it does not run: its positions are set from outside of its group.

use std::collections::BTreeSet;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use weir_core::ports::{Client, Position, TransportError};

use crate::client::KafkaClient;
use crate::config::KafkaConfig;
use crate::hosts;
use crate::seek::offset_list;
use crate::status::Watch;

/// Commits positions by `consumer`, which is of the application's group and never joins it. The broker takes such a commit
/// only while the group has no member, however late one joins.
pub(crate) fn set_positions(
    client: &KafkaClient,
    config: &KafkaConfig,
    consumer: &BaseConsumer<Watch>,
    positions: &[Position],
) -> Result<(), TransportError> {
    let members = client.members()?;
    if !members.is_empty() {
        return Err(has_members(config, &members.join(", ")));
    }
    // A host that was expelled may stand still in the middle of a commit: its transaction is ended before, or its positions
    // would come after ours.
    let list = config.hosts_topic();
    if client.partitions(std::slice::from_ref(&list))?.contains_key(&list) {
        hosts::fence_expelled(client, config, &BTreeSet::new(), "")?;
    }
    if positions.is_empty() {
        return Ok(());
    }
    let positions: Vec<_> = positions.iter().map(|position| (position.partition.clone(), position.offset)).collect();
    consumer.commit(&offset_list(&positions)?, CommitMode::Sync).map_err(|error| refused(config, &error))
}

fn has_members(config: &KafkaConfig, members: &str) -> TransportError {
    TransportError::Abortable(format!("group `{}` has members: {members}", config.application))
}

fn refused(config: &KafkaConfig, error: &KafkaError) -> TransportError {
    match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => {
            has_members(config, "one that has joined just now")
        }
        _ => TransportError::Retriable(format!("the positions of `{}` cannot be set: {error}", config.application)),
    }
}
