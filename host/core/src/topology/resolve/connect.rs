//! Which nodes and stores belong together: the parts of a topology, each run by tasks of its own.

use std::collections::BTreeMap;

use super::super::model::{NodeIndex, NodeKind, SubTopology, Topic, TopicIndex, Topology};
use super::super::read::RawStore;
use super::super::{Diagnostics, Format, Internal, StoreIndex, StoreKind};
use crate::record::TopicName;

/// Children of each node, and the connected parts: nodes that read one from another, and nodes that share a store.
///
/// `users`: the nodes of each store.
pub(super) fn connect(topology: &mut Topology, order: &[usize], users: &[Vec<usize>]) {
    for index in 0..topology.nodes.len() {
        if let Some(parent) = topology.nodes[index].input.as_ref().map(|input| input.node) {
            topology.nodes[parent.0].children.push(NodeIndex(index));
        }
    }
    // A node has one input at most, so nodes that read one from another have one source, and are found from there.
    let mut part: Vec<usize> = (0..topology.nodes.len()).collect();
    for &index in order {
        if let Some(input) = &topology.nodes[index].input {
            part[index] = part[input.node.0];
        }
    }
    for nodes in users {
        let Some((&first, others)) = nodes.split_first() else { continue };
        for &other in others {
            let (keep, gone) = (part[first], part[other]);
            part.iter_mut().filter(|part| **part == gone).for_each(|part| *part = keep);
        }
    }
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, root) in part.into_iter().enumerate() {
        let next = numbers.len();
        let number = *numbers.entry(root).or_insert(next);
        if number == topology.subtopologies.len() {
            topology.subtopologies.push(SubTopology::default());
        }
        let node = &mut topology.nodes[index];
        node.subtopology = number;
        let subtopology = &mut topology.subtopologies[number];
        subtopology.nodes.push(NodeIndex(index));
        if let NodeKind::Source(source) = &node.kind {
            subtopology.sources.push(NodeIndex(index));
            let new = source.topics.iter().filter(|topic| !subtopology.topics.contains(topic)).collect::<Vec<_>>();
            subtopology.topics.extend(new);
        }
    }
    for (index, nodes) in users.iter().enumerate() {
        let Some(&first) = nodes.first() else { continue };
        let store = &mut topology.stores[index];
        store.subtopology = topology.nodes[first].subtopology;
        let subtopology = &mut topology.subtopologies[store.subtopology];
        subtopology.stores.push(StoreIndex(index));
        subtopology.row_at_a_time |= store.row_at_a_time;
    }
}

/// Refuses a store by key in tasks whose topics put equal keys into partitions of different numbers; repartition topics
/// beside others get as many partitions as they.
pub(super) fn partitions_fit(topology: &mut Topology, diagnostics: &mut Diagnostics) {
    for part in &topology.subtopologies {
        let by_key =
            |index: &&StoreIndex| !matches!(topology.stores[index.0].kind, StoreKind::Timers | StoreKind::Suppressed);
        let Some(store) = part.stores.iter().find(by_key).map(|index| &topology.stores[index.0]) else { continue };
        let counts = part.topics.iter().filter_map(|index| {
            let topic = &topology.topics[index.0];
            Some((&topic.name, topic.partitions?))
        });
        let counts: Vec<(&TopicName, i32)> = counts.collect();
        let Some(&(first, count)) = counts.first() else { continue };
        if let Some((other, others)) = counts.iter().find(|(_, others)| *others != count) {
            let message = format!(
                "equal keys would not meet in store `{}`: its tasks read `{first}` ({count} partitions) and `{other}` ({others})",
                store.name
            );
            let help =
                "give both topics as many partitions, or send one through `repartition: { name: …, partitions: … }`";
            diagnostics.error(store.span, message, help);
        }
        for index in &part.topics {
            let topic = &mut topology.topics[index.0];
            if topic.internal.is_some() {
                topic.partitions.get_or_insert(count);
            }
        }
    }
}

/// A changelog for each store that is used, unless the file wants none.
pub(super) fn add_changelogs(topology: &mut Topology, declared: &[RawStore], diagnostics: &mut Diagnostics) {
    let used: Vec<StoreIndex> = topology.subtopologies.iter().flat_map(|part| part.stores.iter().copied()).collect();
    for index in 0..topology.stores.len() {
        let wanted = declared.get(index).is_none_or(|store| store.changelog);
        if !wanted || !used.contains(&StoreIndex(index)) {
            continue;
        }
        let store = &mut topology.stores[index];
        let name = format!("{}-{}-changelog", topology.application, store.name);
        if topology.topics.iter().any(|topic| topic.name.as_str() == name) {
            let message = format!("topic `{name}` is what store `{}` would keep its changelog in", store.name);
            diagnostics.error(store.span, message, "rename the store or the topic");
        }
        let internal = match store.kind {
            StoreKind::Window { .. } | StoreKind::Session { .. } => Internal::WindowedChangelog,
            StoreKind::KeyValue { .. } | StoreKind::Timers | StoreKind::Suppressed => Internal::Changelog,
        };
        store.changelog = Some(TopicIndex(topology.topics.len()));
        topology.topics.push(Topic {
            name: TopicName::from(name.as_str()),
            key: Format::Bytes,
            value: Format::Bytes,
            partitions: None,
            internal: Some(internal),
        });
    }
}
