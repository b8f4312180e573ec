//! Why a topology runs as it does: what was inserted, shared, kept or held back, and the place in the file that it comes from.

use std::collections::BTreeSet;

use serde::Serialize;
use weir_core::topology::{
    EventTime, Format, Function, Internal, Joined, Node, NodeIndex, NodeKind, Span, StoreIndex, StoreKind, SubTopology,
    TopicIndex, Topology,
};

use super::graph::{is_own, stores_of};
use super::words;

/// Something that was done, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// In the file, from 1.
    pub line: usize,
    /// In the line, from 1, in characters.
    pub column: usize,
    /// What it is about.
    pub about: About,
    /// What was done, and why.
    pub why: String,
}

/// What a [`Fact`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// Rows go to the partitions of their new keys.
    Repartition,
    /// Where the changes of a store go.
    Changelog,
    /// A store that a node keeps for itself.
    OwnStore,
    /// Rows are not taken in batches.
    RowAtATime,
    /// Topics must have as many partitions.
    CoPartition,
    /// Columns that are passed on as they came.
    NotDecoded,
}

impl About {
    fn word(self) -> &'static str {
        match self {
            Self::Repartition => "repartition",
            Self::Changelog => "changelog",
            Self::OwnStore => "own store",
            Self::RowAtATime => "row at a time",
            Self::CoPartition => "co-partition",
            Self::NotDecoded => "not decoded",
        }
    }
}

/// The longest of [`About::word`].
const WORD_CHARS: usize = "row at a time".len();

/// All that there is to say about `topology`, which was read from `text`, in the order of the text.
#[must_use]
pub fn facts(topology: &Topology, text: &str) -> Vec<Fact> {
    let mut facts = Facts { topology, text, facts: Vec::new() };
    for (index, node) in topology.nodes.iter().enumerate() {
        if let NodeKind::Sink(topic) = node.kind
            && topology.topic(topic).internal == Some(Internal::Repartition)
        {
            facts.repartition(node, topic);
        }
        if let NodeKind::Source(_) = node.kind {
            facts.not_decoded(NodeIndex(index));
        }
    }
    for (number, part) in topology.subtopologies.iter().enumerate() {
        for store in &part.stores {
            facts.store(*store);
        }
        facts.row_at_a_time(number, part);
        facts.co_partitioned(part);
    }
    facts.facts.sort();
    facts.facts
}

/// For people: a line each, with its place in `file_name`.
#[must_use]
pub fn render(facts: &[Fact], file_name: &str) -> String {
    let place = |fact: &Fact| format!("{file_name}:{}:{}", fact.line, fact.column);
    let width = facts.iter().map(|fact| place(fact).chars().count()).max().unwrap_or(0);
    let line = |fact: &Fact| format!("{:width$}  {:WORD_CHARS$}  {}\n", place(fact), fact.about.word(), fact.why);
    facts.iter().map(line).collect()
}

struct Facts<'a> {
    topology: &'a Topology,
    text: &'a str,
    facts: Vec<Fact>,
}

