//! What there is of an application: its members, its positions, its topics, its stores on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_core::ports::Client;
use weir_core::record::{TopicName, TopicPartition};
use weir_core::topology::{Internal, Topology};

use super::{Gone, To};
use crate::deploy::fold::Fold;
use crate::host::STORES_DIR;
use crate::problem::Problem;

/// Rows of one read.
const ROWS_MAX: usize = 1000;

/// How long one read waits for rows that are known to be there.
const READ_WAIT: Duration = Duration::from_millis(500);

/// Reads of the deployments that bring nothing, until they are given up.
const IDLE_READS_MAX: usize = 20;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Who runs it now.
    pub members: Vec<String>,
    /// Each partition of the topics that it reads and that are not its own.
    pub inputs: Vec<Input>,
    /// Those of its own topics that exist.
    pub internal: Vec<Gone>,
    /// Where this host has stores of it, if it has.
    pub stores: Option<PathBuf>,
    /// The deployments note what stores it keeps.
    pub kept_noted: bool,
}

/// A partition of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which.
    pub partition: TopicPartition,
    /// Its first offset.
    pub begin: i64,
    /// The one after its last.
    pub end: i64,
    /// How far the application has come.
    pub committed: Option<i64>,
    /// The first offset of the time that was asked for.
    pub at_time: Option<i64>,
}

/// Looks at the application of `topology`.
///
/// # Errors
/// None of its input topics exists; the log does not answer.
pub fn look(client: &dyn Client, topology: &Topology, to: To, state_dir: &Path) -> Result<Facts, Problem> {
    let (kept, kept_noted) = kept_changelogs(client, &topology.application)?;
    let own = own_topics(topology, kept);
    let inputs: Vec<TopicName> = {
        let read = topology.subtopologies.iter().flat_map(|part| &part.topics).map(|topic| topology.topic(*topic));
        let mut read: Vec<_> = read.filter(|topic| topic.internal.is_none()).map(|topic| topic.name.clone()).collect();
        read.sort();
        read.dedup();
        read
    };
    let asked: Vec<TopicName> = own.keys().chain(&inputs).cloned().collect();
    let counts = client.partitions(&asked)?;
    if !inputs.iter().any(|topic| counts.contains_key(topic)) {
        let names: Vec<&str> = inputs.iter().map(TopicName::as_str).collect();
        return Err(Problem::not_found(format!(
            "there is none of the topics that `{}` reads ({}): is this its log?",
            topology.application,
            names.join(", ")
        )));
    }
    let partitions = inputs.iter().filter_map(|topic| Some((topic, *counts.get(topic)?)));
    let partitions = partitions.flat_map(|(topic, count)| (0..count).map(move |at| TopicPartition::new(topic, at)));
    let partitions: Vec<TopicPartition> = partitions.collect();
    let committed: BTreeMap<TopicPartition, i64> =
        client.committed(&partitions)?.into_iter().map(|position| (position.partition, position.offset)).collect();
    let input = |partition: TopicPartition| {
        let (begin, end) = client.offsets(&partition)?;
        let at_time = match to {
            To::Time(time) => Some(client.offset_at(&partition, time)?),
            To::Earliest | To::Latest | To::Offset(_) => None,
        };
        let committed = committed.get(&partition).copied();
        Ok(Input { partition, begin, end, committed, at_time })
    };
    let inputs = partitions.into_iter().map(input).collect::<Result<_, Problem>>()?;
    let internal = own.into_iter().filter_map(|(topic, (was, is_read))| {
        let partitions = *counts.get(&topic)?;
        Some(Gone { topic: topic.as_str().to_owned(), was, partitions, is_read })
    });
    let stores = state_dir.join(STORES_DIR).join(&topology.application);
    Ok(Facts {
        members: client.members()?,
        inputs,
        internal: internal.collect(),
        stores: stores.is_dir().then_some(stores),
        kept_noted,
    })
}

