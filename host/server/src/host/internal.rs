//! Topics that the host makes for itself, repartitions and changelogs: how many partitions each is to have, and whether
//! those that are there fit the tasks that use them.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::ports::{Client, NewTopic, TopicFacts};
use weir_core::record::TopicName;
use weir_core::topology::{Internal, NodeKind, StoreKind, Topic, TopicIndex, Topology};

use crate::problem::{Mistake, Problem};

/// Partitions of topics, as far as they are known.
pub type Counts = BTreeMap<TopicName, i32>;

/// The setting of a changelog that tells how long a host may be away and still trust what it kept.
const TOMBSTONE_SETTING: &str = "delete.retention.ms";

/// A kept store is trusted for this part of the time for which tombstones stay: the rest is for clocks that differ.
const TRUSTED_PART: i64 = 2;

/// What is known of the changelogs at a start.
#[derive(Clone, Debug, Default)]
pub struct Changelogs {
    /// The identity of each topic.
    pub ids: BTreeMap<TopicName, String>,
    /// A store that was written last longer ago, in milliseconds, is not trusted.
    pub age_max_ms: i64,
}

/// Adds to `counts` those of internal topics, and returns what is to be created of them. `counts` has the topics that
/// exist and those of the user that are to be created.
pub fn plan(topology: &Topology, counts: &mut Counts) -> Vec<NewTopic> {
    let existing: BTreeSet<TopicName> = counts.keys().cloned().collect();
    repartitions(topology, counts);
    for store in &topology.stores {
        let Some(changelog) = store.changelog else { continue };
        let Some(tasks) = tasks(topology, store.subtopology, counts) else { continue };
        counts.entry(topology.topic(changelog).name.clone()).or_insert(tasks);
    }
    let missing = |topic: &&Topic| topic.internal.is_some() && !existing.contains(&topic.name);
    let new = |topic: &Topic| Some(new_topic(topic, topic.internal?, *counts.get(&topic.name)?));
    topology.topics.iter().filter(missing).filter_map(new).collect()
}

/// A repartition topic has what the file says, else as many as the greatest of what its writers read; that may be another
/// repartition topic, so it is asked again until nothing is news.
fn repartitions(topology: &Topology, counts: &mut Counts) {
    for topic in topology.topics.iter().filter(|topic| topic.internal == Some(Internal::Repartition)) {
        if let Some(partitions) = topic.partitions {
            counts.entry(topic.name.clone()).or_insert(partitions);
        }
    }
    // Rows may go in circles through repartitions: then what is known of the circle's inputs decides.
    for wants_all in [true, false] {
        for _ in &topology.topics {
            let mut found = Vec::new();
            for (index, topic) in topology.topics.iter().enumerate() {
                if topic.internal != Some(Internal::Repartition) || counts.contains_key(&topic.name) {
                    continue;
                }
                let count = of_writers(topology, TopicIndex(index), counts, wants_all);
                found.extend(count.map(|count| (topic.name.clone(), count)));
            }
            if found.is_empty() {
                break;
            }
            counts.extend(found);
        }
    }
}

fn of_writers(topology: &Topology, topic: TopicIndex, counts: &Counts, wants_all: bool) -> Option<i32> {
    let writes = |kind: &NodeKind| matches!(kind, NodeKind::Sink(to) if *to == topic);
    let writers = topology.nodes.iter().filter(|node| writes(&node.kind));
    let read = writers.flat_map(|node| &topology.subtopologies[node.subtopology].topics);
    let known: Vec<Option<i32>> = read.map(|topic| counts.get(&topology.topic(*topic).name).copied()).collect();
    if wants_all && known.contains(&None) { None } else { known.into_iter().flatten().max() }
}

/// How many tasks a part of the topology has; none: no topic that it reads is known.
#[must_use]
pub fn tasks(topology: &Topology, subtopology: usize, counts: &Counts) -> Option<i32> {
    let topics = &topology.subtopologies[subtopology].topics;
    topics.iter().filter_map(|topic| counts.get(&topology.topic(*topic).name).copied()).max()
}

fn new_topic(topic: &Topic, internal: Internal, partitions: i32) -> NewTopic {
    let settings: &[(&str, &str)] = match internal {
        Internal::Repartition => &[("cleanup.policy", "delete"), ("retention.ms", "-1")],
        Internal::Changelog => &[],
        // Replayed history must not vanish by the host's clock: the engine purges what has expired by stream time.
        Internal::WindowedChangelog => &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")],
    };
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    NewTopic {
        name: topic.name.clone(),
        partitions,
        compacted: internal != Internal::Repartition,
        settings: settings.collect(),
    }
}

