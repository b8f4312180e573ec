use std::fmt;
use std::sync::Arc;

use super::Span;
use super::state::{
    Aggregate, DynamicSink, FlatMap, Function, Join, Map, Store, StoreIndex, StreamJoin, Suppress, Table, TableJoin,
};
use crate::expression::{Expression, Mapping};
use crate::record::TopicName;

/// A node's name, unique in its topology. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Index of a node in [`Topology::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(pub usize);

/// Index of a topic in [`Topology::topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicIndex(pub usize);

/// A validated topology: every name resolved, no cycle, every source has a way in.
#[derive(Clone, Debug)]
pub struct Topology {
    /// The application: consumer group, prefix of internal topics.
    pub application: String,
    /// In file order.
    pub topics: Vec<Topic>,
    /// In file order; those that nodes keep for themselves come last.
    pub stores: Vec<Store>,
    /// In file order.
    pub nodes: Vec<Node>,
    /// Connected parts, each run by tasks of its own; numbered by their first node.
    pub subtopologies: Vec<SubTopology>,
}

/// A topic that the topology reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// What its keys are.
    pub key: Format,
    /// What its values are.
    pub value: Format,
    /// Partitions to create it with; none: it must exist, and has what it has. An internal topic without: as many as its
    /// part of the topology has tasks.
    pub partitions: Option<i32>,
    /// What the host makes and keeps it for; none: it is the user's.
    pub internal: Option<Internal>,
}

/// Topics that belong to the application and that nobody else writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Internal {
    /// Rows on their way to the partition of their new key; purged once they are taken.
    Repartition,
    /// The changes of a store whose keys stay until they are deleted: compacted.
    Changelog,
    /// The changes of a store whose rows expire by stream time: compacted, and purged once they have expired.
    WindowedChangelog,
}

/// What the bytes at an edge are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Anything.
    Bytes,
    /// UTF-8 text.
    String,
    /// One JSON value.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Json => "json",
        })
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// What it does.
    pub kind: NodeKind,
    /// Where its rows come from: nowhere for a source, a join's from the left and the right side.
    pub inputs: Vec<Input>,
    /// The inputs that read from it, by output, then in file order.
    pub children: Vec<Edge>,
    /// What becomes of a row that it cannot map.
    pub on_error: ErrorPolicy,
    /// Index in [`Topology::subtopologies`].
    pub subtopology: usize,
    /// Index in [`SubTopology::nodes`].
    pub place: usize,
    /// Its name in the file; of a node that is a part of another one there, that one's.
    pub span: Span,
}

/// A node's input: an output of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The node read from.
    pub node: NodeIndex,
    /// Which of its outputs, counted from 0: the case of a branch, the port of a plugin. 0 where there is but one.
    pub port: u32,
    /// The port's name, where the file gives one; a plugin's names are checked against what it declares.
    pub port_name: Option<String>,
    /// Where the file says so, for checks that need the plugin.
    pub span: Span,
}

/// The way from a node to one that reads from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The output that is read.
    pub port: u32,
    /// Who reads it.
    pub node: NodeIndex,
    /// Which of its inputs that is, counted from 0.
    pub input: usize,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Takes rows of topics, at least one.
    Source(Source),
    /// Lets rows pass for which the expression is true.
    Filter(Arc<dyn Expression>),
    /// Calls a plugin.
    Process(PluginRef),
    /// Sends each row to the first case whose expression is true; else it is dropped.
    Branch(Vec<Branch>),
    /// Makes new keys and values by expressions.
    Map(Map),
    /// Makes of each row as many as a list in it has items.
    FlatMap(FlatMap),
    /// Tells people of rows and passes all on: what the expression makes of them, none: what they are.
    Peek(Option<Arc<dyn Mapping>>),
    /// Folds rows by key and window. Outputs: [`PORT_RESULTS`](super::PORT_RESULTS), [`PORT_LATE`](super::PORT_LATE).
    Aggregate(Box<Aggregate>),
    /// Holds rows back.
    Suppress(Suppress),
    /// Keeps the last value of each key: rows are changes of a table from here on. A null value deletes.
    ToTable(Table),
    /// Lets those rows of a table be for which the expression is true.
    FilterTable(Arc<dyn Expression>),
    /// Makes new values of a table by an expression.
    MapTable(Map),
    /// Joins rows with what a table has for them; its last input is the table.
    Join(Box<Join>),
    /// Joins tables of the same keys; its inputs are the left and the right side.
    JoinTables(Box<TableJoin>),
    /// Joins rows of two streams; its last input is the right side.
    StreamJoin(Box<StreamJoin>),
    /// Writes rows to a topic.
    Sink(TopicIndex),
    /// Writes each row to the topic that an expression names.
    DynamicSink(DynamicSink),
}

/// Where rows come in.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// At least one.
    pub topics: Vec<TopicIndex>,
    /// Where event time comes from; none: the record's own timestamp.
    pub timestamp: Option<EventTime>,
}

/// What finds the event time of a row, in milliseconds since 1970 UTC.
#[derive(Clone, Debug)]
pub enum EventTime {
    /// An expression.
    Expression(Arc<dyn Mapping>),
    /// A plugin.
    Plugin(PluginRef),
}

/// A case of a branch.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Read as `from: <node>.<name>`.
    pub name: String,
    /// None: the default, always true; the last case.
    pub when: Option<Arc<dyn Expression>>,
}

