//! A topology that has changed: what its hosts have kept must still have a place, or be dropped on purpose.

use std::collections::BTreeSet;

use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::topics::{self, Survey};
use super::{Host, internal};
use crate::deploy::kept::{self, Kept};
use crate::problem::{Mistake, Problem};
use crate::units::now_ms;

/// Holds the topology against the stores that the application has kept so far, and notes those of this topology. The
/// deployments must have been read to their end. `created` are the topics that were not there when this host started.
///
/// # Errors
/// Some would be lost, and the host was not told to drop them; the log does not answer.
pub fn settle(host: &Host, created: &BTreeSet<TopicName>) -> Result<(), Problem> {
    let now = Kept::of(&host.topology);
    let before = host.deployments.with(|fold| fold.kept().cloned()).unwrap_or_default();
    let difference = before.under(&now);
    let on_disk = disk::difference(host)?;
    if !difference.lost.is_empty() || on_disk.is_some() {
        if !host.config.drop_state {
            let what = if difference.lost.is_empty() { on_disk } else { None };
            return Err(refusal(what.unwrap_or_else(|| difference.to_string())));
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
    disk::drop_unkept(host)?;
    // What is dropped on purpose has been named already.
    let kept = before.stores.values().filter(|_| !host.config.drop_state);
    let changelogs = kept.filter_map(|store| store.changelog.as_deref().map(TopicName::from));
    changelogs.filter(|changelog| created.contains(changelog)).for_each(|gone| internal::warn_of_loss(&gone));
    if before != now {
        tracing::info!(stores = %difference, "the stores of the topology");
        note(host, &now)?;
    }
    Ok(())
}

fn refusal(difference: String) -> Problem {
    let help = "put the stores back as they were, or start once with --drop-state: what they hold is deleted";
    let mistake = Mistake {
        pointer: Some("/stores".to_owned()),
        detail: difference,
        help: Some(help.to_owned()),
        ..Mistake::default()
    };
    Problem::invalid("the topology has no place for state that was kept before").with(vec![mistake])
}

/// What this host has on its own disk.
#[cfg(feature = "rocksdb")]
mod disk {
    use super::super::{Host, STORES_DIR};
    use crate::problem::Problem;

    /// What becomes of it under the topology, if some of it would be lost.
    pub(super) fn difference(host: &Host) -> Result<Option<String>, Problem> {
        let kept = weir_rocksdb::inspect(&host.state_dir.join(STORES_DIR), &host.topology.application);
        let difference = weir_rocksdb::compare(&kept.map_err(unreadable)?, &host.topology);
        Ok((!difference.is_fit()).then(|| difference.to_string()))
    }

    /// Deletes what the topology does not keep, and what it keeps elsewhere and has in changelogs.
    pub(super) fn drop_unkept(host: &Host) -> Result<(), Problem> {
        weir_rocksdb::drop_lost(&host.state_dir.join(STORES_DIR), &host.topology).map_err(unreadable)
    }

    fn unreadable(error: weir_core::ports::StoreError) -> Problem {
        Problem::failed(error.to_string())
    }
}

/// A build without RocksDB has nothing there.
#[cfg(not(feature = "rocksdb"))]
mod disk {
    use super::super::Host;
    use crate::problem::Problem;

    pub(super) fn difference(_: &Host) -> Result<Option<String>, Problem> {
        Ok(None)
    }

    pub(super) fn drop_unkept(_: &Host) -> Result<(), Problem> {
        Ok(())
    }
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
