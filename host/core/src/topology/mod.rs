//! The topology: what a file says, checked, as the engine runs it.
//!
//! Start at [`parse`]: `yaml.rs` makes a tree with places, `read/` topics, stores and nodes of it, `resolve/` looks up names.
//! Each notes its mistakes and goes on, so that all are shown at once. The model is in `model.rs` and `state.rs`.
//!
//! ```yaml
//! application: stocks
//! topics:                                     # formats are bytes unless it says string or json
//!   trades: { key: string, value: json, partitions: 4 }
//!   stats:  { key: string, value: json }
//!   companies: { key: string, value: json, partitions: 4 }
//! stores:                                     # in: rocksdb (default) or memory; changelog: true unless it says false
//!   seen:   { kind: key-value, ttl: 1h }      # or window, session: with retention
//! nodes:
//!   trades:  { source: { topic: trades, timestamp: value.time } }     # or a topic, or a list of topics
//!   large:   { from: trades, filter: value.size >= 100 }
//!   sides:   { from: large, branch: { buy: value.side == "B", other: default } }
//!   checked: { from: sides.buy, process: { plugin: check.wasm, config: { limit: 3 }, stores: [seen], timers: true }, on-error: skip }
//!   prices:  { from: checked, map: { key: value.ticker, value: '{"price": value.price}' } }   # or key-by: value.ticker
//!   marked:  { from: sides.other, map: { headers: { side: value.side, secret: null } } }   # others stay
//!   others:  { from: marked, sink: stats }
//!   apart:   { from: sides.other, sink: { topic: '"stats"', of: [stats] } }   # of: topics that it may name
//!   seen:    { from: checked, peek: true }                            # to the log; or an expression
//!   lines:   { from: seen, flat-map: { each: value.lines, key: item.sku, value: item } }   # or flat-map: value.lines
//!   skus:    { from: lines, sink: stats }
//!   grouped: { from: prices, repartition: by-ticker }                 # or { name: by-ticker, partitions: 4 }
//!   stats:   { from: grouped, window: { hopping: 5s, advance: 1s, grace: 2s }, emit: update,
//!              aggregate: { trades: count, low: { min: value.price }, average: { avg: value.price } } }
//!   total:   { from: prices, aggregate: { sum: value.price }, repartition: totals }   # inserted only where it is needed
//!   held:    { from: stats, suppress: { until: close, rows-max: 100000, bytes-max: 64MB } }
//!   named:   { from: held, map: { value: '{"start": window.start, "stats": value}' } }
//!   names:   { table: companies }                                     # or { from: NODE, to-table: STORE }
//!   told:    { from: named, join: names, how: left, value: '{"stats": left, "name": right}' }
//!   near:    { from: trades, join: large, within: { before: 1s, after: 0s }, grace: 2s, how: left, value: '{"all": left, "large": right}' }
//!   out:     { from: [told, near], sink: stats }
//!   late:    { from: stats.late, sink: stats }
//! ```
//! - A source's `timestamp` is an expression or `{ plugin: …, config: … }`; without one a row keeps its record's own.
//! - What comes out of a plugin has the formats of what went in, unless `process` gives `key:` or `value:`, and their
//!   windows unless it has timers. `stores:` is a list, or a map from the plugin's names.
//! - A mapped key is text and a mapped value JSON, or what the topic takes that they go straight to; `key-format:` and
//!   `value-format:` say otherwise. So it is with a `flat-map`, whose key and value are made of each `item` of its list.
//! - A header is written in the place of all of its name, `null` removes it; text and bytes are themselves, the rest JSON.
//! - A sink whose topic is an expression writes to declared topics alone: those of `of:`, else all that no node reads.
//! - `aggregate` is `count`, one of `sum min max avg first last reduce` of an expression, `{ plugin: …, config: … }`, or
//!   an object of such functions. Its results are JSON; those of `reduce` have the format of the values, those of a plugin
//!   are bytes unless it says `value:`.
//! - Its store is named like the node unless it names one, and keeps rows as long as they are needed: window and grace.
//! - Windows: `tumbling`, `hopping` with `advance`, `sliding`, `session`; `grace` is 0 unless it says more. Results leave
//!   `emit: update`, `commit` (the default: the last of each key and commit) or `close`.
//! - Rows whose keys changed do not reach an aggregate without a `repartition`. A topic carries no windows: map them into
//!   the value before.
//! - `join` with `within` joins two streams: rows of one key, the right one at most `before` earlier and `after` later than
//!   the left one; `within: 1s` is both. It keeps the rows of each side so long, and `grace` more. `how` is `inner`, `left`
//!   or `outer`, where `left` or `right` may be null in the `value`; without `value` it is a JSON object of both.
//! - `suppress` holds results back `until: close` or for a time, in memory and with a changelog: at most 1,000,000 rows and
//!   64 MB unless it says so. `when-full: fail` stops the task; with a time `emit-early` lets the oldest go.
//! - Rows of a table are changes. What reads a table by `filter`, by `map` without a key, or by a `join` with a table is a
//!   table; each that another table or a join looks up is kept, in a store of its name or `NAME-table`.
//! - A join has rows of equal keys in one task: topics with as many partitions, and a `repartition` where keys changed.
//! - Nodes that share a store are run by the same tasks, one row at a time; a table and the joins that read it are not held
//!   to that.

mod diagnostics;
mod link;
mod model;
mod read;
mod resolve;
mod state;
mod yaml;

pub use diagnostics::{Diagnostic, Diagnostics, Severity, Span};
pub use model::{
    Branch, Edge, ErrorPolicy, EventTime, Format, Input, Internal, Node, NodeIndex, NodeKind, NodeName, PluginRef,
    Source, SubTopology, Topic, TopicIndex, Topology,
};
pub use state::{
    Aggregate, Builtin, DynamicSink, Emit, FlatMap, Function, Join, JoinHow, Joined, Map, PORT_LATE, PORT_RESULTS,
    Store, StoreIndex, StoreKind, StreamJoin, Suppress, SuppressUntil, Table, TableJoin, WhenFull, Window, WindowKind,
    Within, duration_text,
};

/// The topology in `text`, which is shown as `file_name` where something is wrong.
///
/// # Errors
/// [`Diagnostics`]: all that is wrong, and what is merely odd.
pub fn parse(file_name: &str, text: &str) -> Result<Topology, Diagnostics> {
    match check(file_name, text) {
        (Some(topology), _) => Ok(topology),
        (None, diagnostics) => Err(diagnostics),
    }
}

/// [`parse`] for who wants the warnings of a good file too: the topology is there if there is no error.
#[must_use]
pub fn check(file_name: &str, text: &str) -> (Option<Topology>, Diagnostics) {
    let mut diagnostics = Diagnostics::new(file_name, text);
    let topology = yaml::parse(text, &mut diagnostics).map(|root| {
        let file = read::read(&root, &mut diagnostics);
        resolve::resolve(file, text, &mut diagnostics)
    });
    (topology.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// "did you mean …?" for the name nearest to `name`; none where nothing is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    let (distance, known) = near;
    (distance <= (name.chars().count() / 3).max(1)).then(|| format!("did you mean `{known}`?"))
}
