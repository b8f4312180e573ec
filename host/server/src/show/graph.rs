//! What there is to draw: topics, nodes and stores, and what goes from one to another.

use serde::Serialize;
use weir_core::topology::{
    Function, Input, Internal, Node, NodeIndex, NodeKind, StoreIndex, StoreKind, TopicIndex, Topology,
};

use super::words;

/// A topology as a graph.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// The application.
    pub application: String,
    /// A box around each part of the topology, in their order.
    pub clusters: Vec<Cluster>,
    /// All that is drawn, the nodes of a part in file order.
    pub vertices: Vec<Vertex>,
    /// From one to the other.
    pub edges: Vec<Edge>,
}

/// A part of the topology.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// Such as `sub-topology 0, 4 tasks`.
    pub title: String,
}

/// A thing that is drawn.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vertex {
    /// Unique in the graph, made of letters and digits.
    pub id: String,
    /// What it is.
    pub shape: Shape,
    /// Its name.
    pub name: String,
    /// The word for what it is or does.
    pub kind: String,
    /// More about it; may be long or empty.
    pub detail: String,
    /// The part that it belongs to; none of a topic that all can see.
    pub cluster: Option<usize>,
}

impl Vertex {
    /// What stands below its name, in at most so many characters.
    #[must_use]
    pub fn second_line(&self, chars_max: usize) -> String {
        let text = match (self.shape, self.detail.as_str()) {
            (Shape::Node, "") => self.kind.clone(),
            (Shape::Node, detail) => format!("{}: {detail}", self.kind),
            (_, detail) => detail.to_owned(),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() <= chars_max {
            return text;
        }
        text.chars().take(chars_max - 1).chain(['…']).collect()
    }
}

/// How a thing is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A topic of the user.
    Topic,
    /// An internal topic on the way to other tasks.
    Repartition,
    /// An internal topic of a store.
    Changelog,
    /// A store.
    Store,
    /// A node.
    Node,
}

/// What goes from one thing to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Index of a vertex.
    pub from: usize,
    /// Index of a vertex.
    pub to: usize,
    /// The port, or the side of a join.
    pub label: Option<String>,
    /// What goes there.
    pub flow: Flow,
}

/// What goes along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Rows.
    Rows,
    /// A store's entries, one way.
    Entries,
    /// A store's entries, read and written.
    Both,
    /// Changes of a store.
    Changes,
}

/// Where each thing of a topology is in its graph.
struct Places {
    topics: Vec<Option<usize>>,
    nodes: Vec<usize>,
    stores: Vec<Option<usize>>,
}

impl Graph {
    /// The graph of `topology`, whose parts have so many `tasks`, where that is known.
    #[must_use]
    pub fn of(topology: &Topology, tasks: &[Option<i32>]) -> Self {
        let mut graph = Self { application: topology.application.clone(), ..Self::default() };
        let title = |(number, tasks): (usize, &Option<i32>)| Cluster {
            title: match tasks {
                Some(tasks) => format!("sub-topology {number}, {}", words::counted(*tasks as usize, "task")),
                None => format!("sub-topology {number}"),
            },
        };
        graph.clusters = tasks.iter().enumerate().map(title).collect();
        let places = graph.add_vertices(topology);
        for index in 0..topology.nodes.len() {
            graph.add_node_edges(topology, NodeIndex(index), &places);
        }
        for (index, store) in topology.stores.iter().enumerate() {
            let changelog = store.changelog.and_then(|topic| places.topics[topic.0]);
            if let (Some(from), Some(to)) = (places.stores[index], changelog) {
                graph.edge(from, to, None, Flow::Changes);
            }
        }
        graph
    }

    fn add_vertices(&mut self, topology: &Topology) -> Places {
        let read_or_written = |topic: TopicIndex| {
            topology.nodes.iter().any(|node| match &node.kind {
                NodeKind::Source(source) => source.topics.contains(&topic),
                NodeKind::Sink(to) => *to == topic,
                NodeKind::DynamicSink(sink) => sink.targets.contains(&topic),
                _ => false,
            })
        };
        let topics = topology.topics.iter().enumerate().map(|(index, topic)| {
            let owner = topology.stores.iter().find(|store| store.changelog == Some(TopicIndex(index)));
            if owner.is_none() && !read_or_written(TopicIndex(index)) {
                return None;
            }
            let (shape, kind, cluster) = match topic.internal {
                None => (Shape::Topic, "topic", None),
                Some(Internal::Repartition) => (Shape::Repartition, "repartition topic", None),
                Some(_) => (Shape::Changelog, "changelog", owner.map(|store| store.subtopology)),
            };
            let (name, detail) = (topic.name.as_str().to_owned(), words::topic(topic));
            Some(self.vertex(Vertex { id: format!("t{index}"), shape, name, kind: kind.to_owned(), detail, cluster }))
        });
        let topics = topics.collect();
        let nodes = topology.nodes.iter().enumerate().map(|(index, node)| Vertex {
            id: format!("n{index}"),
            shape: Shape::Node,
            name: node.name.as_str().to_owned(),
            kind: words::kind(topology, node).to_owned(),
            detail: detail(topology, node),
            cluster: Some(node.subtopology),
        });
        let nodes = nodes.map(|node| self.vertex(node)).collect();
        let stores = topology.stores.iter().enumerate().map(|(index, store)| {
            let used = topology.subtopologies.iter().any(|part| part.stores.contains(&StoreIndex(index)));
            let (id, name, detail) = (format!("s{index}"), store.name.clone(), words::store(store));
            let (kind, cluster) = ("store".to_owned(), Some(store.subtopology));
            used.then(|| self.vertex(Vertex { id, shape: Shape::Store, name, kind, detail, cluster }))
        });
        let stores = stores.collect();
        Places { topics, nodes, stores }
    }

