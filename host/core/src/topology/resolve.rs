//! Names to indices: topics and nodes that exist, no cycle, expressions compiled, connected parts numbered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{
    Branch, Input, Node, NodeIndex, NodeKind, NodeName, PluginRef, Source, SubTopology, Topic, TopicIndex, Topology,
};
use super::read::{File, RawKind, RawNode};
use super::yaml::Name;
use super::{Diagnostics, Format, Span, did_you_mean};
use crate::expression::{Expression, compile};
use crate::record::TopicName;

/// The topology of `file`; it means something only if no error was noted.
pub(super) fn resolve(file: File, text: &str, diagnostics: &mut Diagnostics) -> Topology {
    let topics = file.topics.iter().map(|topic| (topic.name.text.as_str(), TopicIndex(0)));
    let mut resolver =
        Resolver { file: &file, text, diagnostics, topics: topics.collect(), inputs: Vec::new(), used: Vec::new() };
    for (index, topic) in file.topics.iter().enumerate() {
        resolver.topics.insert(&topic.name.text, TopicIndex(index));
    }
    resolver.used = vec![false; file.topics.len()];
    resolver.inputs = file.nodes.iter().map(|node| resolver.input(node)).collect();
    let order = resolver.order();
    resolver.sources_share_no_topic();
    let nodes = resolver.nodes(&order);
    // A name that is misspelt leaves another unread: first things first.
    if !resolver.diagnostics.has_errors() {
        resolver.warn_of_what_is_not_read();
    }
    let mut topology = Topology {
        application: file.application.clone(),
        topics: file
            .topics
            .iter()
            .map(|topic| Topic {
                name: TopicName::from(topic.name.text.as_str()),
                key: topic.key,
                value: topic.value,
                partitions: topic.partitions,
                internal: None,
            })
            .collect(),
        stores: Vec::new(),
        nodes,
        subtopologies: Vec::new(),
    };
    connect(&mut topology, &order);
    topology
}

struct Resolver<'a> {
    file: &'a File,
    text: &'a str,
    diagnostics: &'a mut Diagnostics,
    topics: BTreeMap<&'a str, TopicIndex>,
    /// Of each node; none for a source, and where a mistake was noted.
    inputs: Vec<Option<Input>>,
    /// Of each topic: whether a node reads or writes it.
    used: Vec<bool>,
}

/// What keys and values are on the way out of a node; `None`: a mistake was noted.
type Formats = (Option<Format>, Option<Format>);

