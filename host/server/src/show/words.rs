//! What a node, a topic or a store is, in the words of the topology file.

use weir_core::topology::{
    Aggregate, Builtin, Emit, EventTime, Function, Internal, JoinHow, Joined, Map, Node, NodeKind, Source, Store,
    StoreKind, Suppress, SuppressUntil, Topic, Topology, Window, WindowKind, Within, duration_text as time,
};

use crate::host::status::kind_name;

/// The word for what a node does.
#[must_use]
pub fn kind(topology: &Topology, node: &Node) -> &'static str {
    match &node.kind {
        NodeKind::Sink(topic) if topology.topic(*topic).internal.is_some() => "repartition",
        kind => kind_name(kind),
    }
}

/// How it does it; empty where the kind says all.
#[must_use]
pub fn detail(topology: &Topology, node: &Node) -> String {
    match &node.kind {
        NodeKind::Source(source) => event_time(source),
        NodeKind::Filter(expression) | NodeKind::FilterTable(expression) => expression.source().to_owned(),
        NodeKind::Process(plugin) => plugin.plugin.clone(),
        NodeKind::Branch(cases) => {
            let cases = cases.iter().map(|case| {
                let when = case.when.as_ref().map_or("default", |when| when.source());
                format!("{}: {when}", case.name)
            });
            cases.collect::<Vec<_>>().join(", ")
        }
        NodeKind::Map(map) | NodeKind::MapTable(map) => mapped(map),
        NodeKind::FlatMap(flat_map) => flat_map.items.sources().collect::<Vec<_>>().join(", "),
        NodeKind::Peek(shown) => shown.as_ref().map_or(String::new(), |shown| shown.source().to_owned()),
        NodeKind::Aggregate(aggregate) => aggregated(aggregate),
        NodeKind::Suppress(suppress) => suppressed(suppress),
        NodeKind::ToTable(_) => String::new(),
        NodeKind::Join(join) => joined(join.how, &topology.store(join.table).name, &join.value),
        NodeKind::JoinTables(join) => joined(join.how, &topology.store(join.right).name, &join.value),
        NodeKind::StreamJoin(join) => joined(join.how, &within(join.within), &join.value),
        NodeKind::DynamicSink(sink) => format!("to {}", sink.topic.source()),
        // The arrow says where to.
        NodeKind::Sink(_) => String::new(),
    }
}

fn event_time(source: &Source) -> String {
    match &source.timestamp {
        None => String::new(),
        Some(EventTime::Expression(mapping)) => format!("timestamp {}", mapping.source()),
        Some(EventTime::Plugin(plugin)) => format!("timestamp by {}", plugin.plugin),
    }
}

fn mapped(map: &Map) -> String {
    let key = map.key.iter().map(|mapping| format!("key: {}", mapping.source()));
    let value = map.value.iter().map(|mapping| format!("value: {}", mapping.source()));
    let headers = map
        .headers
        .iter()
        .map(|(name, header)| format!("header {name}: {}", header.as_ref().map_or("null", |header| header.source())));
    key.chain(value).chain(headers).collect::<Vec<_>>().join(", ")
}

fn aggregated(aggregate: &Aggregate) -> String {
    let function = match &aggregate.function {
        Function::One(builtin) => built_in(builtin),
        Function::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, it)| format!("{name}: {}", built_in(it))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Function::Plugin(plugin) => plugin.plugin.clone(),
    };
    let emit = match aggregate.emit {
        Emit::Update => "emit update",
        Emit::Commit => "emit commit",
        Emit::Close => "emit close",
    };
    let window = aggregate.window.map(windowed);
    [Some(function), window, Some(emit.to_owned())].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The expression of a built-in function; none of `count`.
#[must_use]
pub fn expression_of(builtin: &Builtin) -> Option<&str> {
    match builtin {
        Builtin::Count => None,
        Builtin::Sum(of)
        | Builtin::Min(of)
        | Builtin::Max(of)
        | Builtin::Avg(of)
        | Builtin::First(of)
        | Builtin::Last(of) => Some(of.source()),
        Builtin::Reduce(of) => Some(of.source()),
    }
}

