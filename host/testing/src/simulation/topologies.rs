//! Topologies and their input, of a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::expression::{Expression, ExpressionError};
use weir_core::record::{Rows, TopicName};
use weir_core::topology::{
    Aggregate, Branch, Builtin, Emit, ErrorPolicy, Format, Function, Input, Internal, Node, NodeIndex, NodeKind,
    NodeName, PluginRef, Source, Span, Store, StoreIndex, StoreKind, SubTopology, Topic, TopicIndex, Topology, Window,
    WindowKind,
};

use super::hash;
use super::plugin::{POISON, PORTS, REFUSED};
use crate::broker::StoredRow;
use crate::random::{PerMille, Random};

/// In a row's value: expressions have no answer for it.
pub const UNREADABLE: u8 = b'~';

/// True for some rows, by their value.
#[derive(Debug)]
struct SomeRows {
    salt: String,
    modulus: u64,
}

impl Expression for SomeRows {
    fn source(&self) -> &str {
        &self.salt
    }

    fn matches(&self, rows: &Rows, row: usize) -> Result<bool, ExpressionError> {
        let value = rows.values.get(row).unwrap_or_default();
        if value.contains(&UNREADABLE) {
            return Err(ExpressionError { code: "weir.decode", message: "marked".to_owned() });
        }
        Ok(!hash(&self.salt, value).is_multiple_of(self.modulus))
    }
}

/// A topology with the partitions of its topics.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The topology.
    pub topology: Arc<Topology>,
    /// Partitions of every topic, and of the deployments'.
    pub partitions: BTreeMap<TopicName, i32>,
    /// Topics that nothing of the topology writes.
    pub inputs: Vec<TopicName>,
}

/// The name of the application that runs it.
pub const APPLICATION: &str = "sim";

/// What topics of counts begin with.
pub const COUNTS: &str = "counts";

/// The topic of its deployments.
pub const DEPLOYMENTS: &str = "sim-deployments";

struct Builder<'a> {
    random: &'a mut Random,
    topics: Vec<Topic>,
    nodes: Vec<Node>,
    stores: Vec<Store>,
    subtopologies: Vec<SubTopology>,
}

/// A topology of one or two subtopologies, the second of which reads what the first writes.
#[must_use]
pub fn generate(random: &mut Random) -> Generated {
    let mut builder =
        Builder { random, topics: Vec::new(), nodes: Vec::new(), stores: Vec::new(), subtopologies: Vec::new() };
    let mut partitions = BTreeMap::from([(TopicName::from(DEPLOYMENTS), 1)]);
    let count = builder.random.within(1, 4) as i32;
    let inputs: Vec<TopicName> =
        (0..builder.random.within(1, 2)).map(|index| TopicName::from(format!("in{index}").as_str())).collect();
    let mut sources = inputs.clone();
    for topic in &inputs {
        partitions.insert(topic.clone(), count);
    }
    for part in 0..if builder.random.chance(PerMille(300)) { 2 } else { 1 } {
        let written = builder.part(part, &sources);
        if builder.subtopologies[part].stores.len() == 1 {
            partitions.insert(changelog(part), partitions[&sources[0]]);
            partitions.insert(counts(part), builder.random.within(1, 3) as i32);
        }
        for topic in &written {
            partitions.insert(topic.clone(), builder.random.within(1, 3) as i32);
        }
        sources = vec![builder.random.choose(&written).clone()];
    }
    let Builder { topics, nodes, stores, subtopologies, .. } = builder;
    let mut topology = Topology { application: APPLICATION.to_owned(), topics, stores, nodes, subtopologies };
    topology.link();
    Generated { topology: Arc::new(topology), partitions, inputs }
}

fn changelog(part: usize) -> TopicName {
    TopicName::from(format!("{APPLICATION}-{part}-changelog").as_str())
}

fn counts(part: usize) -> TopicName {
    TopicName::from(format!("{COUNTS}{part}").as_str())
}

/// More grace than any input needs: no row is late.
const GRACE_MS_MAX: usize = 1_000_000;