/// What does not fit: a changelog with another count than its tasks, a store by key whose inputs have several counts.
/// `counts` are those of [`plan`].
#[must_use]
pub fn judge(topology: &Topology, counts: &Counts) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = miscounted(topology, counts)
        .map(|(changelog, there, tasks)| Mistake {
            pointer: Some(format!("/topics/{changelog}/partitions")),
            detail: format!(
                "changelog `{changelog}` has {there} partitions, but the topics that its store is made of have {tasks}"
            ),
            help: Some(format!(
                "give those topics {there} partitions again, or lose what the store holds: `weir run --drop-state` makes \
                 the changelog anew"
            )),
            ..Mistake::default()
        })
        .collect();
    for part in &topology.subtopologies {
        let by_key = |kind| !matches!(kind, StoreKind::Timers | StoreKind::Suppressed);
        let Some(store) = part.stores.iter().map(|index| topology.store(*index)).find(|store| by_key(store.kind))
        else {
            continue;
        };
        let topics = part.topics.iter().map(|topic| &topology.topic(*topic).name);
        let known: Vec<(&TopicName, i32)> = topics.filter_map(|name| Some((name, *counts.get(name)?))).collect();
        let Some(&(first, count)) = known.first() else { continue };
        if let Some((other, others)) = known.iter().find(|(_, others)| *others != count) {
            mistakes.push(Mistake {
                pointer: Some(format!("/topics/{other}/partitions")),
                detail: format!(
                    "equal keys would not meet in store `{}`: its tasks read `{first}` ({count} partitions) and `{other}` \
                     ({others})",
                    store.name
                ),
                help: Some(format!(
                    "give `{first}` and `{other}` as many partitions, or send one through \
                     `repartition: {{ name: .., partitions: {count} }}`"
                )),
                ..Mistake::default()
            });
        }
    }
    mistakes
}

/// Changelogs that do not have as many partitions as their tasks: what they have, and what they need.
pub fn miscounted<'t>(topology: &'t Topology, counts: &'t Counts) -> impl Iterator<Item = (&'t TopicName, i32, i32)> {
    topology.stores.iter().filter_map(|store| {
        let changelog = &topology.topic(store.changelog?).name;
        let (there, tasks) = (*counts.get(changelog)?, tasks(topology, store.subtopology, counts)?);
        (there != tasks).then_some((changelog, there, tasks))
    })
}

/// Makes changelogs that are gone, and says what all of them are.
///
/// # Errors
/// The log does not answer.
pub fn changelogs(client: &dyn Client, topology: &Topology, counts: &Counts) -> Result<Changelogs, Problem> {
    let names = || topology.stores.iter().filter_map(|store| Some(topology.topic(store.restored_from()?)));
    let wanted: Vec<TopicName> = names().map(|topic| topic.name.clone()).collect();
    let mut facts = client.describe(&wanted)?;
    if facts.len() < wanted.len() {
        for topic in names().filter(|topic| !facts.contains_key(&topic.name)) {
            let (Some(internal), Some(partitions)) = (topic.internal, counts.get(&topic.name)) else { continue };
            client.create_topic(&new_topic(topic, internal, *partitions))?;
            warn_of_loss(&topic.name);
        }
        facts = client.describe(&wanted)?;
    }
    if let Some(gone) = wanted.iter().find(|name| !facts.contains_key(*name)) {
        return Err(Problem::unreachable(format!("the log does not know changelog `{gone}` yet")));
    }
    warn_of_short_tables(topology, &facts);
    let age_max_ms = facts.values().map(age_max_ms).min().unwrap_or(i64::MAX);
    let ids = facts.into_iter().map(|(name, facts)| (name, facts.id)).collect();
    Ok(Changelogs { ids, age_max_ms })
}

/// A table is restored from its topic: rows that the topic does not keep are gone from it then.
fn warn_of_short_tables(topology: &Topology, facts: &BTreeMap<TopicName, TopicFacts>) {
    for store in &topology.stores {
        let Some(topic) = store.source.map(|source| &topology.topic(source).name) else { continue };
        let policy = facts.get(topic).and_then(|facts| facts.settings.get("cleanup.policy"));
        if let Some(policy) = policy.filter(|policy| policy.split(',').any(|part| part.trim() == "delete")) {
            tracing::warn!(
                store = store.name, %topic, policy,
                "a table is restored from this topic, which deletes rows by age or size: set its cleanup.policy to compact, or \
                 read it by `source` and keep it by `to-table`, which has a changelog"
            );
        }
    }
}

/// Says that a changelog that had been there was made anew.
pub fn warn_of_loss(changelog: &TopicName) {
    tracing::warn!(topic = %changelog, "a changelog was gone and is made anew: what it held is lost");
}

