//! A case's operation as a topology of Weir.

use std::sync::Arc;

use weir_core::expression::{Datum, ExpressionError, Mapping, Reduction};
use weir_core::record::{Rows, TopicName};
use weir_core::topology::{
    Aggregate, Builtin, Emit, ErrorPolicy, Format, Function, Input, Internal, Map, Node, NodeIndex, NodeKind, NodeName,
    PluginRef, Source, Span, Store, StoreIndex, StoreKind, SubTopology, Suppress, SuppressUntil, Topic, TopicIndex,
    Topology, WhenFull, Window, WindowKind,
};
use weir_tests::oracle::{self, Operation, Windowed};

/// What goes in.
pub const INPUT: &str = "left";
/// What comes out.
pub const OUTPUT: &str = "out";
/// Where rows get their new keys.
const REPARTITION: &str = "agreement-by-part-repartition";

/// The topology of `operation`.
pub fn topology(operation: &Operation) -> Topology {
    let mut builder = Builder::default();
    let mut from = builder.source(INPUT, None);
    if *operation == Operation::RekeyCount {
        let rekeyed = builder.node("by-part", mapping(Some(Arc::new(FirstPart))), Some(from));
        let topic = builder.topic(REPARTITION, Some(Internal::Repartition));
        builder.node("repartition", NodeKind::Sink(topic), Some(rekeyed));
        from = builder.source(REPARTITION, Some(Internal::Repartition));
    }
    from = builder.aggregate(operation, from);
    if let Operation::Windowed(windowed) = operation {
        if let Some(until) = suppress_until(windowed) {
            from = builder.suppress(until, from);
        }
        from = builder.node("named", mapping(Some(Arc::new(WindowedKey))), Some(from));
    }
    let out = builder.topic(OUTPUT, None);
    builder.node("out", NodeKind::Sink(out), Some(from));
    builder.build()
}

#[derive(Default)]
struct Builder {
    topics: Vec<Topic>,
    stores: Vec<Store>,
    nodes: Vec<Node>,
    parts: Vec<SubTopology>,
}

impl Builder {
    fn topic(&mut self, name: &str, internal: Option<Internal>) -> TopicIndex {
        if let Some(index) = self.topics.iter().position(|topic| topic.name.as_str() == name) {
            return TopicIndex(index);
        }
        let (name, format) = (TopicName::from(name), Format::String);
        self.topics.push(Topic { name, key: format, value: format, partitions: Some(1), internal });
        TopicIndex(self.topics.len() - 1)
    }

    /// The source of a new part.
    fn source(&mut self, name: &str, internal: Option<Internal>) -> NodeIndex {
        let topic = self.topic(name, internal);
        self.parts.push(SubTopology { topics: vec![topic], ..SubTopology::default() });
        let source = Source { topics: vec![topic], timestamp: None };
        let index = self.node(&format!("from-{name}"), NodeKind::Source(source), None);
        self.parts[self.nodes[index.0].subtopology].sources.push(index);
        index
    }

    fn node(&mut self, name: &str, kind: NodeKind, from: Option<NodeIndex>) -> NodeIndex {
        let index = NodeIndex(self.nodes.len());
        let subtopology = self.parts.len() - 1;
        let input = |node| Input { node, port: 0, port_name: None, span: Span::default() };
        let inputs = from.into_iter().map(input).collect();
        let name = NodeName::from(name);
        let children = Vec::new();
        self.nodes.push(Node {
            name,
            kind,
            inputs,
            children,
            on_error: ErrorPolicy::Fail,
            subtopology,
            place: 0,
            span: Span::default(),
        });
        index
    }

    fn store(&mut self, name: &str, kind: StoreKind) -> StoreIndex {
        let index = StoreIndex(self.stores.len());
        let changes = match kind {
            StoreKind::Window { .. } | StoreKind::Session { .. } => Internal::WindowedChangelog,
            _ => Internal::Changelog,
        };
        let changelog = self.topic(&format!("agreement-{name}-changelog"), Some(changes));
        let subtopology = self.parts.len() - 1;
        self.parts[subtopology].stores.push(index);
        self.stores.push(Store {
            name: name.to_owned(),
            kind,
            in_memory: true,
            changelog: Some(changelog),
            source: None,
            subtopology,
            row_at_a_time: false,
            span: Span::default(),
        });
        index
    }

    fn aggregate(&mut self, operation: &Operation, from: NodeIndex) -> NodeIndex {
        let (function, window, emit, kind) = match operation {
            Operation::RekeyCount => (Function::One(Builtin::Count), None, Emit::Update, None),
            Operation::Reduce => (concatenation(), None, Emit::Update, None),
            Operation::Aggregate => (texts(), None, Emit::Update, None),
            Operation::Windowed(windowed) => {
                let (window, kind) = window(windowed);
                let emit = if windowed.emit == oracle::Emit::Close { Emit::Close } else { Emit::Update };
                let function = match windowed.function {
                    oracle::Function::Texts => texts(),
                    oracle::Function::Reduce => concatenation(),
                    oracle::Function::Count => Function::One(Builtin::Count),
                };
                (function, Some(window), emit, Some(kind))
            }
            Operation::Cogroup | Operation::Table(_) | Operation::Join(_) => {
                unreachable!("the generator of aggregates makes none: {operation:?}")
            }
        };
        let store = self.store("store", kind.unwrap_or(StoreKind::KeyValue { ttl_ms: None }));
        let aggregate = Aggregate { store, function, window, emit, value_format: Format::String };
        self.node("aggregate", NodeKind::Aggregate(Box::new(aggregate)), Some(from))
    }