fn plugin(name: &str, stores: Vec<(String, StoreIndex)>) -> PluginRef {
    let (plugin, config) = (name.to_owned(), "null".to_owned());
    PluginRef { plugin, config, stores, timers: None, keeps_key: false, span: Span::default() }
}

impl Builder<'_> {
    /// Counts the rows of `input` by key, or by key and window, and sends the counts: by what is built in, by an aggregator
    /// or by a processor with a store. `ordered`: its tasks read one partition each.
    fn count(&mut self, part: usize, input: Input, ordered: bool) {
        let chance = self.random.below(10);
        let window = (chance < 7 && self.random.chance(PerMille(600))).then(|| self.window(ordered));
        let store = self.store(part, window);
        let node = if chance < 7 {
            let function = match chance {
                0..4 => Function::One(Builtin::Count),
                _ => Function::Plugin(plugin("aggregator", Vec::new())),
            };
            let emit = match self.random.below(10) {
                0..4 if window.is_some() && ordered => Emit::Close,
                0..7 => Emit::Update,
                _ => Emit::Commit,
            };
            let aggregate = Aggregate { store, function, window, emit, value_format: Format::Json };
            self.node(part, NodeKind::Aggregate(Box::new(aggregate)), Some(input))
        } else {
            let stores = vec![("counts".to_owned(), store)];
            self.node(part, NodeKind::Process(plugin("keeper", stores)), Some(input))
        };
        let topic = self.topic(&counts(part));
        self.node(part, NodeKind::Sink(topic), Some(Input { node, port: 0, port_name: None, span: Span::default() }));
    }

    /// Tumbling. Which rows are late follows from the input only where a task has them in one order.
    fn window(&mut self, ordered: bool) -> Window {
        let size_ms = self.random.within(5, 40) as i64;
        let grace_ms = if ordered { self.random.below(20) } else { GRACE_MS_MAX } as i64;
        Window { kind: WindowKind::Hopping { size_ms, advance_ms: size_ms }, grace_ms }
    }

    fn store(&mut self, part: usize, window: Option<Window>) -> StoreIndex {
        let (kind, internal) = match window {
            Some(Window { kind: WindowKind::Hopping { size_ms, .. }, grace_ms }) => {
                (StoreKind::Window { retention_ms: size_ms + grace_ms }, Internal::WindowedChangelog)
            }
            _ => (StoreKind::KeyValue { ttl_ms: None }, Internal::Changelog),
        };
        let changelog = self.topic(&changelog(part));
        self.topics[changelog.0].internal = Some(internal);
        let store = StoreIndex(self.stores.len());
        self.stores.push(Store {
            name: part.to_string(),
            kind,
            in_memory: false,
            changelog: Some(changelog),
            source: None,
            subtopology: part,
            row_at_a_time: false,
            span: Span::default(),
        });
        self.subtopologies[part].stores.push(store);
        store
    }

    /// A subtopology that reads `sources`; returns the topics that it writes.
    fn part(&mut self, part: usize, sources: &[TopicName]) -> Vec<TopicName> {
        let topics: Vec<TopicIndex> = sources.iter().map(|topic| self.topic(topic)).collect();
        self.subtopologies.push(SubTopology { topics: topics.clone(), ..SubTopology::default() });
        let source = self.node(part, NodeKind::Source(Source { topics, timestamp: None }), None);
        self.subtopologies[part].sources.push(source);
        // Outputs that nobody reads yet.
        let mut loose = self.outputs(source);
        for _ in 0..self.random.within(1, 4) {
            let from = self.random.below(loose.len());
            // Often two nodes read one output.
            let input = if self.random.chance(PerMille(700)) { loose.swap_remove(from) } else { loose[from].clone() };
            let kind = self.inner();
            let node = self.node(part, kind, Some(input));
            loose.extend(self.outputs(node));
        }
        let names: Vec<TopicName> =
            (0..self.random.within(1, 2)).map(|index| TopicName::from(format!("out{part}{index}").as_str())).collect();
        let mut written = Vec::new();
        if self.random.chance(PerMille(600)) {
            let input = self.random.choose(&loose).clone();
            self.count(part, input, sources.len() == 1);
        }
        for input in loose {
            let name = self.random.choose(&names).clone();
            let topic = self.topic(&name);
            self.node(part, NodeKind::Sink(topic), Some(input));
            written.push(name);
        }
        written.sort();
        written.dedup();
        written
    }

    fn topic(&mut self, name: &TopicName) -> TopicIndex {
        if let Some(index) = self.topics.iter().position(|topic| topic.name == *name) {
            return TopicIndex(index);
        }
        self.topics.push(Topic {
            name: name.clone(),
            key: Format::Bytes,
            value: Format::Bytes,
            partitions: None,
            internal: None,
        });
        TopicIndex(self.topics.len() - 1)
    }

    fn node(&mut self, part: usize, kind: NodeKind, input: Option<Input>) -> NodeIndex {
        let index = NodeIndex(self.nodes.len());
        // Nothing mends an expression, so only a plugin's policy may be to fail.
        // A late row does not come to a plugin: whether one stops there is not the input's alone.
        let may_fail = match &kind {
            NodeKind::Process(_) => true,
            NodeKind::Aggregate(aggregate) => {
                aggregate.window.is_none() && matches!(aggregate.function, Function::Plugin(_))
            }
            _ => false,
        };
        let fails = may_fail && self.random.chance(PerMille(400));
        self.nodes.push(Node {
            name: NodeName::from(format!("n{}", index.0).as_str()),
            kind,
            inputs: input.into_iter().collect(),
            children: Vec::new(),
            on_error: if fails { ErrorPolicy::Fail } else { ErrorPolicy::Skip },
            subtopology: part,
            place: 0,
            span: Span::default(),
        });
        index
    }

    fn expression(&mut self) -> Arc<dyn Expression> {
        Arc::new(SomeRows { salt: format!("e{}", self.random.next()), modulus: self.random.within(2, 4) as u64 })
    }

    fn inner(&mut self) -> NodeKind {
        match self.random.below(10) {
            0..2 => NodeKind::Filter(self.expression()),
            2..4 => {
                let cases = self.random.within(1, 2);
                let mut branches: Vec<Branch> =
                    (0..cases).map(|case| Branch { name: format!("c{case}"), when: Some(self.expression()) }).collect();
                if self.random.chance(PerMille(700)) {
                    branches.push(Branch { name: "rest".to_owned(), when: None });
                }
                NodeKind::Branch(branches)
            }
            _ => NodeKind::Process(plugin("sim", Vec::new())),
        }
    }

    fn outputs(&self, node: NodeIndex) -> Vec<Input> {
        let ports = match &self.nodes[node.0].kind {
            NodeKind::Source(_) | NodeKind::Filter(_) => 1,
            NodeKind::Branch(cases) => cases.len() as u32,
            NodeKind::Process(_) => PORTS,
            NodeKind::Map(_)
            | NodeKind::FlatMap(_)
            | NodeKind::Peek(_)
            | NodeKind::Aggregate(_)
            | NodeKind::Suppress(_)
            | NodeKind::ToTable(_)
            | NodeKind::FilterTable(_)
            | NodeKind::MapTable(_)
            | NodeKind::JoinTables(_)
            | NodeKind::StreamJoin(_)
            | NodeKind::Join(_) => 1,
            NodeKind::Sink(_) | NodeKind::DynamicSink(_) => 0,
        };
        (0..ports).map(|port| Input { node, port, port_name: None, span: Span::default() }).collect()
    }
}

/// A row for the input, marked at random; its value begins with where it comes to lie.
#[must_use]
pub fn input_row(random: &mut Random, topic: &TopicName, partition: i32, offset: i64) -> StoredRow {
    let mut value = format!("{topic}/{partition}/{offset}|").into_bytes();
    match random.below(60) {
        0 => value.push(POISON),
        1 => value.push(REFUSED),
        2 => value.push(UNREADABLE),
        _ => {}
    }
    let key = (!random.chance(PerMille(200))).then(|| format!("k{}", random.below(9)).into_bytes());
    let headers = if random.chance(PerMille(200)) { vec![(b"h".to_vec(), Some(value.clone()))] } else { Vec::new() };
    StoredRow { timestamp: 1000 + offset * 3 - random.below(7) as i64, key, value: Some(value), headers }
}