/// The application's own topics: what each is, and whether the application has positions in it.
fn own_topics(topology: &Topology, kept: BTreeMap<TopicName, String>) -> BTreeMap<TopicName, (String, bool)> {
    let mut own: BTreeMap<TopicName, (String, bool)> =
        kept.into_iter().map(|(topic, store)| (topic, (format!("changelog of store {store}"), false))).collect();
    for topic in &topology.topics {
        let was = match topic.internal {
            None => {
                // A topic of the user that a store is restored from.
                own.remove(&topic.name);
                continue;
            }
            Some(Internal::Repartition) => ("repartition".to_owned(), true),
            Some(Internal::Changelog | Internal::WindowedChangelog) => {
                let changelog = |store: &&weir_core::topology::Store| {
                    store.changelog.is_some_and(|index| topology.topic(index).name == topic.name)
                };
                let store = topology.stores.iter().find(changelog).map_or("", |store| &store.name);
                (format!("changelog of store {store}"), false)
            }
        };
        own.insert(topic.name.clone(), was);
    }
    own
}

/// The topic that says what is deployed and kept.
#[must_use]
pub fn deployments_topic(application: &str) -> TopicName {
    TopicName::from(format!("{application}-deployments").as_str())
}

/// The changelogs of stores that the application has kept, under a former topology too; and whether any are noted.
fn kept_changelogs(client: &dyn Client, application: &str) -> Result<(BTreeMap<TopicName, String>, bool), Problem> {
    let topic = deployments_topic(application);
    if !client.partitions(std::slice::from_ref(&topic))?.contains_key(&topic) {
        return Ok((BTreeMap::new(), false));
    }
    let partition = TopicPartition::new(&topic, 0);
    let (mut next, end) = client.offsets(&partition)?;
    let (mut fold, mut idle) = (Fold::default(), 0);
    while next < end {
        let (rows, go_on) = client.read(&partition, next, ROWS_MAX, READ_WAIT)?;
        for row in 0..rows.len() {
            fold.apply(rows.offsets[row], rows.keys.get(row), rows.values.get(row));
        }
        idle = if go_on > next { 0 } else { idle + 1 };
        if idle > IDLE_READS_MAX {
            return Err(Problem::unreachable(format!("the log gives no rows of {partition} from {next} on")));
        }
        next = go_on.max(next);
    }
    let Some(kept) = fold.kept() else { return Ok((BTreeMap::new(), false)) };
    let changelogs = kept
        .stores
        .iter()
        .filter_map(|(name, store)| Some((TopicName::from(store.changelog.as_deref()?), name.clone())));
    Ok((changelogs.collect(), !kept.stores.is_empty()))
}

#[cfg(test)]
mod tests {
    use weir_core::topology::TopicIndex;

    use super::*;

    const FILE: &str = "
application: a
topics: { orders: { key: string, value: json }, customers: { key: string, value: json } }
stores: { seen: { kind: key-value, changelog: false } }
nodes:
  in: { source: orders }
  keyed: { from: in, key-by: value.customer }
  count: { from: keyed, aggregate: count, repartition: r }
  table: { table: customers }
  see: { from: in, process: { plugin: p, stores: [seen] } }
";

    #[test]
    fn repartitions_and_changelogs_are_its_own_and_so_are_those_of_former_stores() {
        let topology = weir_core::topology::parse("t.yaml", FILE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let kept = BTreeMap::from([(TopicName::from("a-gone-changelog"), "gone".to_owned())]);
        let own = own_topics(&topology, kept);
        let own: Vec<(&str, &str, bool)> =
            own.iter().map(|(topic, (was, is_read))| (topic.as_str(), was.as_str(), *is_read)).collect();
        assert_eq!(
            own,
            [
                ("a-count-changelog", "changelog of store count", false),
                ("a-gone-changelog", "changelog of store gone", false),
                ("a-r-repartition", "repartition", true),
            ]
        );
    }

    #[test]
    fn a_topic_of_the_user_is_never_deleted_though_a_store_is_restored_from_it() {
        let mut topology = weir_core::topology::parse("t.yaml", FILE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let customers = topology.topics.iter().position(|topic| topic.name.as_str() == "customers").map(TopicIndex);
        let table = topology.find_store("table").unwrap();
        topology.stores[table.0].changelog = customers;
        let kept = BTreeMap::from([(TopicName::from("customers"), "table".to_owned())]);
        assert!(!own_topics(&topology, kept).contains_key(&TopicName::from("customers")));
    }
}
