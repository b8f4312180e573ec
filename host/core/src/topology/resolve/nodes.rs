//! What each node does.

use std::collections::BTreeMap;

use super::super::model::{Branch, EventTime, Input, Node, NodeKind, NodeName, PluginRef, Source, TopicIndex};
use super::super::read::{RawKind, RawMap, RawNode, RawTime, RawTopic};
use super::super::yaml::Name;
use super::super::{Format, Map, PORT_LATE, Table};
use super::stores::{StoreUse, Stores};
use super::{Flow, Resolver, stateless};

impl<'a> Resolver<'a> {
    /// The nodes in file order, made in `order` since what comes out of a node depends on what goes in.
    pub(super) fn nodes(&mut self, order: &[usize], stores: &Stores) -> Vec<Node> {
        let mut flows = vec![(Flow::default(), Flow::default()); self.raw.len()];
        let mut kinds: BTreeMap<usize, NodeKind> = BTreeMap::new();
        let rest = (0..self.raw.len()).filter(|node| !order.contains(node));
        for index in order.iter().copied().chain(rest) {
            let input = self.flow_into(index, &flows);
            let right = self.rights[index].as_ref().map(|right| self.flow_of(right, &flows)).unwrap_or_default();
            let (kind, output) = self.kind(index, (input, right), &stores.of_nodes[index]);
            flows[index] = (input, output);
            kinds.extend(kind.map(|kind| (index, kind)));
        }
        let nodes = self.raw.iter().enumerate().map(|(index, node)| Node {
            name: NodeName::from(node.name.text.as_str()),
            kind: kinds.remove(&index).unwrap_or(NodeKind::Source(Source::default())),
            inputs: self.read_by(index).cloned().collect(),
            children: Vec::new(),
            on_error: node.on_error,
            subtopology: 0,
            place: 0,
            span: node.name.span,
        });
        nodes.collect()
    }

    /// `flows`: what goes into each node, and what comes out.
    fn flow_into(&self, index: usize, flows: &[(Flow, Flow)]) -> Flow {
        if let RawKind::Repartition(_) = self.raw[index].kind {
            // A topic carries no windows.
            return index.checked_sub(1).map_or(Flow::default(), |write| Flow { closes_ms: None, ..flows[write].0 });
        }
        self.inputs[index].iter().map(|input| self.flow_of(input, flows)).reduce(Flow::merge).unwrap_or_default()
    }

    /// What comes by an input.
    fn flow_of(&self, input: &Input, flows: &[(Flow, Flow)]) -> Flow {
        let (before, after) = flows[input.node.0];
        let late = input.port == PORT_LATE && matches!(self.raw[input.node.0].kind, RawKind::Aggregate(_));
        if late { before } else { after }
    }

    fn kind(&mut self, index: usize, (input, right): (Flow, Flow), stores: &StoreUse) -> (Option<NodeKind>, Flow) {
        let node: &'a RawNode = &self.raw[index];
        let name = &node.name.text;
        match &node.kind {
            RawKind::Bad | RawKind::Table { .. } => (None, Flow::default()),
            RawKind::Source { topics, timestamp, .. } => self.source(name, topics, timestamp.as_ref()),
            RawKind::Filter(source) => (self.expression(source, input).map(NodeKind::Filter), input),
            RawKind::Branch(cases) => {
                let branches = cases.iter().map(|(case, when)| Branch {
                    name: case.text.clone(),
                    when: when.as_ref().and_then(|when| self.expression(when, input)),
                });
                (Some(NodeKind::Branch(branches.collect())), input)
            }
            RawKind::Map(map) => {
                let (map, output) = self.map(index, map, input);
                (Some(NodeKind::Map(map)), output)
            }
            RawKind::FlatMap(flat_map) => self.flat_map(index, flat_map, input),
            RawKind::Peek(shown) => {
                // Where it does not compile there is a mistake, and nothing runs.
                let shown = shown.as_ref().and_then(|source| self.mapping(source, input));
                (Some(NodeKind::Peek(shown)), input)
            }
            RawKind::Process(process) => {
                let plugin = PluginRef {
                    plugin: process.plugin.text.clone(),
                    config: process.config.clone(),
                    stores: stores.plugin.clone(),
                    timers: stores.timers,
                    keeps_key: process.keeps_key,
                    span: process.plugin.span,
                };
                // A plugin hands on what came in unless the file says what it makes of it.
                let (key, value) = (process.key.or(input.key), process.value.or(input.value));
                // What it makes at a timer has no window, and rows of a node all have one or none has.
                let closes_ms = input.closes_ms.filter(|_| !process.timers);
                (Some(NodeKind::Process(plugin)), Flow { key, value, closes_ms })
            }
            RawKind::RepartitionWrite { .. } => {
                let topic = self.written.get(&index).copied();
                if let Some(topic) = topic {
                    let topic = &mut self.topics[topic.0];
                    topic.key = input.key.unwrap_or(Format::Bytes);
                    topic.value = input.value.unwrap_or(Format::Bytes);
                }
                (topic.map(NodeKind::Sink), input)
            }
            RawKind::Repartition(_) => {
                let topic = index.checked_sub(1).and_then(|write| self.written.get(&write).copied());
                let source = topic.map(|topic| Source { topics: vec![topic], timestamp: None });
                (source.map(NodeKind::Source), input)
            }
            RawKind::Aggregate(aggregate) => self.aggregate(aggregate, input, stores.own),
            // A topic's windows are nobody's, and a table has one row for each key.
            RawKind::ToTable(table) => {
                let of_topic = table.of_topic;
                let kind = stores.own.map(|store| NodeKind::ToTable(Table { store, olds: false, of_topic }));
                (kind, Flow { closes_ms: None, ..input })
            }
            RawKind::Join(join) => self.join(index, join, (input, right), stores),
            RawKind::JoinTables(join) => self.join_tables(index, join, (input, right), stores),
            RawKind::FilterTable(source) => (self.table_filter(source, input).map(NodeKind::FilterTable), input),
            RawKind::MapTable(map) => {
                let (map, output) = self.map(index, map, input);
                (Some(NodeKind::MapTable(map)), output)
            }
            RawKind::Suppress(suppress) => self.suppress(name, suppress, input, stores.own),
            RawKind::DynamicSink(sink) => (self.dynamic_sink(name, sink, input), Flow::default()),
            RawKind::Sink(topic) => (self.topic(name, "writes", topic).map(NodeKind::Sink), Flow::default()),
        }
    }

