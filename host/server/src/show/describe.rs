//! What runs, part by part: sources, nodes, stores, sinks, repartitions.

use serde::Serialize;
use weir_core::topology::{
    ErrorPolicy, Internal, Node, NodeIndex, NodeKind, StoreIndex, SubTopology, TopicIndex, Topology,
};

use super::graph::stores_of;
use super::words;

/// A topology in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The application.
    pub application: String,
    /// Its parts, each run by tasks of its own.
    pub subtopologies: Vec<Part>,
}

/// A part of a topology.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// From 0; a task is called `<this>_<partition>`.
    pub number: usize,
    /// A task for each partition; none: only the log knows.
    pub tasks: Option<i32>,
    /// Rows take their way through the nodes one at a time.
    pub row_at_a_time: bool,
    /// All but sources, sinks and repartitions have their rows from `from`.
    pub nodes: Vec<NodeOf>,
    /// Its stores.
    pub stores: Vec<StoreOf>,
    /// Topics by which rows leave it for tasks of their new keys.
    pub repartitions: Vec<RepartitionOf>,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeOf {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: &'static str,
    /// The node that it reads, with the port; none of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The topics of a source, the topic of a sink.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// How it does it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What it reads or writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// What becomes of a row that it cannot map.
    pub on_error: &'static str,
}

/// A store.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreOf {
    /// Its name.
    pub name: String,
    /// key-value, window, session, timers, suppressed.
    pub kind: &'static str,
    /// rocksdb or memory.
    pub kept_in: &'static str,
    /// `retention 1h`, `ttl 1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgets: Option<String>,
    /// The topic that holds its changes; none: nothing does.
    pub changelog: Option<String>,
    /// Its nodes.
    pub used_by: Vec<String>,
}

/// A repartition.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepartitionOf {
    /// The topic.
    pub topic: String,
    /// What it has; none: only the log knows.
    pub partitions: Option<i32>,
    /// The node whose rows it takes.
    pub from: String,
    /// The part that reads it.
    pub to: Option<usize>,
}

impl Description {
    /// Of `topology`; `counts` are the partitions of its topics as far as they are known, `tasks` those of its parts.
    #[must_use]
    pub fn of(topology: &Topology, counts: &[Option<i32>], tasks: &[Option<i32>]) -> Self {
        let parts = topology.subtopologies.iter().zip(tasks).enumerate();
        let part = |(number, (part, tasks)): (usize, (&SubTopology, &Option<i32>))| Part {
            number,
            tasks: *tasks,
            row_at_a_time: part.row_at_a_time,
            nodes: part.nodes.iter().map(|index| node_of(topology, *index)).collect(),
            stores: part.stores.iter().map(|index| store_of(topology, *index)).collect(),
            repartitions: part.nodes.iter().filter_map(|index| repartition_of(topology, *index, counts)).collect(),
        };
        Self { application: topology.application.clone(), subtopologies: parts.map(part).collect() }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = self.subtopologies.len();
        let plural = if parts == 1 { "sub-topology" } else { "sub-topologies" };
        let mut text = format!("application {}: {parts} {plural}\n", self.application);
        for part in &self.subtopologies {
            text.push_str(&part.text());
        }
        text
    }
}

impl Part {
    fn text(&self) -> String {
        let tasks = match self.tasks {
            Some(tasks) => words::counted(tasks as usize, "task"),
            None => "a task for each partition".to_owned(),
        };
        let row = if self.row_at_a_time { ", one row at a time" } else { "" };
        let mut text = format!("\nsub-topology {}: {tasks}{row}\n", self.number);
        let rows = self.nodes.iter().map(|node| [node.kind.to_owned(), node.name.clone(), node.way(), node.more()]);
        text.push_str(&table(&rows.collect::<Vec<_>>()));
        let stores = self.stores.iter().map(|store| {
            let changelog =
                store.changelog.clone().map_or("no changelog".to_owned(), |topic| format!("changelog {topic}"));
            let forgets = store.forgets.iter().map(|forgets| format!(", {forgets}"));
            let what = format!("{}, {}{}", store.kind, store.kept_in, forgets.collect::<String>());
            ["store".to_owned(), store.name.clone(), what, format!("{changelog}; used by {}", store.used_by.join(", "))]
        });
        text.push_str(&table(&stores.collect::<Vec<_>>()));
        text
    }
}