impl Facts<'_> {
    fn add(&mut self, span: Span, about: About, why: String) {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) = (self.line(span), self.text[line_start..start].chars().count() + 1);
        self.facts.push(Fact { line, column, about, why });
    }

    fn line(&self, span: Span) -> usize {
        self.text[..self.text.floor_char_boundary(span.start)].matches('\n').count() + 1
    }

    /// The name in the file of the node that `node` is, or is a part of.
    fn in_file<'n>(&'n self, node: &'n Node) -> &'n str {
        let name = self.text.get(node.span.start..node.span.end).unwrap_or_default();
        if name.is_empty() { node.name.as_str() } else { name.trim_matches(['"', '\'']) }
    }

    /// Where rows before `node` were given new keys; none: nowhere since they came from their topic.
    fn key_changed<'n>(&'n self, node: &'n Node) -> Option<&'n Node> {
        let mut pending: Vec<NodeIndex> = node.inputs.iter().map(|input| input.node).collect();
        let mut seen = BTreeSet::new();
        while let Some(index) = pending.pop() {
            let at = self.topology.node(index);
            match &at.kind {
                NodeKind::Map(map) if map.key.is_some() => return Some(at),
                NodeKind::FlatMap(flat_map) if flat_map.items.has_key() => return Some(at),
                NodeKind::Process(plugin) if !plugin.keeps_key => return Some(at),
                _ if seen.insert(index) => pending.extend(at.inputs.iter().map(|input| input.node)),
                _ => {}
            }
        }
        None
    }

    fn repartition(&mut self, writer: &Node, topic: TopicIndex) {
        let name = &self.topology.topic(topic).name;
        let reads = |node: &&Node| matches!(&node.kind, NodeKind::Source(source) if source.topics.contains(&topic));
        let reader = self.topology.nodes.iter().find(reads);
        let of = self.in_file(writer).to_owned();
        // A node of the file that is nothing but a repartition is read by its own name.
        let asked = reader.is_some_and(|reader| reader.name.as_str() == of);
        let why = match self.key_changed(writer) {
            Some(changed) if matches!(changed.kind, NodeKind::Process(_)) => format!(
                "`{changed}` (line {}) may give rows new keys: its plugin does not say `keeps-key: true`",
                self.line(changed.span),
                changed = self.in_file(changed),
            ),
            Some(changed) => {
                format!("`{}` (line {}) gives rows new keys", self.in_file(changed), self.line(changed.span))
            }
            None => "no node before it changes keys, so it does nothing but spread rows anew".to_owned(),
        };
        let done = if asked {
            format!("`{of}` sends rows by way of `{name}`")
        } else {
            format!("inserted before `{of}`, whose equal keys must meet in one task, by way of `{name}`")
        };
        self.add(writer.span, About::Repartition, format!("{done}: {why}"));
    }

    fn store(&mut self, index: StoreIndex) {
        let store = self.topology.store(index);
        let name = &store.name;
        let why = match store.restored_from().map(|topic| self.topology.topic(topic)) {
            None => format!("store `{name}` has none (`changelog: false`): it is empty after a crash or a move"),
            Some(topic) => match topic.internal {
                None => format!(
                    "topic `{}` is the changelog of store `{name}`: each of its rows is a change already, and those that were \
                     read are read again where the store is gone",
                    topic.name
                ),
                Some(Internal::WindowedChangelog) => format!(
                    "`{}` holds the changes of store `{name}`, compacted, and purged as windows expire by stream time",
                    topic.name
                ),
                Some(_) => format!("`{}` holds the changes of store `{name}`, compacted", topic.name),
            },
        };
        self.add(store.span, About::Changelog, why);
        let users = self.users(index);
        let Some(user) = users.first() else { return };
        let of = self.in_file(user);
        let what = match store.kind {
            StoreKind::Timers => Some("its timers"),
            StoreKind::Suppressed => Some("the rows that it holds back"),
            StoreKind::Joined { .. } => Some("the rows of one side"),
            StoreKind::Waiting => Some("rows that have met none yet"),
            _ => None,
        };
        let why = if let Some(what) = what {
            format!("`{of}` keeps {what} in store `{name}`")
        } else if store.span == user.span {
            format!("`{of}` names no store, so it keeps a {} store of its own name, `{name}`", store.kind)
        } else {
            return;
        };
        self.add(store.span, About::OwnStore, why);
    }

    fn users(&self, store: StoreIndex) -> Vec<&Node> {
        self.topology.nodes.iter().filter(|node| stores_of(&node.kind).contains(&store)).collect()
    }

    fn row_at_a_time(&mut self, number: usize, part: &SubTopology) {
        for index in &part.stores {
            let store = self.topology.store(*index);
            if !store.row_at_a_time {
                continue;
            }
            let users: Vec<String> =
                self.users(*index).iter().map(|node| format!("`{}`", self.in_file(node))).collect();
            let why = match words::retention(store).filter(|_| users.len() < 2) {
                Some(retention) => format!("entries of store `{}` expire by stream time ({retention})", store.name),
                None => format!("{} share store `{}`", users.join(" and "), store.name),
            };
            let why = format!("sub-topology {number}: {why}, and no row may see what a later one makes of it");
            self.add(store.span, About::RowAtATime, why);
        }
    }

    fn co_partitioned(&mut self, part: &SubTopology) {
        let by_key = |index: &&StoreIndex| !is_own(self.topology.store(**index).kind);
        let Some(store) = part.stores.iter().find(by_key).map(|index| self.topology.store(*index)) else { return };
        let [_, _, ..] = part.topics.as_slice() else { return };
        let topics: Vec<String> =
            part.topics.iter().map(|topic| format!("`{}`", self.topology.topic(*topic).name)).collect();
        let why = format!(
            "{} must have as many partitions: rows of equal keys meet in store `{}`",
            topics.join(" and "),
            store.name
        );
        self.add(store.span, About::CoPartition, why);
    }

    fn not_decoded(&mut self, source: NodeIndex) {
        let node = self.topology.node(source);
        let NodeKind::Source(of) = &node.kind else { return };
        let of = |format: fn(&weir_core::topology::Topic) -> Format| {
            of.topics.iter().any(|topic| format(self.topology.topic(*topic)) != Format::Bytes)
        };
        let (keys, values) = (of(|topic| topic.key), of(|topic| topic.value));
        let columns = [("key", "keys", keys), ("value", "values", values)];
        let unread = columns.into_iter().filter(|(column, _, formatted)| *formatted && !self.is_named(source, column));
        let unread: Vec<&str> = unread.map(|(_, plural, _)| plural).collect();
        if unread.is_empty() {
            return;
        }
        let why = format!(
            "{} of `{}` are passed on as they came: no expression behind it names them",
            unread.join(" and "),
            self.in_file(node)
        );
        self.add(node.span, About::NotDecoded, why);
    }

    /// Whether an expression names `column` of the rows that leave `index`, before they have another one.
    fn is_named(&self, index: NodeIndex, column: &str) -> bool {
        let mut pending = vec![index];
        while let Some(index) = pending.pop() {
            let node = self.topology.node(index);
            if sources_of(&node.kind).iter().any(|source| names(source, column)) {
                return true;
            }
            let in_table = |store: StoreIndex| column == "value" && self.is_named_in_join(store);
            let in_object = |joined: &Joined| column == "value" && matches!(joined, Joined::Both { .. });
            match &node.kind {
                NodeKind::ToTable(table) if in_table(table.store) => return true,
                NodeKind::Join(join) if in_object(&join.value) => return true,
                NodeKind::JoinTables(join) if in_object(&join.value) => return true,
                NodeKind::StreamJoin(join) if in_object(&join.value) => return true,
                _ => {}
            }
            let replaced = match &node.kind {
                NodeKind::Map(map) if column == "key" => map.key.is_some(),
                NodeKind::Map(map) | NodeKind::MapTable(map) => map.value.is_some(),
                NodeKind::Process(_) => true,
                // A node of the right side alone was judged by its table.
                NodeKind::Aggregate(_)
                | NodeKind::FlatMap(_)
                | NodeKind::Join(_)
                | NodeKind::JoinTables(_)
                | NodeKind::StreamJoin(_) => column == "value",
                _ => false,
            };
            if !replaced {
                pending.extend(node.children.iter().map(|child| child.node));
            }
        }
        false
    }

    /// Whether a join looks into the values of table `store`.
    fn is_named_in_join(&self, store: StoreIndex) -> bool {
        self.topology.nodes.iter().any(|node| match &node.kind {
            NodeKind::Join(join) if join.table == store => is_named_in(&join.value, "right"),
            NodeKind::JoinTables(join) if join.left == store => is_named_in(&join.value, "left"),
            NodeKind::JoinTables(join) if join.right == store => is_named_in(&join.value, "right"),
            _ => false,
        })
    }
}