impl<'a> Resolver<'a> {
    fn input(&mut self, node: &'a RawNode) -> Option<Input> {
        if matches!(node.kind, RawKind::Source(_)) {
            return None;
        }
        let from = node.from.as_ref()?;
        let (name, port) = match from.text.split_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (from.text.as_str(), None),
        };
        let Some(index) = self.file.nodes.iter().position(|other| other.name.text == name) else {
            self.no_such_node(node, from, name);
            return None;
        };
        let target = &self.file.nodes[index];
        let input = |port: usize, port_name: Option<&str>| {
            let port_name = port_name.map(str::to_owned);
            Some(Input { node: NodeIndex(index), port: port as u32, port_name, span: from.span })
        };
        match (&target.kind, port) {
            (RawKind::Bad, _) | (RawKind::Source(_) | RawKind::Filter(_), None) => input(0, None),
            // A plugin's ports are known when the plugin is.
            (RawKind::Process { .. }, port) => input(0, port),
            (RawKind::Source(_) | RawKind::Filter(_), Some(port)) => {
                let message = format!("node `{name}` has one output and no `{port}`");
                self.diagnostics.error(from.span, message, format!("write `from: {name}`"));
                None
            }
            (RawKind::Sink(topic), _) => {
                let message = format!("node `{}` reads from `{name}`, which is a sink", node.name.text);
                let help = format!("read what `{name}` reads, or add a source of topic `{}`", topic.text);
                self.diagnostics.error(from.span, message, help);
                None
            }
            (RawKind::Branch(cases), port) => {
                let found = port.and_then(|port| cases.iter().position(|(case, _)| case.text == port));
                if found.is_none() {
                    self.no_such_case(from, name, port, cases.iter().map(|(case, _)| case.text.as_str()).collect());
                }
                input(found?, port)
            }
        }
    }

    fn no_such_node(&mut self, node: &RawNode, from: &Name, name: &str) {
        let message = format!("node `{}` reads from `{name}`, which does not exist", node.name.text);
        let others =
            self.file.nodes.iter().map(|other| other.name.text.as_str()).filter(|other| *other != node.name.text);
        let help = if self.topics.contains_key(from.text.as_str()) {
            format!("this is a topic: read from a node `{{ source: {} }}`", from.text)
        } else {
            did_you_mean(name, others).unwrap_or_else(|| "add a node of this name, or name one that exists".to_owned())
        };
        let span = Span { start: from.span.start, end: (from.span.start + name.len()).min(from.span.end) };
        self.diagnostics.error(span, message, help);
    }

    fn no_such_case(&mut self, from: &Name, name: &str, port: Option<&str>, cases: Vec<&str>) {
        let all = || {
            let ways: Vec<String> = cases.iter().map(|case| format!("`from: {name}.{case}`")).collect();
            format!("write {}", ways.join(" or "))
        };
        let (message, help) = match port {
            None => (format!("`{name}` is a branch: which of its cases is read?"), all()),
            Some(port) => (
                format!("branch `{name}` has no case `{port}`"),
                did_you_mean(port, cases.iter().copied()).unwrap_or_else(all),
            ),
        };
        self.diagnostics.error(from.span, message, help);
    }

    /// Nodes so that each comes after what it reads. Nodes of a cycle, and behind one, are left out.
    fn order(&mut self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let mut order = Vec::new();
        // The walk in which a node was first met: a node has one input, so to meet it again in the same walk is a cycle.
        let mut met = vec![UNSEEN; self.inputs.len()];
        let mut placed = vec![false; self.inputs.len()];
        for start in 0..self.inputs.len() {
            let mut way = Vec::new();
            let mut next = Some(start);
            while let Some(node) = next.filter(|&node| met[node] == UNSEEN) {
                met[node] = start;
                way.push(node);
                next = self.inputs[node].as_ref().map(|input| input.node.0);
            }
            match next {
                Some(node) if met[node] == start => self.cycle(&way, node),
                Some(node) if !placed[node] => {}
                _ => {
                    way.iter().for_each(|&node| placed[node] = true);
                    order.extend(way.into_iter().rev());
                }
            }
        }
        order
    }

    fn cycle(&mut self, way: &[usize], first: usize) {
        let start = way.iter().position(|&node| node == first).unwrap_or(0);
        // Against the way of the walk is with the way of the rows.
        let mut names: Vec<&str> =
            way[start..].iter().rev().map(|&node| self.file.nodes[node].name.text.as_str()).collect();
        names.insert(0, &self.file.nodes[first].name.text);
        let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let span = self.inputs[first].as_ref().map_or(Span::default(), |input| input.span);
        let message = format!("these nodes read from one another in a cycle: {}", shown.join(" -> "));
        self.diagnostics.error(
            span,
            message,
            "one of them must read from a source; to go round, write to a topic and read it",
        );
    }

    fn topic(&mut self, node: &str, verb: &str, topic: &Name) -> Option<TopicIndex> {
        let found = self.topics.get(topic.text.as_str()).copied();
        match found {
            Some(index) => self.used[index.0] = true,
            None => {
                let help = did_you_mean(&topic.text, self.topics.keys().copied()).unwrap_or_else(|| {
                    format!("declare it under `topics:`, such as `{}: {{ key: string, value: json }}`", topic.text)
                });
                let message = format!("node `{node}` {verb} topic `{}`, which is not declared", topic.text);
                self.diagnostics.error(topic.span, message, help);
            }
        }
        found
    }

    /// As in Kafka Streams: two readers of one partition in one group would share its offset.
    fn sources_share_no_topic(&mut self) {
        let mut readers: BTreeMap<&str, &str> = BTreeMap::new();
        for node in &self.file.nodes {
            let RawKind::Source(topics) = &node.kind else { continue };
            for topic in topics {
                if let Some(reader) = readers.insert(&topic.text, &node.name.text) {
                    let message =
                        format!("topic `{}` is read twice, by `{reader}` and by `{}`", topic.text, node.name.text);
                    self.diagnostics.error(topic.span, message, format!("let what comes after read `from: {reader}`"));
                    readers.insert(&topic.text, reader);
                }
            }
        }
    }

    /// The nodes in file order, made in `order` since the formats of a node are those of its input.
    fn nodes(&mut self, order: &[usize]) -> Vec<Node> {
        let mut formats: Vec<Formats> = vec![(None, None); self.file.nodes.len()];
        let mut kinds: BTreeMap<usize, NodeKind> = BTreeMap::new();
        let rest = (0..self.file.nodes.len()).filter(|node| !order.contains(node));
        for index in order.iter().copied().chain(rest) {
            let input = self.inputs[index].as_ref().map_or((None, None), |input| formats[input.node.0]);
            let (kind, output) = self.kind(&self.file.nodes[index], input);
            formats[index] = output;
            kinds.extend(kind.map(|kind| (index, kind)));
        }
        let nodes = self.file.nodes.iter().enumerate().map(|(index, node)| Node {
            name: NodeName::from(node.name.text.as_str()),
            kind: kinds.remove(&index).unwrap_or(NodeKind::Source(Source::default())),
            input: self.inputs[index].clone(),
            children: Vec::new(),
            on_error: node.on_error,
            subtopology: 0,
        });
        nodes.collect()
    }

    fn kind(&mut self, node: &'a RawNode, input: Formats) -> (Option<NodeKind>, Formats) {
        let name = &node.name.text;
        match &node.kind {
            RawKind::Bad => (None, (None, None)),
            RawKind::Source(topics) => {
                let topics: Vec<TopicIndex> =
                    topics.iter().filter_map(|topic| self.topic(name, "reads", topic)).collect();
                let one = |format: fn(&super::read::RawTopic) -> Format| {
                    let mut formats = topics.iter().map(|topic| format(&self.file.topics[topic.0]));
                    let first = formats.next()?;
                    // Rows of several formats have bytes in common.
                    Some(if formats.all(|other| other == first) { first } else { Format::Bytes })
                };
                let output = (one(|topic| topic.key), one(|topic| topic.value));
                (Some(NodeKind::Source(Source { topics, timestamp: None })), output)
            }
            RawKind::Filter(source) => (self.expression(source, input).map(NodeKind::Filter), input),
            RawKind::Branch(cases) => {
                let branches = cases.iter().map(|(case, when)| Branch {
                    name: case.text.clone(),
                    when: when.as_ref().and_then(|when| self.expression(when, input)),
                });
                (Some(NodeKind::Branch(branches.collect())), input)
            }
            RawKind::Process { plugin, config, key, value } => {
                let plugin = PluginRef {
                    plugin: plugin.text.clone(),
                    config: config.clone(),
                    stores: Vec::new(),
                    timers: None,
                    span: plugin.span,
                };
                // A plugin hands on what came in unless the file says what it makes of it.
                (Some(NodeKind::Process(plugin)), (key.or(input.0), value.or(input.1)))
            }
            RawKind::Sink(topic) => (self.topic(name, "writes", topic).map(NodeKind::Sink), (None, None)),
        }
    }

    /// `source` compiled. After a mistake the formats are not known; it is checked as JSON, which allows most.
    fn expression(&mut self, source: &Name, (key, value): Formats) -> Option<Arc<dyn Expression>> {
        match compile(&source.text, key.unwrap_or(Format::Json), value.unwrap_or(Format::Json), false) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let span = self.place(source, error.offset, error.length);
                self.diagnostics.error(span, error.message, error.help);
                None
            }
        }
    }

    /// Bytes of an expression in the file; all of it where YAML's escapes and line breaks hide which.
    fn place(&self, source: &Name, offset: usize, length: usize) -> Span {
        let quote = usize::from(self.text[source.span.start..].starts_with(['\'', '"']));
        let start = source.span.start + quote;
        if !self.text.get(start..).is_some_and(|text| text.starts_with(&source.text)) {
            return source.span;
        }
        Span { start: start + offset, end: start + offset + length }
    }

    fn warn_of_what_is_not_read(&mut self) {
        let read = |index: usize, port: Option<u32>| {
            let mut inputs = self.inputs.iter().flatten();
            inputs.any(|input| input.node.0 == index && port.is_none_or(|port| input.port == port))
        };
        for (index, node) in self.file.nodes.iter().enumerate() {
            let name = &node.name.text;
            match &node.kind {
                RawKind::Source(_) | RawKind::Filter(_) if !read(index, None) => {
                    let help = format!("add a node `{{ from: {name}, … }}`, or remove it");
                    self.diagnostics.warning(node.name.span, format!("no node reads from `{name}`"), help);
                }
                RawKind::Branch(cases) => {
                    for (port, (case, _)) in cases.iter().enumerate() {
                        if !read(index, Some(port as u32)) {
                            let output = format!("{name}.{}", case.text);
                            let message =
                                format!("rows of case `{}` are dropped: no node reads from `{output}`", case.text);
                            self.diagnostics.warning(
                                case.span,
                                message,
                                format!("add a node `{{ from: {output}, … }}`"),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        for (topic, _) in self.file.topics.iter().zip(&self.used).filter(|(_, used)| !**used) {
            let message = format!("no node reads or writes topic `{}`", topic.name.text);
            self.diagnostics.warning(topic.name.span, message, "");
        }
    }
}

/// Children of each node, and the connected parts.
fn connect(topology: &mut Topology, order: &[usize]) {
    for index in 0..topology.nodes.len() {
        if let Some(parent) = topology.nodes[index].input.as_ref().map(|input| input.node) {
            topology.nodes[parent.0].children.push(NodeIndex(index));
        }
    }
    // A node has one input at most, so a connected part has one source, and is found from there.
    let mut part: Vec<usize> = (0..topology.nodes.len()).collect();
    for &index in order {
        if let Some(input) = &topology.nodes[index].input {
            part[index] = part[input.node.0];
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
            subtopology.topics.extend(&source.topics);
        }
    }
}