/// The plugin of a node, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// A path to a component relative to the file, or the name of a deployed one.
    pub plugin: String,
    /// Configuration as JSON text; `null` where there is none.
    pub config: String,
    /// The stores that it may open, each by the name that it knows; their order is that of
    /// [`StoreHandle`](crate::ports::StoreHandle)s.
    pub stores: Vec<(String, StoreIndex)>,
    /// Where its timers are kept; none: it may have none.
    pub timers: Option<StoreIndex>,
    /// What it sends on has the keys that came.
    pub keeps_key: bool,
    /// Where the file names it, for checks that need the plugin.
    pub span: Span,
}

/// What becomes of a row that a node cannot map: a rejected row, one that traps alone, one that is not what its topic's
/// format says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorPolicy {
    /// The task stops there as FAILED, the row not taken; other tasks go on. The next deployment of the node resumes it.
    #[default]
    Fail,
    /// That row alone is dropped, counted and logged with its coordinates.
    Skip,
}

/// A connected part of the topology.
#[derive(Clone, Debug, Default)]
pub struct SubTopology {
    /// Each after what it reads; where that leaves a choice, depth first in file order.
    pub nodes: Vec<NodeIndex>,
    /// In file order.
    pub sources: Vec<NodeIndex>,
    /// The topics of its sources, in file order, without repeats.
    pub topics: Vec<TopicIndex>,
    /// The stores of its tasks.
    pub stores: Vec<StoreIndex>,
    /// A store of it is [`Store::row_at_a_time`].
    pub row_at_a_time: bool,
}

impl NodeKind {
    /// The topics that it may write to.
    #[must_use]
    pub fn writes(&self) -> &[TopicIndex] {
        match self {
            Self::Sink(topic) => std::slice::from_ref(topic),
            Self::DynamicSink(sink) => &sink.targets,
            _ => &[],
        }
    }
}

impl Node {
    /// The plugin that it runs: of a process node, of an aggregate node whose function is one, of a source whose time it finds.
    #[must_use]
    pub fn plugin(&self) -> Option<&PluginRef> {
        match &self.kind {
            NodeKind::Process(plugin) => Some(plugin),
            NodeKind::Aggregate(aggregate) => match &aggregate.function {
                Function::Plugin(plugin) => Some(plugin),
                _ => None,
            },
            NodeKind::Source(Source { timestamp: Some(EventTime::Plugin(plugin)), .. }) => Some(plugin),
            _ => None,
        }
    }
}

impl Topology {
    /// The node of an index.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// Whether the node, or one behind it in its part of the topology, has timers: time alone may move it.
    #[must_use]
    pub fn is_timed(&self, index: NodeIndex) -> bool {
        let node = self.node(index);
        let has_timers = matches!(&node.kind, NodeKind::Process(plugin) if plugin.timers.is_some());
        has_timers || node.children.iter().any(|child| self.is_timed(child.node))
    }

    /// The source of a part of the topology that reads `topic`.
    #[must_use]
    pub fn source_of(&self, subtopology: usize, topic: &TopicName) -> NodeIndex {
        let sources = &self.subtopologies[subtopology].sources;
        let reads = |index: &&NodeIndex| match &self.node(**index).kind {
            NodeKind::Source(source) => source.topics.iter().any(|read| self.topic(*read).name == *topic),
            _ => false,
        };
        // Every part has a source; its tasks are given no other topics.
        sources.iter().find(reads).copied().unwrap_or(sources[0])
    }

    /// The topic of an index.
    #[must_use]
    pub fn topic(&self, index: TopicIndex) -> &Topic {
        &self.topics[index.0]
    }

    /// The store of an index.
    #[must_use]
    pub fn store(&self, index: StoreIndex) -> &Store {
        &self.stores[index.0]
    }

    /// The aggregate that keeps its accumulators in `store`.
    #[must_use]
    pub fn aggregate_of(&self, store: StoreIndex) -> Option<&Aggregate> {
        self.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Aggregate(aggregate) if aggregate.store == store => Some(&**aggregate),
            _ => None,
        })
    }

    /// The table that is kept in `store`.
    #[must_use]
    pub fn table_of(&self, store: StoreIndex) -> Option<&Table> {
        self.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::ToTable(table) if table.store == store => Some(table),
            _ => None,
        })
    }

    /// The store of a name.
    #[must_use]
    pub fn find_store(&self, name: &str) -> Option<StoreIndex> {
        self.stores.iter().position(|store| store.name == name).map(StoreIndex)
    }

    /// The node of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| node.name.as_str() == name).map(NodeIndex)
    }

    /// The names of topics that sources read, in file order, without repeats.
    pub fn source_topics(&self) -> impl Iterator<Item = &TopicName> {
        self.subtopologies.iter().flat_map(|part| &part.topics).map(|&topic| &self.topic(topic).name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_meet_in_a_shared_store_keep_their_own_topics() {
        let text = "
application: a
topics: { x: { key: string, value: json }, y: { key: string, value: json } }
stores: { shared: { kind: key-value } }
nodes:
  in-x: { source: x }
  in-y: { source: y }
  put: { from: in-x, process: { plugin: ./put.wasm, stores: [shared], keeps-key: true } }
  get: { from: in-y, process: { plugin: ./get.wasm, stores: [shared], keeps-key: true } }
  out-x: { from: put, sink: x }
  out-y: { from: get, sink: y }
";
        let topology =
            crate::topology::parse("t.yaml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render()));
        assert_eq!(topology.subtopologies.len(), 1);
        let of = |topic: &str| topology.node(topology.source_of(0, &TopicName::from(topic))).name.as_str();
        assert_eq!((of("x"), of("y")), ("in-x", "in-y"));
    }
}