/// Whether what is made of a join names one of its sides.
fn is_named_in(joined: &Joined, side: &str) -> bool {
    match joined {
        Joined::Expression { joiner, .. } => names(joiner.source(), side),
        Joined::Both { .. } => true,
    }
}

/// The expressions of a node. A plugin is handed bytes as they came.
fn sources_of(kind: &NodeKind) -> Vec<&str> {
    match kind {
        NodeKind::Source(source) => match &source.timestamp {
            Some(EventTime::Expression(mapping)) => vec![mapping.source()],
            Some(EventTime::Plugin(_)) | None => Vec::new(),
        },
        NodeKind::Filter(expression) | NodeKind::FilterTable(expression) => vec![expression.source()],
        NodeKind::Branch(cases) => {
            cases.iter().filter_map(|case| case.when.as_ref().map(|when| when.source())).collect()
        }
        NodeKind::Map(map) | NodeKind::MapTable(map) => {
            let headers = map.headers.iter().filter_map(|(_, header)| header.as_ref());
            map.key.iter().chain(&map.value).chain(headers).map(|mapping| mapping.source()).collect()
        }
        NodeKind::FlatMap(flat_map) => flat_map.items.sources().collect(),
        NodeKind::Peek(Some(shown)) => vec![shown.source()],
        // It shows key and value.
        NodeKind::Peek(None) => vec!["key", "value"],
        NodeKind::DynamicSink(sink) => vec![sink.topic.source()],
        NodeKind::Aggregate(aggregate) => match &aggregate.function {
            Function::One(builtin) => words::expression_of(builtin).into_iter().collect(),
            Function::Object(fields) => fields.iter().filter_map(|(_, of)| words::expression_of(of)).collect(),
            Function::Plugin(_) => Vec::new(),
        },
        NodeKind::Join(join) => source_of(&join.value).into_iter().collect(),
        NodeKind::JoinTables(join) => source_of(&join.value).into_iter().collect(),
        NodeKind::StreamJoin(join) => source_of(&join.value).into_iter().collect(),
        NodeKind::Process(_) | NodeKind::Suppress(_) | NodeKind::ToTable(_) | NodeKind::Sink(_) => Vec::new(),
    }
}

