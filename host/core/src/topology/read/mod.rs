//! The tree of a file as topics and nodes whose names are not looked up yet. Every mistake is noted, none ends the reading.

mod aggregate;
mod flat_map;
mod headers;
mod join;
mod node;
mod reader;
mod sink;
mod store;

pub(crate) use aggregate::{RawAggregate, RawBuiltin, RawFunction, RawSuppress};
pub(crate) use flat_map::RawFlatMap;
pub(crate) use join::RawJoin;
pub(crate) use node::{RawKind, RawMap, RawNode, RawTable, RawTime, Repartition};
pub(crate) use reader::Time;
pub(crate) use sink::RawSink;
pub(crate) use store::{RawStore, RawStoreKind};

use reader::{Reader, field, unique};

use super::yaml::{Kind, Name, Yaml};
use super::{Diagnostics, Format, Span};

/// The longest name of a topic that Kafka takes, in bytes.
const TOPIC_NAME_BYTES_MAX: usize = 249;

/// The longest name of an application: it begins the names of its internal topics.
const APPLICATION_NAME_BYTES_MAX: usize = 100;

/// What the file will be able to say one day: known words, so that they are not taken for slips.
const LATER_SECTIONS: [&str; 2] = ["routes", "defaults"];

#[derive(Debug, Default)]
pub(super) struct File {
    pub application: String,
    pub topics: Vec<RawTopic>,
    pub stores: Vec<RawStore>,
    pub nodes: Vec<RawNode>,
}

#[derive(Debug)]
pub(super) struct RawTopic {
    pub name: Name,
    pub key: Format,
    pub value: Format,
    pub partitions: Option<i32>,
}

pub(super) fn read(root: &Yaml, diagnostics: &mut Diagnostics) -> File {
    let mut file = File::default();
    let mut reader = Reader { diagnostics };
    let start = Span::default();
    let Some(fields) = reader.map(root, "the file", "a map with `application:`, `topics:` and `nodes:`") else {
        return file;
    };
    reader.check_keys(fields, "the file", &["application", "topics", "stores", "nodes"], &LATER_SECTIONS);
    match field(fields, "application") {
        Some((_, value)) => {
            if let Some(name) = reader.kafka_name(value, "an application", APPLICATION_NAME_BYTES_MAX) {
                file.application = name.text;
            }
        }
        None => reader.diagnostics.error(start, "`application` is missing", "add a line `application: NAME`"),
    }
    if let Some((_, value)) = field(fields, "topics") {
        let topics = reader.map(value, "`topics`", "a map of topics").unwrap_or_default();
        file.topics = unique(topics, "topics", reader.diagnostics)
            .filter_map(|(name, value)| reader.topic(name, value))
            .collect();
    }
    if let Some((_, value)) = field(fields, "stores") {
        let stores = reader.map(value, "`stores`", "a map of stores").unwrap_or_default();
        file.stores =
            unique(stores, "stores", reader.diagnostics).map(|(name, value)| reader.store(name, value)).collect();
    }
    match field(fields, "nodes") {
        Some((key, value)) => {
            let nodes = reader.map(value, "`nodes`", "a map of nodes").unwrap_or_default();
            if nodes.is_empty() && matches!(value.kind, Kind::Map(_)) {
                reader.diagnostics.error(
                    key.span,
                    "there are no nodes",
                    "add one, such as `orders: { source: orders }`",
                );
            }
            file.nodes =
                unique(nodes, "nodes", reader.diagnostics).map(|(name, value)| reader.node(name, value)).collect();
        }
        None => reader.diagnostics.error(start, "`nodes` is missing", "add `nodes:` with one node at least"),
    }
    file
}

impl Reader<'_> {
    fn topic(&mut self, name: &Name, value: &Yaml) -> Option<RawTopic> {
        let valid = self.check_kafka_name(name, "a topic", TOPIC_NAME_BYTES_MAX);
        // `orders:` alone declares a topic of bytes.
        let fields = match value.kind {
            Kind::Null => &[],
            _ => self
                .map(value, &format!("topic `{}`", name.text), "a map such as `{ key: string, value: json }`")
                .unwrap_or_default(),
        };
        self.check_keys(fields, "a topic", &["key", "value", "partitions"], &[]);
        let key = self.format(fields, "key").unwrap_or(Format::Bytes);
        let value = self.format(fields, "value").unwrap_or(Format::Bytes);
        let partitions = self.count(fields, "partitions");
        valid.then(|| RawTopic { name: name.clone(), key, value, partitions })
    }
}