/// For how long a store of this changelog may be away: a log without the setting never removes what a host has not seen.
fn age_max_ms(facts: &TopicFacts) -> i64 {
    let kept = facts.settings.get(TOMBSTONE_SETTING).and_then(|ms| ms.parse::<i64>().ok());
    kept.map_or(i64::MAX, |ms| ms / TRUSTED_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
application: a
topics:
  lines: { key: string, value: json }
  counts: { key: string, value: json, partitions: 2 }
stores:
  words: { kind: window }
nodes:
  in: { source: lines }
  worded: { from: in, key-by: value.word }
  count: { from: worded, aggregate: count, store: words, window: { tumbling: 10s }, repartition: by-word }
  total: { from: worded, aggregate: count, repartition: { name: total, partitions: 1 } }
  out: { from: count, sink: counts }
";

    fn topology() -> Topology {
        weir_core::topology::parse("t.yaml", FILE).unwrap_or_else(|mistakes| panic!("{}", mistakes.render()))
    }

    fn counts(of: &[(&str, i32)]) -> Counts {
        of.iter().map(|(name, count)| (TopicName::from(*name), *count)).collect()
    }

    #[test]
    fn a_repartition_has_as_many_partitions_as_its_writers_read_and_a_changelog_as_its_tasks() {
        let mut counts = counts(&[("lines", 6), ("counts", 2)]);
        let new = plan(&topology(), &mut counts);
        let count = |name: &str| new.iter().find(|topic| topic.name.as_str() == name).map(|topic| topic.partitions);
        assert_eq!(count("a-by-word-repartition"), Some(6));
        assert_eq!(count("a-total-repartition"), Some(1));
        assert_eq!(count("a-words-changelog"), Some(6));
        assert_eq!(count("a-total-changelog"), Some(1));
        assert_eq!((new.len(), counts.len()), (4, 6));
        assert!(judge(&topology(), &counts).is_empty());
    }

    #[test]
    fn repartitions_stay_and_changelogs_of_windows_are_purged_by_stream_time() {
        let new = plan(&topology(), &mut counts(&[("lines", 6), ("counts", 2)]));
        let of = |name: &str| new.iter().find(|topic| topic.name.as_str() == name).unwrap();
        let setting = |name: &str, setting: &str| of(name).settings.get(setting).cloned();
        assert_eq!(setting("a-by-word-repartition", "retention.ms").as_deref(), Some("-1"));
        assert!(!of("a-by-word-repartition").compacted);
        assert_eq!(setting("a-words-changelog", "cleanup.policy").as_deref(), Some("compact,delete"));
        assert_eq!(setting("a-words-changelog", "retention.ms").as_deref(), Some("-1"));
        assert!(of("a-total-changelog").compacted && of("a-total-changelog").settings.is_empty());
    }

    #[test]
    fn a_changelog_that_does_not_fit_its_tasks_is_named_with_the_way_out() {
        let mut counts = counts(&[("lines", 8), ("counts", 2), ("a-words-changelog", 4)]);
        let new = plan(&topology(), &mut counts);
        assert!(new.iter().all(|topic| topic.name.as_str() != "a-words-changelog"), "it is there");
        let mistakes = judge(&topology(), &counts);
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].detail.contains("`a-words-changelog` has 4 partitions, but"), "{}", mistakes[0].detail);
        assert!(mistakes[0].help.as_ref().is_some_and(|help| help.contains("--drop-state")));
    }

    #[test]
    fn topics_that_meet_in_a_store_by_key_have_as_many_partitions_each() {
        let text = "
application: a
topics: { x: { key: string, value: json }, y: { key: string, value: json } }
nodes:
  in: { source: [x, y] }
  count: { from: in, aggregate: count }
  out: { from: count, sink: x }
";
        let topology = weir_core::topology::parse("t.yaml", text).unwrap();
        let mut differ = counts(&[("x", 4), ("y", 3)]);
        plan(&topology, &mut differ);
        let mistakes = judge(&topology, &differ);
        assert!(mistakes[0].detail.contains("`x` (4 partitions) and `y` (3)"), "{}", mistakes[0].detail);
        let mut same = counts(&[("x", 4), ("y", 4)]);
        plan(&topology, &mut same);
        assert!(judge(&topology, &same).is_empty());
    }

    #[test]
    fn a_kept_store_is_trusted_for_half_of_the_time_that_tombstones_stay() {
        let facts = |settings: &[(&str, &str)]| TopicFacts {
            partitions: 1,
            id: "x".into(),
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        assert_eq!(age_max_ms(&facts(&[("delete.retention.ms", "86400000")])), 43_200_000);
        assert_eq!(age_max_ms(&facts(&[])), i64::MAX);
    }
}
