//! Which nodes and stores belong together: the parts of a topology, each run by tasks of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::model::{EventTime, Node, NodeIndex, NodeKind, Source, SubTopology, Topic, TopicIndex, Topology};
use super::super::read::RawStore;
use super::super::{Diagnostics, Format, Internal, Span, StoreIndex, StoreKind};
use crate::record::TopicName;

/// The connected parts, nodes that read one from another and nodes that share a store, and the order of the nodes in each.
///
/// `users`: the nodes of each store.
pub(super) fn connect(topology: &mut Topology, order: &[usize], users: &[Vec<usize>]) {
    let mut part: Vec<usize> = (0..topology.nodes.len()).collect();
    let mut join = |first: usize, other: usize| {
        let (keep, gone) = (part[first], part[other]);
        if keep != gone {
            part.iter_mut().filter(|part| **part == gone).for_each(|part| *part = keep);
        }
    };
    for &index in order {
        topology.nodes[index].inputs.iter().for_each(|input| join(input.node.0, index));
    }
    for nodes in users {
        let Some((&first, others)) = nodes.split_first() else { continue };
        others.iter().for_each(|&other| join(first, other));
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
    topology.link();
    joins(topology);
}

/// What the joins and filters want of the tables that they read, and which of its sides a row that comes to both changes first.
fn joins(topology: &mut Topology) {
    for index in (0..topology.nodes.len()).map(NodeIndex) {
        let inputs: Vec<NodeIndex> = topology.node(index).inputs.iter().map(|input| input.node).collect();
        let (Some(&left), Some(&right)) = (inputs.first(), inputs.last()) else { continue };
        let first = comes_right_first(topology, index);
        let tables: &[NodeIndex] = match &mut topology.nodes[index.0].kind {
            NodeKind::FilterTable(_) => &[left],
            NodeKind::Join(join) => {
                join.right_first = first;
                &[right]
            }
            NodeKind::JoinTables(join) => {
                let same = left == right;
                (join.sees_left, join.sees_right) = (same || !first, same || first);
                &[left, right]
            }
            NodeKind::StreamJoin(join) => {
                join.right_first = first;
                continue;
            }
            _ => continue,
        };
        for table in tables {
            if let NodeKind::ToTable(table) = &mut topology.nodes[table.0].kind {
                table.olds = true;
            }
        }
    }
}

/// Whether a row of a source of both sides of join `index` comes to the right one first, as a walk in depth comes by: the way
/// from that source goes on by the first node that leads to a side, until it leads to one alone.
fn comes_right_first(topology: &Topology, index: NodeIndex) -> bool {
    let node = topology.node(index);
    let Some((right, lefts)) = node.inputs.split_last() else { return false };
    // A stream comes to the join at its turn, a table to its own node.
    let left_is_table = matches!(node.kind, NodeKind::JoinTables(_));
    let right_is_table = !matches!(node.kind, NodeKind::StreamJoin(_));
    let to_left = leading_to(topology, lefts.iter().map(|input| input.node).collect());
    let to_right = leading_to(topology, vec![right.node]);
    let Some(&source) = to_left.iter().find(|node| to_right.contains(node)) else { return false };
    let (mut at, last) = (source, node.inputs.len() - 1);
    // Each step goes on to a node behind; a mistaken topology may go round.
    for _ in 0..topology.nodes.len() {
        let ends = (left_is_table && lefts.iter().any(|input| input.node == at), right_is_table && right.node == at);
        if ends.0 || ends.1 {
            return !ends.0;
        }
        let leads = topology.node(at).children.iter().find_map(|child| {
            let is_join = child.node == index;
            let left = to_left.contains(&child.node) || (is_join && child.input < last && !left_is_table);
            let right = to_right.contains(&child.node) || (is_join && child.input == last && !right_is_table);
            (left || right).then_some((child.node, left, right))
        });
        match leads {
            Some((next, true, true)) => at = next,
            Some((_, left, _)) => return !left,
            None => break,
        }
    }
    false
}

/// `nodes` and all that rows come to them by.
fn leading_to(topology: &Topology, mut nodes: Vec<NodeIndex>) -> BTreeSet<NodeIndex> {
    let mut found = BTreeSet::new();
    while let Some(index) = nodes.pop() {
        if found.insert(index) {
            nodes.extend(topology.node(index).inputs.iter().map(|input| input.node));
        }
    }
    found
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
        if let Some((span, message)) = part.nodes.iter().find_map(|index| unlike_sides(topology, *index)) {
            diagnostics.error(span, message, HELP);
        } else if let Some((other, others)) = counts.iter().find(|(_, others)| *others != count) {
            let message = format!(
                "equal keys would not meet in store `{}`: its tasks read `{first}` ({count} partitions) and `{other}` ({others})",
                store.name
            );
            diagnostics.error(store.span, message, HELP);
        }
        for index in &part.topics {
            let topic = &mut topology.topics[index.0];
            if topic.internal.is_some() {
                topic.partitions.get_or_insert(count);
            }
        }
    }
}

