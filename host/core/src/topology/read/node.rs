//! `nodes:`.

use super::super::yaml::{Kind, Name, Yaml};
use super::super::{ErrorPolicy, Format, Span};
use super::aggregate::{RawAggregate, RawSuppress};
use super::flat_map::RawFlatMap;
use super::join::{OF_JOINS, RawJoin};
use super::reader::{Reader, field, unique};
use super::sink::RawSink;

/// What a node can be.
#[rustfmt::skip]
const KINDS: [&str; 15] = [
    "source", "table", "filter", "map", "flat-map", "key-by", "peek", "process", "branch", "repartition", "aggregate", "suppress", "to-table",
    "join", "sink",
];

/// Fields of an aggregate beside `aggregate` itself; `repartition` is a node's kind too.
const OF_AGGREGATES: [&str; 3] = ["window", "store", "emit"];

/// Fields that belong into `window`.
const OF_WINDOWS: [&str; 6] = ["grace", "tumbling", "hopping", "sliding", "session", "advance"];

/// Known words, so that they are not taken for slips.
const LATER_KINDS: [&str; 1] = ["global-table"];

/// What Kafka Streams calls it, and what it is called here.
const KAFKA_STREAMS_WORDS: [(&str, &str); 7] = [
    ("select-key", "key-by: EXPR"),
    ("map-values", "map: { value: EXPR }"),
    ("flat-map-values", "flat-map: EXPR"),
    ("filter-not", "filter: '!(EXPR)'"),
    ("split", "branch: { CASE: EXPR, OTHER: default }"),
    ("through", "repartition: NAME"),
    ("to", "sink: TOPIC"),
];

/// A node as the file declares it.
#[derive(Debug)]
pub(crate) struct RawNode {
    pub name: Name,
    /// None for a source; several are merged.
    pub from: Vec<Name>,
    pub kind: RawKind,
    pub on_error: ErrorPolicy,
}

#[derive(Debug)]
pub(crate) enum RawKind {
    Source {
        topics: Vec<Name>,
        timestamp: Option<RawTime>,
        /// The table that it is made of.
        of: Option<Name>,
    },
    /// Written out as a source and [`RawKind::ToTable`] before anything is made of it.
    Table {
        topic: Name,
        timestamp: Option<RawTime>,
        store: Option<Name>,
    },
    ToTable(RawTable),
    Join(RawJoin),
    Filter(Name),
    Map(RawMap),
    /// Told from [`RawKind::Join`], [`RawKind::Filter`] and [`RawKind::Map`] by what they read.
    JoinTables(RawJoin),
    FilterTable(Name),
    MapTable(RawMap),
    FlatMap(RawFlatMap),
    /// None: key and value.
    Peek(Option<Name>),
    Process(RawProcess),
    /// A case without an expression is the default.
    Branch(Vec<(Name, Option<Name>)>),
    Repartition(Repartition),
    /// The half of a repartition that writes: never in a file, made of [`RawKind::Repartition`].
    RepartitionWrite {
        /// The node that it is made of.
        of: Name,
        repartition: Repartition,
    },
    Aggregate(Box<RawAggregate>),
    Suppress(RawSuppress),
    Sink(Name),
    DynamicSink(RawSink),
    /// Reported already.
    Bad,
}

/// `to-table`, and `table` behind its source.
#[derive(Debug)]
pub(crate) struct RawTable {
    /// None: it has the table's name.
    pub store: Option<Name>,
    /// Where it says `to-table`.
    pub span: Span,
    pub repartition: Option<Repartition>,
    /// The node whose rows it keeps, where the file does not say so.
    pub of: Option<Name>,
    /// It is all that its topic holds.
    pub of_topic: bool,
}

/// `timestamp` of a source.
#[derive(Debug)]
pub(crate) enum RawTime {
    Expression(Name),
    Plugin { plugin: Name, config: String },
}

/// `map` and `key-by`.
#[derive(Debug, Default)]
pub(crate) struct RawMap {
    pub key: Option<Name>,
    pub value: Option<Name>,
    /// Without an expression it is removed.
    pub headers: Vec<(Name, Option<Name>)>,
    pub key_format: Option<Format>,
    pub value_format: Option<Format>,
}