fn built_in(builtin: &Builtin) -> String {
    let name = match builtin {
        Builtin::Count => "count",
        Builtin::Sum(_) => "sum",
        Builtin::Min(_) => "min",
        Builtin::Max(_) => "max",
        Builtin::Avg(_) => "avg",
        Builtin::First(_) => "first",
        Builtin::Last(_) => "last",
        Builtin::Reduce(_) => "reduce",
    };
    expression_of(builtin).map_or(name.to_owned(), |of| format!("{name} {of}"))
}

fn windowed(window: Window) -> String {
    let kind = match window.kind {
        WindowKind::Hopping { size_ms, advance_ms } if size_ms == advance_ms => format!("tumbling {}", time(size_ms)),
        WindowKind::Hopping { size_ms, advance_ms } => {
            format!("hopping {}, advance {}", time(size_ms), time(advance_ms))
        }
        WindowKind::Sliding { difference_ms } => format!("sliding {}", time(difference_ms)),
        WindowKind::Session { gap_ms } => format!("session {}", time(gap_ms)),
    };
    if window.grace_ms == 0 { kind } else { format!("{kind}, grace {}", time(window.grace_ms)) }
}

fn suppressed(suppress: &Suppress) -> String {
    match suppress.until {
        SuppressUntil::WindowCloses { .. } => "until close".to_owned(),
        SuppressUntil::TimeLimit { limit_ms } => format!("until {}", time(limit_ms)),
    }
}

/// How near rows of two streams must be.
fn within(within: Within) -> String {
    let Within { before_ms, after_ms, grace_ms } = within;
    let grace = if grace_ms == 0 { String::new() } else { format!(", grace {}", time(grace_ms)) };
    if before_ms == after_ms {
        format!("what is within {}{grace}", time(before_ms))
    } else {
        format!("what is at most {} before and {} after{grace}", time(before_ms), time(after_ms))
    }
}

fn joined(how: JoinHow, with: &str, value: &Joined) -> String {
    let how = match how {
        JoinHow::Inner => "inner",
        JoinHow::Left => "left",
        JoinHow::Outer => "outer",
    };
    let value = match value {
        Joined::Expression { joiner, .. } => joiner.source(),
        Joined::Both { .. } => "{left, right}",
    };
    format!("{how} with {with}; {value}")
}

/// Kind, place and what is forgotten when.
#[must_use]
pub fn store(store: &Store) -> String {
    let place = if store.in_memory { "memory" } else { "rocksdb" };
    let mut words = format!("{}, {place}", store.kind);
    if let Some(retention) = retention(store) {
        words.push_str(&format!(", {retention}"));
    }
    words
}

/// `retention 1h`, `ttl 1h`; none: entries stay until they are deleted.
#[must_use]
pub fn retention(store: &Store) -> Option<String> {
    match store.kind {
        StoreKind::Window { retention_ms }
        | StoreKind::Session { retention_ms }
        | StoreKind::Joined { retention_ms } => Some(format!("retention {}", time(retention_ms))),
        StoreKind::KeyValue { ttl_ms: Some(ttl_ms) } => Some(format!("ttl {}", time(ttl_ms))),
        StoreKind::KeyValue { ttl_ms: None } | StoreKind::Timers | StoreKind::Suppressed | StoreKind::Waiting => None,
    }
}

/// What a topic is to the application, its formats, its partitions where they are known.
#[must_use]
pub fn topic(topic: &Topic) -> String {
    let (key, value) = (topic.key, topic.value);
    let what = match topic.internal {
        None | Some(Internal::Repartition) => format!("{key} to {value}"),
        Some(Internal::Changelog) => "changelog".to_owned(),
        Some(Internal::WindowedChangelog) => "changelog of windows".to_owned(),
    };
    match topic.partitions {
        Some(partitions) => format!("{what}, {}", counted(partitions as usize, "partition")),
        None => what,
    }
}

/// `1 task`, `2 tasks`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