    fn source(&mut self, name: &str, topics: &[Name], timestamp: Option<&RawTime>) -> (Option<NodeKind>, Flow) {
        let topics: Vec<TopicIndex> = topics.iter().filter_map(|topic| self.topic(name, "reads", topic)).collect();
        let one = |format: fn(&RawTopic) -> Format| {
            let mut formats = topics.iter().map(|topic| format(&self.file.topics[topic.0]));
            let first = formats.next()?;
            // Rows of several formats have bytes in common.
            Some(if formats.all(|other| other == first) { first } else { Format::Bytes })
        };
        let flow = Flow { key: one(|topic| topic.key), value: one(|topic| topic.value), closes_ms: None };
        let timestamp = timestamp.and_then(|timestamp| match timestamp {
            RawTime::Expression(source) => self.mapping(source, flow).map(EventTime::Expression),
            RawTime::Plugin { plugin, config } => Some(EventTime::Plugin(stateless(plugin, config))),
        });
        (Some(NodeKind::Source(Source { topics, timestamp })), flow)
    }

    fn map(&mut self, index: usize, map: &RawMap, input: Flow) -> (Map, Flow) {
        let key = map.key.as_ref().map(|source| self.mapping(source, input));
        let value = map.value.as_ref().map(|source| self.mapping(source, input));
        let mut headers = Vec::with_capacity(map.headers.len());
        for (name, source) in &map.headers {
            let value = source.as_ref().map(|source| self.mapping(source, input));
            // What does not compile is a mistake, not a header to remove.
            if !matches!(value, Some(None)) {
                headers.push((name.text.clone(), value.flatten()));
            }
        }
        let (key_of_sinks, value_of_sinks) = self.sinks_take(index).unzip();
        // Elsewhere text is a key as it is; as a value it is JSON text, in quotes.
        let output = Flow {
            key: if key.is_some() { map.key_format.or(key_of_sinks).or(Some(Format::String)) } else { input.key },
            value: if value.is_some() {
                map.value_format.or(value_of_sinks).or(Some(Format::Json))
            } else {
                input.value
            },
            closes_ms: input.closes_ms,
        };
        let map = Map {
            key: key.flatten(),
            key_format: output.key.unwrap_or(Format::Bytes),
            value: value.flatten(),
            value_format: output.value.unwrap_or(Format::Bytes),
            headers,
        };
        (map, output)
    }

    /// What the topic takes to which node `index` sends its rows, if it sends them there alone.
    pub(super) fn sinks_take(&self, index: usize) -> Option<(Format, Format)> {
        let reads = |other: &(usize, &RawNode)| self.read_by(other.0).any(|input| input.node.0 == index);
        let mut formats = self.raw.iter().enumerate().filter(reads).map(|(_, node)| {
            let topic = match &node.kind {
                RawKind::Sink(topic) => *self.names.get(topic.text.as_str())?,
                RawKind::DynamicSink(sink) => return self.targets_take(sink),
                _ => return None,
            };
            let topic = &self.file.topics[topic.0];
            Some((topic.key, topic.value))
        });
        let first = formats.next()??;
        formats.all(|other| other == Some(first)).then_some(first)
    }
}
