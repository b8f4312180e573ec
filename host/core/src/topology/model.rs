use std::fmt;
use std::sync::Arc;

use super::Span;
use crate::expression::Expression;
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
    /// Partitions to create it with; none: it must exist, and has what it has.
    pub partitions: Option<i32>,
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

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// What it does.
    pub kind: NodeKind,
    /// Where its rows come from; none for a source.
    pub input: Option<Input>,
    /// The nodes that read from it, in file order.
    pub children: Vec<NodeIndex>,
    /// What becomes of a row that it cannot map.
    pub on_error: ErrorPolicy,
    /// Index in [`Topology::subtopologies`].
    pub subtopology: usize,
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

/// What a node does.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Takes rows of topics, at least one.
    Source(Vec<TopicIndex>),
    /// Lets rows pass for which the expression is true.
    Filter(Arc<dyn Expression>),
    /// Calls a plugin.
    Process(PluginRef),
    /// Sends each row to the first case whose expression is true; else it is dropped.
    Branch(Vec<Branch>),
    /// Writes rows to a topic.
    Sink(TopicIndex),
}

/// A case of a branch.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Read as `from: <node>.<name>`.
    pub name: String,
    /// None: the default, always true; the last case.
    pub when: Option<Arc<dyn Expression>>,
}

/// The plugin of a process node, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// A path to a component relative to the file, or the name of a deployed one.
    pub plugin: String,
    /// Configuration as JSON text; `null` where there is none.
    pub config: String,
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
    /// In file order.
    pub nodes: Vec<NodeIndex>,
    /// In file order.
    pub sources: Vec<NodeIndex>,
    /// The topics of its sources, in file order, without repeats.
    pub topics: Vec<TopicIndex>,
}

impl Topology {
    /// The node of an index.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// The topic of an index.
    #[must_use]
    pub fn topic(&self, index: TopicIndex) -> &Topic {
        &self.topics[index.0]
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