fn source_of(joined: &Joined) -> Option<&str> {
    match joined {
        Joined::Expression { joiner, .. } => Some(joiner.source()),
        Joined::Both { .. } => None,
    }
}

/// Whether `expression` names variable `column`, outside of texts and as no field; in a join the value is `left` too.
fn names(expression: &str, column: &str) -> bool {
    let mut quote = None;
    let (mut word, mut before_word, mut before) = (String::new(), ' ', ' ');
    for c in expression.chars().chain([' ']) {
        let is_part = quote.is_none() && (c.is_ascii_alphanumeric() || c == '_');
        if is_part {
            if word.is_empty() {
                before_word = before;
            }
            word.push(c);
        } else {
            if before_word != '.' && (word == column || (column == "value" && word == "left")) {
                return true;
            }
            word.clear();
            quote = match quote {
                None if c == '"' || c == '\'' => Some(c),
                Some(open) if c == open && before != '\\' => None,
                quote => quote,
            };
        }
        before = c;
    }
    false
}

#[cfg(test)]
mod unit {
    use super::names;

    #[test]
    fn a_variable_is_told_from_a_field_and_from_a_text_of_its_name() {
        assert!(names("value.price > 3", "value") && names("1 < value", "value") && names("left.x", "value"));
        assert!(names(r#""key" + key"#, "key") && names("{'k': key}", "key"));
        assert!(!names("value.key == 'key'", "key") && !names(r#"headers.value == "it's value""#, "value"));
        assert!(!names("values + my_value", "value"));
    }
}