/// `process`.
#[derive(Debug)]
pub(crate) struct RawProcess {
    pub plugin: Name,
    pub config: String,
    pub key: Option<Format>,
    pub value: Option<Format>,
    /// The plugin's name of each store, and the file's.
    pub stores: Vec<(Name, Name)>,
    pub timers: bool,
    /// What it sends on has the keys that came.
    pub keeps_key: bool,
}

/// `repartition`.
#[derive(Clone, Debug)]
pub(crate) struct Repartition {
    pub name: Name,
    pub partitions: Option<i32>,
}

impl RawNode {
    /// The name in the file of the node that this is, or was made of.
    pub fn shown(&self) -> &str {
        match &self.kind {
            RawKind::RepartitionWrite { of, .. }
            | RawKind::Source { of: Some(of), .. }
            | RawKind::ToTable(RawTable { of: Some(of), .. }) => &of.text,
            _ => &self.name.text,
        }
    }
}

impl Reader<'_> {
    pub fn node(&mut self, name: &Name, value: &Yaml) -> RawNode {
        self.check_node_name(name, "a node");
        let mut node =
            RawNode { name: name.clone(), from: Vec::new(), kind: RawKind::Bad, on_error: ErrorPolicy::default() };
        let what = format!("node `{}`", name.text);
        let Some(fields) = self.map(value, &what, "a map such as `{ from: NODE, sink: TOPIC }`") else { return node };
        self.check_fields(fields, &what);
        if let Some((_, value)) = field(fields, "on-error") {
            let policies = [("fail", ErrorPolicy::Fail), ("skip", ErrorPolicy::Skip)];
            node.on_error = self.one_of(value, "`on-error`", &policies).unwrap_or_default();
        }
        let from = field(fields, "from");
        node.from = from.map(|(_, value)| self.from(value)).unwrap_or_default();
        let Some((kind, value)) = self.which(name, fields, &what) else { return node };
        match (from, kind.text.as_str()) {
            (Some((key, _)), other @ ("source" | "table")) => {
                let help = "remove `from`, or take the topics into a node of their own";
                self.diagnostics.error(key.span, format!("{what} is a {other}: it reads topics and no node"), help);
            }
            (None, other) if !["source", "table"].contains(&other) => {
                self.diagnostics.error(name.span, format!("{what} reads from nothing"), "add `from: NODE`");
            }
            _ => {}
        }
        node.kind = self.kind(kind, value, fields).unwrap_or(RawKind::Bad);
        node
    }

    fn check_fields(&mut self, fields: &[(Name, Yaml)], what: &str) {
        let aggregates = field(fields, "aggregate").is_some();
        let joins = field(fields, "join").is_some();
        let is_table = field(fields, "table").is_some();
        let mut known = KINDS.to_vec();
        known.extend(["from", "on-error"]);
        if aggregates {
            known.extend(OF_AGGREGATES);
        }
        if joins {
            known.extend(OF_JOINS);
        }
        if is_table {
            known.push("store");
        }
        let mut elsewhere = Vec::new();
        for (key, _) in fields {
            let text = key.text.as_str();
            let (message, help) = if OF_WINDOWS.contains(&text) && !(joins && text == "grace") {
                let first = if ["grace", "advance"].contains(&text) { "hopping: 10s, " } else { "" };
                let help = format!("write `window: {{ {first}{text}: … }}` beside `aggregate`");
                (format!("`{text}` stands in a `window` alone"), help)
            } else if OF_AGGREGATES.contains(&text) && !aggregates && !(is_table && text == "store") {
                let help = "add `aggregate: count` or another function, or remove it".to_owned();
                (format!("`{text}` is for aggregates, and {what} is none"), help)
            } else if text == "merge" {
                (format!("{what} merges by what it reads"), "write `from: [a, b]`, at any node".to_owned())
            } else if let Some((_, ours)) = KAFKA_STREAMS_WORDS.iter().find(|(theirs, _)| *theirs == text) {
                (format!("{what} has no `{text}`"), format!("write `{ours}`"))
            } else {
                continue;
            };
            elsewhere.push(text);
            self.diagnostics.error(key.span, message, help);
        }
        let fits = |(key, _): &&(Name, Yaml)| !elsewhere.contains(&key.text.as_str());
        self.check_keys(fields.iter().filter(fits), what, &known, &LATER_KINDS);
    }

    /// The field that says what the node does.
    fn which<'y>(&mut self, name: &Name, fields: &'y [(Name, Yaml)], what: &str) -> Option<(&'y Name, &'y Yaml)> {
        let by_key = ["aggregate", "join", "to-table"].iter().any(|kind| field(fields, kind).is_some());
        let is_kind = |key: &str| KINDS.contains(&key) && !(by_key && key == "repartition");
        let kinds: Vec<_> = fields.iter().filter(|(key, _)| is_kind(&key.text)).collect();
        let Some((kind, value)) = kinds.first() else {
            // A word that is not known was meant to say what it does, and is noted already.
            if fields.iter().all(|(key, _)| ["from", "on-error"].contains(&key.text.as_str())) {
                let help = format!("give it one of {}", KINDS.join(", "));
                self.diagnostics.error(name.span, format!("{what} does nothing"), help);
            }
            return None;
        };
        if let Some((second, _)) = kinds.iter().find(|(key, _)| key.text != kind.text) {
            let message = format!("{what} is both a {} and a {}", kind.text, second.text);
            self.diagnostics.error(second.span, message, "make it two nodes");
        }
        Some((kind, value))
    }

    /// A node, or several that are merged.
    fn from(&mut self, value: &Yaml) -> Vec<Name> {
        let nodes = if let Kind::List(nodes) = &value.kind { nodes.as_slice() } else { std::slice::from_ref(value) };
        if nodes.is_empty() {
            self.diagnostics.error(value.span, "`from` names no node", "name one at least");
        }
        nodes.iter().filter_map(|node| self.word(node, "`from`", "the name of a node, or a list of nodes")).collect()
    }

    fn kind(&mut self, kind: &Name, value: &Yaml, fields: &[(Name, Yaml)]) -> Option<RawKind> {
        match kind.text.as_str() {
            "source" => Some(self.source(value)),
            "table" => self.table(value, fields),
            "to-table" => {
                let store = Some(self.word(value, "`to-table`", "the name of a store")?);
                let repartition = self.repartition_beside(fields);
                Some(RawKind::ToTable(RawTable { store, span: kind.span, repartition, of: None, of_topic: false }))
            }
            "join" => self.join(kind, value, fields),
            "filter" => {
                Some(RawKind::Filter(self.word(value, "`filter`", "an expression such as `value.price > 10`")?))
            }
            "map" => self.mapping(kind, value),
            "flat-map" => Some(RawKind::FlatMap(self.flat_map(kind, value)?)),
            "key-by" => {
                let key = self.word(value, "`key-by`", "an expression such as `value.ticker`")?;
                Some(RawKind::Map(RawMap { key: Some(key), ..RawMap::default() }))
            }
            "peek" => self.peek(value),
            "process" => self.process(kind, value),
            "branch" => self.branch(kind, value),
            "repartition" => Some(RawKind::Repartition(self.repartition(value)?)),
            "aggregate" => Some(RawKind::Aggregate(Box::new(self.aggregate(kind, value, fields)?))),
            "suppress" => Some(RawKind::Suppress(self.suppress(kind, value)?)),
            _ => self.sink(value),
        }
    }

    fn source(&mut self, value: &Yaml) -> RawKind {
        let (topics, timestamp) = match &value.kind {
            Kind::Map(fields) => {
                self.check_keys(fields, "`source`", &["topic", "topics", "timestamp"], &[]);
                let timestamp = field(fields, "timestamp").and_then(|(key, value)| self.timestamp(key, value));
                if let [(_, _), (second, _)] =
                    fields.iter().filter(|(key, _)| key.text.starts_with("topic")).collect::<Vec<_>>().as_slice()
                {
                    self.diagnostics.error(second.span, "a source has `topic` or `topics`, not both", "remove one");
                }
                (field(fields, "topic").or(field(fields, "topics")).map(|(_, topics)| topics), timestamp)
            }
            _ => (Some(value), None),
        };
        let list = match topics {
            None => &[],
            Some(Yaml { kind: Kind::List(topics), .. }) => topics.as_slice(),
            Some(topic) => std::slice::from_ref(topic),
        };
        if list.is_empty() {
            self.diagnostics.error(value.span, "this source has no topic", "name one topic at least");
        }
        let names = list.iter().filter_map(|topic| self.word(topic, "`source`", "a topic or a list of topics"));
        RawKind::Source { topics: names.collect(), timestamp, of: None }
    }

    pub(super) fn timestamp(&mut self, key: &Name, value: &Yaml) -> Option<RawTime> {
        let Kind::Map(fields) = &value.kind else {
            let wanted = "an expression such as `value.time`, in milliseconds since 1970, or `{ plugin: NAME }`";
            return self.word(value, "`timestamp`", wanted).map(RawTime::Expression);
        };
        self.check_keys(fields, "`timestamp`", &["plugin", "config"], &[]);
        let config = self.config(fields);
        Some(RawTime::Plugin { plugin: self.plugin(key, fields)?, config })
    }

    fn mapping(&mut self, kind: &Name, value: &Yaml) -> Option<RawKind> {
        let fields = self.map(value, "`map`", "a map such as `{ key: value.ticker }`")?;
        self.check_keys(fields, "`map`", &["key", "value", "headers", "key-format", "value-format"], &[]);
        let (key, new) = (self.written(fields, "key"), self.written(fields, "value"));
        let headers = field(fields, "headers").map(|(_, headers)| self.headers(headers)).unwrap_or_default();
        if fields.iter().all(|(key, _)| ["key-format", "value-format"].contains(&key.text.as_str())) {
            let message = "this map changes nothing";
            self.diagnostics.error(kind.span, message, "give it `key:`, `value:` or `headers:` with an expression");
        }
        let (key_format, value_format) = (self.format(fields, "key-format"), self.format(fields, "value-format"));
        Some(RawKind::Map(RawMap { key, value: new, headers, key_format, value_format }))
    }

    /// The expression of a field.
    pub(super) fn written(&mut self, fields: &[(Name, Yaml)], name: &str) -> Option<Name> {
        let (_, value) = field(fields, name)?;
        let (what, help) = match value.kind {
            Kind::Map(_) => ("a map", format!("put a JSON object in quotes: `{name}: '{{\"price\": value.price}}'`")),
            Kind::List(_) => ("a list", format!("put a list in quotes: `{name}: '[value.first, value.second]'`")),
            _ => return self.word(value, &format!("`{name}`"), "an expression such as `value.ticker`"),
        };
        self.diagnostics.error(value.span, format!("`{name}` should be an expression; here is {what}"), help);
        None
    }

    /// `true`, or an expression.
    fn peek(&mut self, value: &Yaml) -> Option<RawKind> {
        let wanted = "`true`, or an expression such as `value.price`";
        let shown = self.word(value, "`peek`", wanted)?;
        match shown.text.as_str() {
            "true" => Some(RawKind::Peek(None)),
            "false" => {
                let help = "remove the node to show nothing";
                self.diagnostics.error(value.span, format!("`peek` should be {wanted}; here is `false`"), help);
                None
            }
            _ => Some(RawKind::Peek(Some(shown))),
        }
    }

    fn process(&mut self, kind: &Name, value: &Yaml) -> Option<RawKind> {
        let fields = self.map(value, "`process`", "a map such as `{ plugin: NAME }`")?;
        let known = ["plugin", "config", "key", "value", "stores", "timers", "keeps-key"];
        self.check_keys(fields, "`process`", &known, &[]);
        let config = self.config(fields);
        let (key, value) = (self.format(fields, "key"), self.format(fields, "value"));
        let stores = field(fields, "stores").map(|(_, stores)| self.plugin_stores(stores)).unwrap_or_default();
        let timers = self.truth(fields, "timers").unwrap_or_default();
        let keeps_key = self.truth(fields, "keeps-key").unwrap_or_default();
        let plugin = self.plugin(kind, fields)?;
        Some(RawKind::Process(RawProcess { plugin, config, key, value, stores, timers, keeps_key }))
    }

    /// A plugin's configuration as JSON text.
    pub fn config(&mut self, fields: &[(Name, Yaml)]) -> String {
        field(fields, "config").map(|(_, value)| value.to_json(self.diagnostics)).unwrap_or_default().to_string()
    }

    /// Its path or name.
    pub fn plugin(&mut self, kind: &Name, fields: &[(Name, Yaml)]) -> Option<Name> {
        let message = format!("this {} has no plugin", kind.text);
        let Some((_, plugin)) = field(fields, "plugin") else {
            self.diagnostics.error(kind.span, message, "add `plugin:` with the path or name of one");
            return None;
        };
        let plugin = self.word(plugin, "`plugin`", "the path or name of a plugin")?;
        if plugin.text.is_empty() {
            self.diagnostics.error(plugin.span, message, "give the path or name of one");
        }
        Some(plugin)
    }

    /// A list of stores, or a map of the plugin's names for them.
    fn plugin_stores(&mut self, value: &Yaml) -> Vec<(Name, Name)> {
        let wanted = "a list of stores, or a map from the plugin's names to stores";
        let stores: Vec<(Name, Name)> = match &value.kind {
            Kind::List(stores) => {
                let names = stores.iter().filter_map(|store| self.word(store, "an item of `stores`", "a store"));
                names.map(|name| (name.clone(), name)).collect()
            }
            Kind::Map(fields) => {
                let fields = unique(fields, "stores of a plugin", self.diagnostics);
                let fields: Vec<_> = fields.collect();
                let store = |(name, store): (&Name, &Yaml)| {
                    let what = format!("store `{}` of the plugin", name.text);
                    Some((name.clone(), self.word(store, &what, "the name of a store")?))
                };
                fields.into_iter().filter_map(store).collect()
            }
            _ => {
                self.wrong(value, "`stores`", wanted);
                Vec::new()
            }
        };
        for (at, (_, store)) in stores.iter().enumerate() {
            if stores[..at].iter().any(|(_, earlier)| earlier.text == store.text) {
                let message = format!("store `{}` is given twice", store.text);
                self.diagnostics.error(store.span, message, "remove one: a store has one name in a plugin");
            }
        }
        stores
    }

    fn branch(&mut self, kind: &Name, value: &Yaml) -> Option<RawKind> {
        let fields = self.map(value, "`branch`", "a map such as `{ large: value.price > 100, other: default }`")?;
        if fields.is_empty() {
            self.diagnostics.error(kind.span, "this branch has no case", "add one, such as `other: default`");
        }
        let mut cases: Vec<(Name, Option<Name>)> = Vec::new();
        let mut default: Option<&Name> = None;
        for (name, value) in unique(fields, "cases", self.diagnostics) {
            self.check_node_name(name, "a case");
            let Some(when) = self.word(value, &format!("case `{}`", name.text), "an expression or `default`") else {
                continue;
            };
            if let Some(default) = default {
                let message =
                    format!("no row comes to case `{}`: `{}` before it takes them all", name.text, default.text);
                self.diagnostics.error(name.span, message, "put the default last");
            }
            let is_default = when.text == "default";
            default = default.or(is_default.then_some(name));
            cases.push((name.clone(), (!is_default).then_some(when)));
        }
        Some(RawKind::Branch(cases))
    }

    /// Beside what works by key.
    pub fn repartition_beside(&mut self, fields: &[(Name, Yaml)]) -> Option<Repartition> {
        field(fields, "repartition").and_then(|(_, value)| self.repartition(value))
    }

    /// A name, or `{ name: …, partitions: … }`.
    pub fn repartition(&mut self, value: &Yaml) -> Option<Repartition> {
        let wanted = "a name such as `by-ticker`, or `{ name: by-ticker, partitions: 4 }`";
        let (name, partitions) = match &value.kind {
            Kind::Map(fields) => {
                self.check_keys(fields, "`repartition`", &["name", "partitions"], &[]);
                let Some((_, name)) = field(fields, "name") else {
                    self.diagnostics.error(value.span, "this repartition has no name", format!("write {wanted}"));
                    return None;
                };
                (self.word(name, "`name`", "text")?, self.count(fields, "partitions"))
            }
            _ => (self.word(value, "`repartition`", wanted)?, None),
        };
        self.check_part_name(&name, "a repartition");
        Some(Repartition { name, partitions })
    }
}
