//! A topology that has changed: what its hosts have kept must still have a place, or be dropped on purpose.

use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::topics::{self, Survey};
use super::{Host, internal};
use crate::deploy::kept::{self, Kept};
use crate::problem::{Mistake, Problem};
use crate::units::now_ms;

/// Holds the topology against the stores that the application has kept so far, and notes those of this topology. The
/// deployments must have been read to their end.
///
/// # Errors
/// Some would be lost, and the host was not told to drop them; the log does not answer.
pub fn settle(host: &Host) -> Result<(), Problem> {
    let now = Kept::of(&host.topology);
    let before = host.deployments.with(|fold| fold.kept().cloned()).unwrap_or_default();
    let difference = before.under(&now);
    if !difference.lost.is_empty() {
        if !host.config.drop_state {
            let help = "put the stores back as they were, or start once with --drop-state: what they hold is deleted";
            let mistake = Mistake {
                pointer: Some("/stores".to_owned()),
                detail: difference.to_string(),
                help: Some(help.to_owned()),
                ..Mistake::default()
            };
            return Err(Problem::invalid("the topology has no place for state that it kept before").with(vec![mistake]));
        }
        let client = host.client()?;
        for (name, why) in &difference.lost {
            let changelog = before.stores.get(name).and_then(|store| store.changelog.as_deref());
            if let Some(changelog) = changelog {
                client.delete_topic(&TopicName::from(changelog))?;
            }
            tracing::warn!(store = name, why, changelog, "the store is dropped with all that it held");
        }
    }
    if before != now {
        tracing::info!(stores = %difference, "the stores of the topology");
        note(host, &now)?;
    }
    Ok(())
}

fn note(host: &Host, kept: &Kept) -> Result<(), Problem> {
    let value = serde_json::to_vec(kept).map_err(|error| Problem::failed(error.to_string()))?;
    let mut batch = RecordBatch::default();
    batch.push(0, now_ms(), Some(kept::KEY.as_bytes()), Some(&value), &[]);
    host.client()?.append(&TopicPartition::new(host.deployments_topic(), 0), &batch)?;
    Ok(())
}

/// Looks at the topics; with `--drop-state` changelogs that do not fit their tasks are deleted first.
///
/// # Errors
/// The log does not answer.
pub fn survey(host: &Host) -> Result<Survey, Problem> {
    let (client, bootstrap) = (host.client()?, host.config.bootstrap.as_deref());
    let survey = topics::survey(&*client, &host.topology, bootstrap)?;
    if !host.config.drop_state || survey.mistakes.is_empty() {
        return Ok(survey);
    }
    let mut dropped = false;
    for (changelog, there, tasks) in internal::miscounted(&host.topology, &survey.counts()) {
        client.delete_topic(changelog)?;
        tracing::warn!(topic = %changelog, there, tasks, "the changelog does not fit its tasks: dropped with all that it held");
        dropped = true;
    }
    if dropped { topics::survey(&*client, &host.topology, bootstrap) } else { Ok(survey) }
}
