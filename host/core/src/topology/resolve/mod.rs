//! Names to indices: topics, stores and nodes that exist, no cycle, expressions compiled, connected parts numbered.
//!
//! Start at [`resolve`]: `expand.rs` writes repartitions out, `inputs.rs` finds what each node reads, `stores.rs` what it
//! keeps, `nodes.rs` and `aggregate.rs` what it does, `connect.rs` which nodes and stores make a part of the topology.

mod aggregate;
mod connect;
mod expand;
mod flat_map;
mod inputs;
mod joins;
mod nodes;
mod sinks;
mod stores;
mod tables;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Input, PluginRef, Topic, TopicIndex, Topology};
use super::read::{File, RawKind, RawNode};
use super::yaml::Name;
use super::{Diagnostics, Format, Internal, Span, did_you_mean};
use crate::expression::{CompileError, Expression, Mapping, compile, compile_mapping};
use crate::record::TopicName;

/// The topology of `file`; it means something only if no error was noted.
pub(super) fn resolve(mut file: File, text: &str, diagnostics: &mut Diagnostics) -> Topology {
    let raw = expand::expand(std::mem::take(&mut file.nodes), diagnostics);
    let names = file.topics.iter().enumerate().map(|(index, topic)| (topic.name.text.as_str(), TopicIndex(index)));
    let mut resolver = Resolver {
        file: &file,
        raw: &raw,
        text,
        diagnostics,
        names: names.collect(),
        topics: file.topics.iter().map(declared).collect(),
        used: vec![false; file.topics.len()],
        written: BTreeMap::new(),
        inputs: Vec::new(),
        rights: Vec::new(),
    };
    resolver.repartition_topics();
    resolver.inputs = raw.iter().map(|node| resolver.inputs_of(node)).collect();
    resolver.rights = raw.iter().map(|node| resolver.right(node)).collect();
    let order = resolver.order();
    resolver.sources_share_no_topic();
    let stores = resolver.stores();
    let nodes = resolver.nodes(&order, &stores);
    // A name that is misspelt leaves another unread: first things first.
    if !resolver.diagnostics.has_errors() {
        resolver.warn_of_what_is_not_read();
        resolver.warn_of_stores(&stores);
    }
    let mut topology = Topology {
        application: file.application.clone(),
        topics: resolver.topics,
        stores: stores.stores,
        nodes,
        subtopologies: Vec::new(),
    };
    connect::connect(&mut topology, &order, &stores.users);
    connect::partitions_fit(&mut topology, diagnostics);
    connect::add_changelogs(&mut topology, &file.stores, diagnostics);
    topology
}

fn declared(topic: &super::read::RawTopic) -> Topic {
    Topic {
        name: TopicName::from(topic.name.text.as_str()),
        key: topic.key,
        value: topic.value,
        partitions: topic.partitions,
        internal: None,
    }
}

/// A plugin that has neither stores nor timers.
fn stateless(plugin: &Name, config: &str) -> PluginRef {
    let (plugin, span) = (plugin.text.clone(), plugin.span);
    PluginRef { plugin, config: config.to_owned(), stores: Vec::new(), timers: None, keeps_key: true, span }
}

struct Resolver<'a> {
    file: &'a File,
    /// In file order, repartitions written out.
    raw: &'a [RawNode],
    text: &'a str,
    diagnostics: &'a mut Diagnostics,
    /// Of declared topics.
    names: BTreeMap<&'a str, TopicIndex>,
    /// Declared ones first.
    topics: Vec<Topic>,
    /// Of each declared topic: whether a node reads or writes it.
    used: Vec<bool>,
    /// The topics of repartitions, by the node that writes.
    written: BTreeMap<usize, TopicIndex>,
    /// Of each node; without those where a mistake was noted.
    inputs: Vec<Vec<Input>>,
    /// Of each join, the table on its right side.
    rights: Vec<Option<Input>>,
}

/// What is known of the rows on the way out of a node. No format: a mistake was noted, and nothing is held against them.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    key: Option<Format>,
    value: Option<Format>,
    /// They have windows, which take rows for so long after their end.
    closes_ms: Option<i64>,
}

impl Flow {
    /// Of rows of both.
    fn merge(self, other: Self) -> Self {
        // Rows of several formats have bytes in common.
        let common = |one: Option<Format>, other: Option<Format>| match (one, other) {
            (Some(one), Some(other)) if one != other => Some(Format::Bytes),
            (one, other) => one.and(other),
        };
        // Rows of a node all have a window, or none has.
        let closes_ms = self.closes_ms.zip(other.closes_ms).map(|(one, other)| one.max(other));
        Self { key: common(self.key, other.key), value: common(self.value, other.value), closes_ms }
    }

    fn formats(self) -> (Format, Format, bool) {
        // After a mistake it is checked as JSON with windows, which allows most.
        let unknown = self.key.is_none() && self.value.is_none();
        (self.key.unwrap_or(Format::Json), self.value.unwrap_or(Format::Json), self.closes_ms.is_some() || unknown)
    }
}

impl Resolver<'_> {
    fn topic(&mut self, node: &str, verb: &str, topic: &Name) -> Option<TopicIndex> {
        let found = self.names.get(topic.text.as_str()).copied();
        match found {
            Some(index) => self.used[index.0] = true,
            None => {
                let help = did_you_mean(&topic.text, self.names.keys().copied()).unwrap_or_else(|| {
                    format!("declare it under `topics:`, such as `{}: {{ key: string, value: json }}`", topic.text)
                });
                let message = format!("node `{node}` {verb} topic `{}`, which is not declared", topic.text);
                self.diagnostics.error(topic.span, message, help);
            }
        }
        found
    }

    /// A topic for each repartition; what its rows are is known when the nodes before it are.
    fn repartition_topics(&mut self) {
        for (index, node) in self.raw.iter().enumerate() {
            let RawKind::RepartitionWrite { repartition, .. } = &node.kind else { continue };
            let name = format!("{}-{}-repartition", self.file.application, repartition.name.text);
            if let Some(topic) = self.file.topics.iter().find(|topic| topic.name.text == name) {
                let message = format!("topic `{name}` is what repartition `{}` would use", repartition.name.text);
                self.diagnostics.error(topic.name.span, message, "rename the repartition or the topic");
            }
            self.written.insert(index, TopicIndex(self.topics.len()));
            self.topics.push(Topic {
                name: TopicName::from(name.as_str()),
                key: Format::Bytes,
                value: Format::Bytes,
                partitions: repartition.partitions,
                internal: Some(Internal::Repartition),
            });
        }
    }

    fn expression(&mut self, source: &Name, flow: Flow) -> Option<Arc<dyn Expression>> {
        let (key, value, windowed) = flow.formats();
        let compiled = compile(&source.text, key, value, windowed);
        self.compiled(source, compiled)
    }

    /// A table keeps no headers, so those of a row that it has are not known when the next one comes.
    fn table_filter(&mut self, source: &Name, flow: Flow) -> Option<Arc<dyn Expression>> {
        if source.text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "headers") {
            let help = "filter a stream by headers, before `to-table`";
            self.diagnostics.error(source.span, "a table's rows have no headers to filter by", help);
            return None;
        }
        self.expression(source, flow)
    }

    fn mapping(&mut self, source: &Name, flow: Flow) -> Option<Arc<dyn Mapping>> {
        let (key, value, windowed) = flow.formats();
        let compiled = compile_mapping(&source.text, key, value, windowed);
        self.compiled(source, compiled)
    }

    fn compiled<T>(&mut self, source: &Name, compiled: Result<T, CompileError>) -> Option<T> {
        match compiled {
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
}