/// For topics of different partition counts that meet in a store.
const HELP: &str = "give both topics as many partitions, or send one through `repartition: { name: …, partitions: … }`";

/// Of a join, that its sides come from topics of different partition counts.
fn unlike_sides(topology: &Topology, index: NodeIndex) -> Option<(Span, String)> {
    let (NodeKind::Join(_) | NodeKind::JoinTables(_) | NodeKind::StreamJoin(_)) = topology.node(index).kind else {
        return None;
    };
    let (right, lefts) = topology.node(index).inputs.split_last()?;
    let topic_of = |side: Vec<NodeIndex>| {
        leading_to(topology, side).into_iter().find_map(|node| match &topology.node(node).kind {
            NodeKind::Source(source) => {
                source.topics.iter().map(|topic| topology.topic(*topic)).find(|topic| topic.partitions.is_some())
            }
            _ => None,
        })
    };
    let one = topic_of(lefts.iter().map(|input| input.node).collect())?;
    let other = topic_of(vec![right.node])?;
    (one.partitions != other.partitions).then(|| {
        let shown = |topic: &Topic| format!("`{}` ({})", topic.name, topic.partitions.unwrap_or_default());
        let message = format!(
            "equal keys would not meet in join `{}`: topics {} and {} have different numbers of partitions",
            topology.node(index).name,
            shown(one),
            shown(other)
        );
        (right.span, message)
    })
}

/// The topic that a table can be restored from: its rows are the table's, and their times can be told again.
fn source_of_table(topology: &Topology, store: StoreIndex) -> Option<TopicIndex> {
    let is_it = |node: &&Node| matches!(&node.kind, NodeKind::ToTable(table) if table.of_topic && table.store == store);
    let table = topology.nodes.iter().find(is_it)?;
    match &topology.node(table.inputs.first()?.node).kind {
        NodeKind::Source(Source { topics, timestamp: None | Some(EventTime::Expression(_)) }) => {
            topics.first().copied()
        }
        _ => None,
    }
}

/// A changelog for each store that is used, unless the file wants none or it is restored from its source.
pub(super) fn add_changelogs(topology: &mut Topology, declared: &[RawStore], diagnostics: &mut Diagnostics) {
    let used: Vec<StoreIndex> = topology.subtopologies.iter().flat_map(|part| part.stores.iter().copied()).collect();
    for index in 0..topology.stores.len() {
        let wanted = declared.get(index).is_none_or(|store| store.changelog);
        topology.stores[index].source = source_of_table(topology, StoreIndex(index));
        if topology.stores[index].source.is_some() {
            continue;
        }
        if !wanted || !used.contains(&StoreIndex(index)) {
            continue;
        }
        let store = &mut topology.stores[index];
        let name = format!("{}-{}-changelog", topology.application, store.name);
        if topology.topics.iter().any(|topic| topic.name.as_str() == name) {
            let message = format!("topic `{name}` is what store `{}` would keep its changelog in", store.name);
            diagnostics.error(store.span, message, "rename the store or the topic");
        }
        let expires = store.kind.retention_ms().is_some();
        let internal = if expires { Internal::WindowedChangelog } else { Internal::Changelog };
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