impl NodeOf {
    fn way(&self) -> String {
        let from = self.from.iter().map(|from| format!("<- {from}"));
        let arrow = if self.kind == "source" { "<- topic" } else { "-> topic" };
        let topics = (!self.topics.is_empty()).then(|| format!("{arrow} {}", self.topics.join(", ")));
        from.chain(topics).collect::<Vec<_>>().join(" ")
    }

    fn more(&self) -> String {
        let stores = (!self.stores.is_empty()).then(|| format!("[{}]", self.stores.join(", ")));
        let detail = Some(self.detail.clone()).filter(|detail| !detail.is_empty());
        let skip = (self.on_error == "skip").then(|| "on-error skip".to_owned());
        [detail, stores, skip].into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}

/// Lines whose cells begin below each other.
fn table(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0).max(KIND_CHARS), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}  {}", cells.collect::<Vec<_>>().join("  "), row[3]).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The longest word for what a node does.
const KIND_CHARS: usize = "repartition".len();

fn topic_name(topology: &Topology, topic: TopicIndex) -> String {
    topology.topic(topic).name.as_str().to_owned()
}

/// The nodes that `node` reads, each with its port.
#[must_use]
pub fn from(topology: &Topology, node: &Node) -> Option<String> {
    let read = node.inputs.iter().map(|input| {
        let name = &topology.node(input.node).name;
        input.port_name.as_ref().map_or_else(|| name.to_string(), |port| format!("{name}.{port}"))
    });
    let read: Vec<String> = read.collect();
    (!read.is_empty()).then(|| read.join(", "))
}

fn node_of(topology: &Topology, index: NodeIndex) -> NodeOf {
    let node = topology.node(index);
    let topics = match &node.kind {
        NodeKind::Source(source) => source.topics.iter().map(|topic| topic_name(topology, *topic)).collect(),
        NodeKind::Sink(topic) => vec![topic_name(topology, *topic)],
        NodeKind::DynamicSink(sink) => sink.targets.iter().map(|topic| topic_name(topology, *topic)).collect(),
        _ => Vec::new(),
    };
    NodeOf {
        name: node.name.to_string(),
        kind: words::kind(topology, node),
        from: from(topology, node),
        topics,
        detail: words::detail(topology, node),
        stores: stores_of(&node.kind).into_iter().map(|store| topology.store(store).name.clone()).collect(),
        on_error: match node.on_error {
            ErrorPolicy::Fail => "fail",
            ErrorPolicy::Skip => "skip",
        },
    }
}

fn store_of(topology: &Topology, index: StoreIndex) -> StoreOf {
    let store = topology.store(index);
    let users = topology.nodes.iter().filter(|node| stores_of(&node.kind).contains(&index));
    StoreOf {
        name: store.name.clone(),
        kind: store.kind.as_str(),
        kept_in: if store.in_memory { "memory" } else { "rocksdb" },
        forgets: words::retention(store),
        changelog: store.restored_from().map(|topic| topic_name(topology, topic)),
        used_by: users.map(|node| node.name.to_string()).collect(),
    }
}

fn repartition_of(topology: &Topology, index: NodeIndex, counts: &[Option<i32>]) -> Option<RepartitionOf> {
    let node = topology.node(index);
    let NodeKind::Sink(topic) = node.kind else { return None };
    if topology.topic(topic).internal != Some(Internal::Repartition) {
        return None;
    }
    Some(RepartitionOf {
        topic: topic_name(topology, topic),
        partitions: counts.get(topic.0).copied().flatten(),
        from: from(topology, node).unwrap_or_default(),
        to: topology.subtopologies.iter().position(|part| part.topics.contains(&topic)),
    })
}
