//! The tree of a file as topics and nodes whose names are not looked up yet. Every mistake is noted, none ends the reading.

use super::yaml::{Kind, Name, Yaml};
use super::{Diagnostics, ErrorPolicy, Format, Span, did_you_mean};

/// The longest name of a topic that Kafka takes, in bytes.
const TOPIC_NAME_BYTES_MAX: usize = 249;

/// The longest name of an application: it begins the names of its internal topics.
const APPLICATION_NAME_BYTES_MAX: usize = 100;

/// The longest name of a node or a case: it goes into metrics, paths and internal topics.
const NODE_NAME_BYTES_MAX: usize = 100;

/// What the file will be able to say one day: known words, so that they are not taken for slips.
const LATER_KINDS: [&str; 11] = [
    "aggregate",
    "flat-map",
    "global-table",
    "join",
    "key-by",
    "map",
    "merge",
    "repartition",
    "suppress",
    "table",
    "window",
];
const LATER_SECTIONS: [&str; 3] = ["routes", "stores", "defaults"];

const KINDS: [&str; 5] = ["source", "filter", "process", "branch", "sink"];

#[derive(Debug, Default)]
pub(super) struct File {
    pub application: String,
    pub topics: Vec<RawTopic>,
    pub nodes: Vec<RawNode>,
}

#[derive(Debug)]
pub(super) struct RawTopic {
    pub name: Name,
    pub key: Format,
    pub value: Format,
    pub partitions: Option<i32>,
}

#[derive(Debug)]
pub(super) struct RawNode {
    pub name: Name,
    pub from: Option<Name>,
    pub kind: RawKind,
    pub on_error: ErrorPolicy,
}

#[derive(Debug)]
pub(super) enum RawKind {
    Source(Vec<Name>),
    Filter(Name),
    Process {
        plugin: Name,
        config: String,
        key: Option<Format>,
        value: Option<Format>,
    },
    /// A case without an expression is the default.
    Branch(Vec<(Name, Option<Name>)>),
    Sink(Name),
    /// Reported already.
    Bad,
}

pub(super) fn read(root: &Yaml, diagnostics: &mut Diagnostics) -> File {
    let mut file = File::default();
    let mut reader = Reader { diagnostics };
    let start = Span::default();
    let Some(fields) = reader.map(root, "the file", "a map with `application:`, `topics:` and `nodes:`") else {
        return file;
    };
    reader.check_keys(fields, "the file", &["application", "topics", "nodes"], &LATER_SECTIONS);
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

fn field<'a>(fields: &'a [(Name, Yaml)], name: &str) -> Option<&'a (Name, Yaml)> {
    fields.iter().find(|(key, _)| key.text == name)
}

/// The first field of each name; the others are noted as `noun` of the same name.
fn unique<'a>(
    fields: &'a [(Name, Yaml)],
    noun: &str,
    diagnostics: &mut Diagnostics,
) -> impl Iterator<Item = (&'a Name, &'a Yaml)> + use<'a> {
    let mut kept: Vec<&'a (Name, Yaml)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for entry in fields {
        if seen.insert(&entry.0.text) {
            kept.push(entry);
        } else if !entry.0.text.is_empty() {
            diagnostics.error(entry.0.span, format!("two {noun} are named `{}`", entry.0.text), "rename one of them");
        }
    }
    kept.into_iter().map(|(name, value)| (name, value))
}

struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    /// Notes that `value`, of `what`, is not what is wanted.
    fn wrong(&mut self, value: &Yaml, what: &str, wanted: &str) {
        if !matches!(value.kind, Kind::Bad) {
            self.diagnostics.error(value.span, format!("{what} should be {wanted}; here is {}", value.what()), "");
        }
    }

    fn map<'y>(&mut self, value: &'y Yaml, what: &str, wanted: &str) -> Option<&'y [(Name, Yaml)]> {
        if let Kind::Map(fields) = &value.kind {
            return Some(fields);
        }
        self.wrong(value, what, wanted);
        None
    }

    fn word(&mut self, value: &Yaml, what: &str, wanted: &str) -> Option<Name> {
        if let Kind::Scalar { text, .. } = &value.kind {
            return Some(Name { text: text.clone(), span: value.span });
        }
        self.wrong(value, what, wanted);
        None
    }

    fn check_keys(&mut self, fields: &[(Name, Yaml)], what: &str, known: &[&str], later: &[&str]) {
        for (at, (key, value)) in fields.iter().enumerate() {
            let text = &key.text;
            if !text.is_empty() && fields[..at].iter().any(|(earlier, _)| earlier.text == *text) {
                self.diagnostics.error(key.span, format!("`{text}` is given twice"), "remove one");
            } else if text.is_empty() {
                self.diagnostics.error(
                    key.span,
                    "there is no name before the `:`",
                    format!("there are {}", known.join(", ")),
                );
            } else if known.contains(&text.as_str()) {
            } else if later.contains(&text.as_str()) {
                self.diagnostics.error(key.span, format!("`{text}` is not in this version"), "");
            } else if matches!(value.kind, Kind::Null) && text.contains([')', '\'', '"', '=', '<', '>', ']']) {
                let message = "the expression before the comma ends there, as YAML reads it";
                self.diagnostics.error(key.span, message, "put the whole expression in single quotes");
            } else {
                let help = did_you_mean(text, known.iter().copied())
                    .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                self.diagnostics.error(key.span, format!("{what} has no `{text}`"), help);
            }
        }
    }

    fn kafka_name(&mut self, value: &Yaml, noun: &str, bytes_max: usize) -> Option<Name> {
        let name = self.word(value, &format!("the name of {noun}"), "text")?;
        self.check_kafka_name(&name, noun, bytes_max).then_some(name)
    }

    fn check_kafka_name(&mut self, name: &Name, noun: &str, bytes_max: usize) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let valid = name.text.chars().all(legal) && !matches!(name.text.as_str(), "" | "." | "..");
        if !valid {
            let message = format!("`{}` is no name for {noun}", name.text);
            self.diagnostics.error(name.span, message, "use letters, digits, `.`, `_` and `-`");
        } else if name.text.len() > bytes_max {
            let message = format!("this name has {} characters; {bytes_max} are the most for {noun}", name.text.len());
            self.diagnostics.error(name.span, message, "");
        }
        valid && name.text.len() <= bytes_max
    }

    /// Names without dots: `node.case` is an output.
    fn check_node_name(&mut self, name: &Name, noun: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.text.is_empty() || !name.text.chars().all(legal) {
            let message = format!("`{}` is no name for {noun}", name.text);
            self.diagnostics.error(name.span, message, "use letters, digits, `_` and `-`");
        } else if name.text.len() > NODE_NAME_BYTES_MAX {
            let message =
                format!("this name has {} characters; {NODE_NAME_BYTES_MAX} are the most for {noun}", name.text.len());
            self.diagnostics.error(name.span, message, "");
        }
    }

    fn one_of<T: Copy>(&mut self, value: &Yaml, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let wanted = match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => names.concat(),
        };
        let word = self.word(value, what, &wanted)?;
        let found = choices.iter().find(|(name, _)| *name == word.text).map(|(_, choice)| *choice);
        if found.is_none() {
            let help = did_you_mean(&word.text, names).unwrap_or_default();
            self.diagnostics.error(word.span, format!("{what} should be {wanted}; here is `{}`", word.text), help);
        }
        found
    }

    fn format(&mut self, fields: &[(Name, Yaml)], name: &str) -> Option<Format> {
        let (_, value) = field(fields, name)?;
        let formats = [("bytes", Format::Bytes), ("string", Format::String), ("json", Format::Json)];
        self.one_of(value, &format!("`{name}`"), &formats)
    }

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
        let partitions = field(fields, "partitions").and_then(|(_, value)| self.partitions(value));
        valid.then(|| RawTopic { name: name.clone(), key, value, partitions })
    }

    fn partitions(&mut self, value: &Yaml) -> Option<i32> {
        let wanted = "a whole number, 1 at least";
        let word = self.word(value, "`partitions`", wanted)?;
        let number = word.text.parse().ok().filter(|number| *number >= 1);
        if number.is_none() {
            self.diagnostics.error(word.span, format!("`partitions` should be {wanted}; here is `{}`", word.text), "");
        }
        number
    }

    fn node(&mut self, name: &Name, value: &Yaml) -> RawNode {
        self.check_node_name(name, "a node");
        let mut node = RawNode { name: name.clone(), from: None, kind: RawKind::Bad, on_error: ErrorPolicy::default() };
        let what = format!("node `{}`", name.text);
        let Some(fields) = self.map(value, &what, "a map such as `{ from: NODE, sink: TOPIC }`") else { return node };
        let known = ["source", "filter", "process", "branch", "sink", "from", "on-error"];
        self.check_keys(fields, &what, &known, &LATER_KINDS);
        if let Some((_, value)) = field(fields, "on-error") {
            let policies = [("fail", ErrorPolicy::Fail), ("skip", ErrorPolicy::Skip)];
            node.on_error = self.one_of(value, "`on-error`", &policies).unwrap_or_default();
        }
        let from = field(fields, "from");
        node.from = from.and_then(|(_, value)| self.from(value));
        let kinds: Vec<_> = fields.iter().filter(|(key, _)| KINDS.contains(&key.text.as_str())).collect();
        let Some((kind, value)) = kinds.first() else {
            // A word that is not known was meant to say what it does, and is noted already.
            if fields.iter().all(|(key, _)| known.contains(&key.text.as_str())) {
                let help = format!("give it one of {}", KINDS.join(", "));
                self.diagnostics.error(name.span, format!("{what} does nothing"), help);
            }
            return node;
        };
        if let Some((second, _)) = kinds.iter().find(|(key, _)| key.text != kind.text) {
            let message = format!("{what} is both a {} and a {}", kind.text, second.text);
            self.diagnostics.error(second.span, message, "make it two nodes");
        }
        match (from, kind.text.as_str()) {
            (Some((key, _)), "source") => {
                let help = "remove `from`, or take the topics into a node of their own";
                self.diagnostics.error(key.span, format!("{what} is a source: it reads topics and no node"), help);
            }
            (None, other) if other != "source" => {
                self.diagnostics.error(name.span, format!("{what} reads from nothing"), "add `from: NODE`");
            }
            _ => {}
        }
        node.kind = self.kind(kind, value).unwrap_or(RawKind::Bad);
        node
    }

    fn from(&mut self, value: &Yaml) -> Option<Name> {
        if let Kind::List(_) = value.kind {
            let help = "give each its own node: several may write to one topic";
            self.diagnostics.error(
                value.span,
                "a node reads from one node; to merge several is not in this version",
                help,
            );
            return None;
        }
        self.word(value, "`from`", "the name of a node")
    }

    fn kind(&mut self, kind: &Name, value: &Yaml) -> Option<RawKind> {
        match kind.text.as_str() {
            "source" => {
                let topics =
                    if let Kind::List(topics) = &value.kind { topics.as_slice() } else { std::slice::from_ref(value) };
                if topics.is_empty() {
                    self.diagnostics.error(value.span, "this source has no topic", "name one topic at least");
                }
                let topics: Vec<Name> = topics
                    .iter()
                    .filter_map(|topic| self.word(topic, "`source`", "a topic or a list of topics"))
                    .collect();
                Some(RawKind::Source(topics))
            }
            "filter" => {
                Some(RawKind::Filter(self.word(value, "`filter`", "an expression such as `value.price > 10`")?))
            }
            "process" => self.process(kind, value),
            "branch" => self.branch(kind, value),
            _ => Some(RawKind::Sink(self.word(value, "`sink`", "a topic")?)),
        }
    }

    fn process(&mut self, kind: &Name, value: &Yaml) -> Option<RawKind> {
        let fields = self.map(value, "`process`", "a map such as `{ plugin: NAME }`")?;
        self.check_keys(fields, "`process`", &["plugin", "config", "key", "value"], &[]);
        let config =
            field(fields, "config").map(|(_, value)| value.to_json(self.diagnostics)).unwrap_or_default().to_string();
        let (key, value) = (self.format(fields, "key"), self.format(fields, "value"));
        let Some((_, plugin)) = field(fields, "plugin") else {
            self.diagnostics.error(
                kind.span,
                "this process has no plugin",
                "add `plugin:` with the path or name of one",
            );
            return None;
        };
        let plugin = self.word(plugin, "`plugin`", "the path or name of a plugin")?;
        if plugin.text.is_empty() {
            self.diagnostics.error(plugin.span, "this process has no plugin", "give the path or name of one");
        }
        Some(RawKind::Process { plugin, config, key, value })
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
}
