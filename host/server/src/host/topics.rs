//! Topics at the start: those of the topology and those of the application itself, made where they are missing, refused
//! where they do not fit. What the host makes for itself (repartitions, changelogs) is counted in [`internal`].

use std::collections::BTreeMap;

use weir_core::ports::{Client, NewTopic};
use weir_core::record::TopicName;
use weir_core::topology::{Topic, Topology};

use super::internal;
use crate::problem::{Mistake, Problem};

/// What the topics of a topology come to.
#[derive(Debug, Default)]
pub struct Survey {
    /// Partitions of those that exist.
    pub partitions: BTreeMap<TopicName, i32>,
    /// Those to be created.
    pub missing: Vec<NewTopic>,
    /// Those that do not fit.
    pub mistakes: Vec<Mistake>,
}

impl Survey {
    /// Partitions of those that exist and of those to be created.
    #[must_use]
    pub fn counts(&self) -> internal::Counts {
        let mut counts = self.partitions.clone();
        counts.extend(self.missing.iter().map(|topic| (topic.name.clone(), topic.partitions)));
        counts
    }
}

/// Looks at the topics of `topology`; `bootstrap` goes into the commands that mend them.
///
/// # Errors
/// The log does not answer.
pub fn survey(client: &dyn Client, topology: &Topology, bootstrap: Option<&str>) -> Result<Survey, Problem> {
    let names: Vec<TopicName> = topology.topics.iter().map(|topic| topic.name.clone()).collect();
    let partitions = client.partitions(&names)?;
    Ok(judge(topology, partitions, bootstrap))
}

fn judge(topology: &Topology, partitions: BTreeMap<TopicName, i32>, bootstrap: Option<&str>) -> Survey {
    let mut survey = Survey { partitions, ..Survey::default() };
    for topic in &topology.topics {
        match (survey.partitions.get(&topic.name), topic.partitions) {
            (None, _) if topic.internal.is_some() => {}
            (None, Some(partitions)) => survey.missing.push(NewTopic {
                name: topic.name.clone(),
                partitions,
                // A table's topic keeps the last row of each key: the table is restored from it.
                compacted: topology
                    .stores
                    .iter()
                    .any(|store| store.source.is_some_and(|source| topology.topic(source).name == topic.name)),
                settings: BTreeMap::new(),
            }),
            (None, None) => survey.mistakes.push(missing(topic, bootstrap)),
            (Some(there), Some(wanted)) if *there != wanted => {
                survey.mistakes.push(miscounted(topic, *there, wanted, bootstrap));
            }
            _ => {}
        }
    }
    let mut counts = survey.counts();
    survey.missing.extend(internal::plan(topology, &mut counts));
    survey.mistakes.extend(internal::judge(topology, &counts));
    survey
}

fn missing(topic: &Topic, bootstrap: Option<&str>) -> Mistake {
    let name = &topic.name;
    let command = bootstrap.map_or_else(String::new, |bootstrap| {
        format!(", or run `kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {name} --partitions 4`")
    });
    Mistake {
        pointer: Some(format!("/topics/{name}")),
        detail: format!("topic `{name}` does not exist, and the file does not say how many partitions it is to have"),
        help: Some(format!("write `{name}: {{ .., partitions: 4 }}` under `topics`{command}")),
        ..Mistake::default()
    }
}

fn miscounted(topic: &Topic, there: i32, wanted: i32, bootstrap: Option<&str>) -> Mistake {
    let name = &topic.name;
    let grow = bootstrap.filter(|_| wanted > there && topic.internal.is_none()).map_or_else(String::new, |bootstrap| {
        format!(
            ", or run `kafka-topics.sh --bootstrap-server {bootstrap} --alter --topic {name} --partitions {wanted}` \
             (keys then go to other partitions than before)"
        )
    });
    Mistake {
        pointer: Some(format!("/topics/{name}/partitions")),
        detail: format!("topic `{name}` has {there} partitions, but the file says {wanted}"),
        help: Some(match topic.internal {
            None => format!("write `partitions: {there}` under `topics`{grow}"),
            Some(_) => format!("write `partitions: {there}` in that `repartition`"),
        }),
        ..Mistake::default()
    }
}

/// The application's own topics: components and deployments.
#[must_use]
pub fn of_application(names: [TopicName; 2]) -> Vec<NewTopic> {
    let topic = |name| NewTopic { name, partitions: 1, compacted: true, settings: BTreeMap::new() };
    names.into_iter().map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(topics: &str) -> Topology {
        let text = format!(
            "application: a\ntopics:\n{topics}\nnodes:\n  in: {{ source: orders }}\n  out: {{ from: in, sink: orders }}\n"
        );
        weir_core::topology::parse("t.yaml", &text).unwrap()
    }

    #[test]
    fn a_topic_that_is_missing_is_made_only_where_its_partitions_are_known() {
        let known = judge(&topology("  orders: { key: string, value: json, partitions: 4 }"), BTreeMap::new(), None);
        assert_eq!((known.missing[0].partitions, known.mistakes.len()), (4, 0));
        let unknown = judge(&topology("  orders: { key: string, value: json }"), BTreeMap::new(), Some("k:9092"));
        assert!(unknown.missing.is_empty());
        assert!(
            unknown.mistakes[0].help.as_ref().unwrap().contains("--bootstrap-server k:9092 --create --topic orders")
        );
    }

    #[test]
    fn a_count_that_does_not_fit_is_named_with_the_command_that_mends_it() {
        let topology = topology("  orders: { key: string, value: json, partitions: 4 }");
        let there = |count| BTreeMap::from([(TopicName::from("orders"), count)]);
        let few = judge(&topology, there(2), Some("k:9092"));
        assert!(few.mistakes[0].detail.contains("has 2 partitions, but the file says 4"));
        assert!(few.mistakes[0].help.as_ref().unwrap().contains("--alter --topic orders --partitions 4"));
        let many = judge(&topology, there(8), Some("k:9092"));
        assert!(!many.mistakes[0].help.as_ref().unwrap().contains("--alter"), "Kafka cannot take partitions away");
        assert!(judge(&topology, there(4), None).mistakes.is_empty());
    }
}