    fn suppress(&mut self, until: SuppressUntil, from: NodeIndex) -> NodeIndex {
        let store = self.store("suppressed", StoreKind::Suppressed);
        let (rows_max, bytes_max, when_full) = (u64::MAX, u64::MAX, WhenFull::Fail);
        let suppress = Suppress { store, until, rows_max, bytes_max, when_full };
        self.node("suppress", NodeKind::Suppress(suppress), Some(from))
    }

    fn build(self) -> Topology {
        let Self { topics, stores, nodes, parts } = self;
        let mut topology =
            Topology { application: "agreement".to_owned(), topics, stores, nodes, subtopologies: parts };
        topology.link();
        topology
    }
}

fn concatenation() -> Function {
    Function::One(Builtin::Reduce(Arc::new(Concatenate)))
}

/// The plugin in `plugin.rs`.
fn texts() -> Function {
    Function::Plugin(PluginRef {
        plugin: "texts".to_owned(),
        config: "null".to_owned(),
        stores: Vec::new(),
        timers: None,
        keeps_key: true,
        span: Span::default(),
    })
}

/// The window, and its store with the retention that Kafka Streams has by default.
fn window(windowed: &Windowed) -> (Window, StoreKind) {
    let grace_ms = windowed.grace_ms;
    let (kind, least) = match windowed.window {
        oracle::WindowKind::Tumbling { size_ms } => (WindowKind::Hopping { size_ms, advance_ms: size_ms }, size_ms),
        oracle::WindowKind::Hopping { size_ms, advance_ms } => (WindowKind::Hopping { size_ms, advance_ms }, size_ms),
        oracle::WindowKind::Sliding { difference_ms } => (WindowKind::Sliding { difference_ms }, 2 * difference_ms),
        oracle::WindowKind::Session { gap_ms } => (WindowKind::Session { gap_ms }, gap_ms),
    };
    let retention_ms = windowed.retention_ms.unwrap_or(least + grace_ms);
    let store = match kind {
        WindowKind::Session { .. } => StoreKind::Session { retention_ms },
        _ => StoreKind::Window { retention_ms },
    };
    (Window { kind, grace_ms }, store)
}

fn suppress_until(windowed: &Windowed) -> Option<SuppressUntil> {
    let gap_ms = match windowed.window {
        oracle::WindowKind::Session { gap_ms } => gap_ms,
        _ => 0,
    };
    match windowed.emit {
        oracle::Emit::Update | oracle::Emit::Close => None,
        oracle::Emit::SuppressUntilClose => Some(SuppressUntil::WindowCloses { grace_ms: windowed.grace_ms + gap_ms }),
        oracle::Emit::SuppressFor(limit_ms) => Some(SuppressUntil::TimeLimit { limit_ms }),
    }
}

fn mapping(key: Option<Arc<dyn Mapping>>) -> NodeKind {
    NodeKind::Map(Map {
        key,
        key_format: Format::String,
        value: None,
        value_format: Format::String,
        headers: Vec::new(),
    })
}

fn text(cell: Option<&[u8]>) -> Option<String> {
    cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The value up to `:`; null of null.
#[derive(Debug)]
struct FirstPart;

impl Mapping for FirstPart {
    fn source(&self) -> &'static str {
        "value up to `:`"
    }

    fn evaluate(&self, rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        let value = text(rows.values.get(row));
        Ok(value.map_or(Datum::Null, |value| Datum::Text(value.split(':').next().unwrap_or_default().to_owned())))
    }
}

/// `key@start/end`.
#[derive(Debug)]
struct WindowedKey;

impl Mapping for WindowedKey {
    fn source(&self) -> &'static str {
        "key@start/end"
    }

    fn evaluate(&self, rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        let window = rows.windows.as_ref().map(|windows| windows[row]);
        let Some((start, end)) = window else {
            return Err(ExpressionError { code: "weir.expression", message: "the row has no window".to_owned() });
        };
        let key = text(rows.keys.get(row)).unwrap_or_default();
        Ok(Datum::Text(format!("{key}@{start}/{end}")))
    }
}

/// What there is so far, and the value.
#[derive(Debug)]
struct Concatenate;

impl Reduction for Concatenate {
    fn source(&self) -> &'static str {
        "aggregate + value"
    }

    fn reduce(&self, aggregate: &[u8], rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        let so_far = String::from_utf8_lossy(aggregate);
        // As Java writes null.
        let value = text(rows.values.get(row)).unwrap_or_else(|| "null".to_owned());
        Ok(Datum::Text(format!("{so_far}{value}")))
    }
}