    fn vertex(&mut self, vertex: Vertex) -> usize {
        self.vertices.push(vertex);
        self.vertices.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, label: Option<&str>, flow: Flow) {
        self.edges.push(Edge { from, to, label: label.map(str::to_owned), flow });
    }

    fn add_node_edges(&mut self, topology: &Topology, index: NodeIndex, places: &Places) {
        let (node, here) = (topology.node(index), places.nodes[index.0]);
        for (number, input) in node.inputs.iter().enumerate() {
            let label = label(topology, input, side(node, number));
            self.edge(places.nodes[input.node.0], here, label.as_deref(), Flow::Rows);
        }
        let topic = |topic: &TopicIndex| places.topics[topic.0];
        match &node.kind {
            NodeKind::Source(source) => {
                for from in source.topics.iter().filter_map(topic) {
                    self.edge(from, here, None, Flow::Rows);
                }
            }
            NodeKind::Sink(to) => {
                if let Some(to) = topic(to) {
                    self.edge(here, to, None, Flow::Rows);
                }
            }
            NodeKind::DynamicSink(sink) => {
                for to in sink.targets.iter().filter_map(topic) {
                    self.edge(here, to, None, Flow::Rows);
                }
            }
            NodeKind::Join(_) | NodeKind::JoinTables(_) => {
                for table in stores_of(&node.kind).into_iter().filter_map(|store| places.stores[store.0]) {
                    self.edge(table, here, None, Flow::Entries);
                }
            }
            NodeKind::ToTable(table) => {
                if let Some(store) = places.stores[table.store.0] {
                    self.edge(here, store, None, Flow::Entries);
                }
            }
            kind => {
                for store in stores_of(kind).into_iter().filter_map(|store| places.stores[store.0]) {
                    self.edge(here, store, None, Flow::Both);
                }
            }
        }
    }
}

/// What a node does, its plugin by the name of its file alone: where that lies would take the place of all else.
fn detail(topology: &Topology, node: &Node) -> String {
    let detail = words::detail(topology, node);
    let Some(plugin) = node.plugin() else { return detail };
    let name = plugin.plugin.rsplit('/').next().unwrap_or_default();
    detail.replace(&plugin.plugin, name)
}

/// The stores that a node reads and writes.
#[must_use]
pub fn stores_of(kind: &NodeKind) -> Vec<StoreIndex> {
    match kind {
        NodeKind::Process(plugin) => plugin.stores.iter().map(|(_, store)| *store).chain(plugin.timers).collect(),
        NodeKind::Aggregate(aggregate) => match &aggregate.function {
            Function::Plugin(plugin) => {
                [aggregate.store].into_iter().chain(plugin.stores.iter().map(|(_, store)| *store)).collect()
            }
            _ => vec![aggregate.store],
        },
        NodeKind::Suppress(suppress) => vec![suppress.store],
        NodeKind::ToTable(table) => vec![table.store],
        NodeKind::Join(join) => vec![join.table],
        NodeKind::JoinTables(join) if join.left == join.right => vec![join.left],
        NodeKind::JoinTables(join) => vec![join.left, join.right],
        NodeKind::StreamJoin(join) => [join.left, join.right].into_iter().chain(join.waiting).collect(),
        _ => Vec::new(),
    }
}

/// Whether a store is one that a node keeps for itself.
#[must_use]
pub fn is_own(kind: StoreKind) -> bool {
    matches!(kind, StoreKind::Timers | StoreKind::Suppressed)
}

/// Which side of a join its input `number` is.
fn side(node: &Node, number: usize) -> Option<&'static str> {
    let is_join = matches!(node.kind, NodeKind::Join(_) | NodeKind::JoinTables(_) | NodeKind::StreamJoin(_));
    is_join.then(|| if number + 1 == node.inputs.len() { "right" } else { "left" })
}

/// The port that is read, and the side of a join.
fn label(topology: &Topology, input: &Input, side: Option<&str>) -> Option<String> {
    let port = match (&input.port_name, &topology.node(input.node).kind) {
        (Some(name), _) => Some(name.clone()),
        (None, NodeKind::Branch(cases)) => cases.get(input.port as usize).map(|case| case.name.clone()),
        (None, _) => None,
    };
    let side = side.map(str::to_owned);
    match (side, port) {
        (Some(side), Some(port)) => Some(format!("{side}: {port}")),
        (side, port) => side.or(port),
    }
}
