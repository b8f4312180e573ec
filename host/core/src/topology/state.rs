//! What a topology keeps: stores, windows, aggregates. Read `model.rs` first.

use std::fmt;
use std::sync::Arc;

use super::{Format, PluginRef, Span, TopicIndex};
use crate::expression::{Items, Joiner, Mapping, Reduction};

/// Index of a store in [`Topology::stores`](super::Topology).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreIndex(pub usize);

/// A named store, or one that a node keeps for itself (timers, suppressed rows).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Unique; names the changelog, `<app>-<name>-changelog`.
    pub name: String,
    /// What its keys are made of.
    pub kind: StoreKind,
    /// Kept in memory alone, and replayed from the changelog at each start.
    pub in_memory: bool,
    /// The topic of its own that holds each change.
    pub changelog: Option<TopicIndex>,
    /// The topic of a table that is restored from there, to where its task has read it, and needs no changelog: the user's.
    pub source: Option<TopicIndex>,
    /// The part of the topology whose tasks have it.
    pub subtopology: usize,
    /// Used by more than one node, or expiring by stream time: rows take their way through the nodes one at a time, so
    /// that no row reads what a later one wrote.
    pub row_at_a_time: bool,
    /// Where the file names it.
    pub span: Span,
}

impl Store {
    /// The topic that it is restored from; none: it is empty after any unclean stop or move.
    #[must_use]
    pub fn restored_from(&self) -> Option<TopicIndex> {
        self.changelog.or(self.source)
    }
}

/// The kinds of [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A value for each key.
    KeyValue {
        /// An entry is gone so many milliseconds of stream time after it was written.
        ttl_ms: Option<i64>,
    },
    /// A value for each key and window start.
    Window {
        /// A window is kept until stream time is so many milliseconds past its start.
        retention_ms: i64,
    },
    /// A value for each key, session start and session end.
    Session {
        /// A session is kept until stream time is so many milliseconds past its end.
        retention_ms: i64,
    },
    /// A node's timers.
    Timers,
    /// Rows that a suppress node holds back.
    Suppressed,
    /// The rows of one side of a join of streams; of a key and time as many as came.
    Joined {
        /// A row is kept until the side's latest is so many milliseconds later.
        retention_ms: i64,
    },
    /// Rows of a join of streams that have found no partner yet.
    Waiting,
}

impl StoreKind {
    /// As the file and errors call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyValue { .. } => "key-value",
            Self::Window { .. } => "window",
            Self::Session { .. } => "session",
            Self::Timers => "timers",
            Self::Suppressed => "suppressed",
            Self::Joined { .. } => "joined",
            Self::Waiting => "waiting",
        }
    }

    /// How many milliseconds after its time a row expires; none: rows stay until they are deleted, or have a time to live.
    #[must_use]
    pub fn retention_ms(self) -> Option<i64> {
        match self {
            Self::Window { retention_ms } | Self::Session { retention_ms } | Self::Joined { retention_ms } => {
                Some(retention_ms)
            }
            Self::KeyValue { .. } | Self::Timers | Self::Suppressed | Self::Waiting => None,
        }
    }

    /// Whether only the node that has it can make something of its rows.
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self, Self::Timers | Self::Suppressed | Self::Joined { .. } | Self::Waiting)
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// New keys, values and headers of rows, by expressions.
#[derive(Clone, Debug)]
pub struct Map {
    /// None: the key stays.
    pub key: Option<Arc<dyn Mapping>>,
    /// What a new key is written as.
    pub key_format: Format,
    /// None: the value stays.
    pub value: Option<Arc<dyn Mapping>>,
    /// What a new value is written as.
    pub value_format: Format,
    /// Headers that are written in the place of all of their names; none: they are removed. Others stay.
    pub headers: Vec<(String, Option<Arc<dyn Mapping>>)>,
}

/// A row for each item of a list.
#[derive(Clone, Debug)]
pub struct FlatMap {
    /// The list, and the key and value of each item.
    pub items: Arc<Items>,
    /// What a new key is written as.
    pub key_format: Format,
    /// What a value is written as.
    pub value_format: Format,
}

/// Rows sent each to a topic of its own.
#[derive(Clone, Debug)]
pub struct DynamicSink {
    /// Yields the name of one of the targets.
    pub topic: Arc<dyn Mapping>,
    /// The topics that it may name, in the order of their names.
    pub targets: Vec<TopicIndex>,
}

/// Rows of a key, folded into one value for each key and window.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Where accumulators are kept.
    pub store: StoreIndex,
    /// What is made of the rows.
    pub function: Function,
    /// None: one accumulator for each key, for ever.
    pub window: Option<Window>,
    /// When results leave.
    pub emit: Emit,
    /// What results are written as; a reduction's `aggregate` has it too.
    pub value_format: Format,
}

/// Rows of a stream, each joined with the row that a table has for its key at that moment.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where the table is kept.
    pub table: StoreIndex,
    /// What becomes of a row that finds nothing.
    pub how: JoinHow,
    /// What is made of both.
    pub value: Joined,
    /// A row that comes to both sides is in the table before it is looked up.
    pub right_first: bool,
}

/// Two tables of the same keys.
#[derive(Clone, Debug)]
pub struct TableJoin {
    /// Where the left side is kept.
    pub left: StoreIndex,
    /// Where the right side is kept.
    pub right: StoreIndex,
    /// Which rows the joined table has.
    pub how: JoinHow,
    /// What is made of both.
    pub value: Joined,
    /// Of a row that changes both sides: its right change sees its left one.
    pub sees_left: bool,
    /// Its left change sees its right one. Both where both sides are one table.
    pub sees_right: bool,
}

/// Rows of two streams, each joined with those of the other side that have its key and are near in time.
#[derive(Clone, Debug)]
pub struct StreamJoin {
    /// Where the rows of the left side are kept.
    pub left: StoreIndex,
    /// Where those of the right side are.
    pub right: StoreIndex,
    /// Where rows that have found none wait; none: nobody wants them.
    pub waiting: Option<StoreIndex>,
    /// What becomes of a row that finds none.
    pub how: JoinHow,
    /// Which rows are near.
    pub within: Within,
    /// What is made of both.
    pub value: Joined,
    /// A row that comes to both sides comes to the right side first.
    pub right_first: bool,
}

/// How near two rows must be to be joined, as Kafka Streams' `JoinWindows`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// How much earlier than the left row the right one may be. Negative: it must be later by so much.
    pub before_ms: i64,
    /// How much later it may be; never less than `-before_ms`.
    pub after_ms: i64,
    /// How much longer rows are kept, and wait.
    pub grace_ms: i64,
}

impl Within {
    /// How long a side keeps its rows.
    #[must_use]
    pub fn retention_ms(self) -> i64 {
        self.before_ms + self.after_ms + self.grace_ms
    }
}

/// The last value of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where it is kept.
    pub store: StoreIndex,
    /// Its changes carry the value before, which has to be looked up: a join or a filter of it asks for that.
    pub olds: bool,
    /// It is all that the topic of its source holds.
    pub of_topic: bool,
}

/// Which rows leave a join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinHow {
    /// Those that have found a row.
    #[default]
    Inner,
    /// All of the left side: one that has found nothing is joined with null.
    Left,
    /// All of both sides: of two streams, or of two tables.
    Outer,
}

/// The value of a joined row.
#[derive(Clone, Debug)]
pub enum Joined {
    /// What an expression makes of `left` and `right`.
    Expression {
        /// The expression.
        joiner: Arc<dyn Joiner>,
        /// What the value is written as.
        format: Format,
    },
    /// A JSON object of both, `{"left": …, "right": …}`: JSON as it is, texts as strings.
    Both {
        /// What the left value is.
        left: Format,
        /// What the right value is.
        right: Format,
    },
}

/// Output of an aggregate that carries its results.
pub const PORT_RESULTS: u32 = 0;
/// Output of an aggregate that carries rows that came after their window had closed, as they came.
pub const PORT_LATE: u32 = 1;

/// What an aggregate makes of its rows.
#[derive(Clone, Debug)]
pub enum Function {
    /// Built in; the value is that of the one function as text.
    One(Builtin),
    /// Several built-in functions: the value is a JSON object of their names.
    Object(Vec<(String, Builtin)>),
    /// An `aggregator` plugin.
    Plugin(PluginRef),
}

/// A built-in function.
#[derive(Clone, Debug)]
pub enum Builtin {
    /// The number of rows.
    Count,
    /// The sum of a number: whole as long as all are and it fits, else floating.
    Sum(Arc<dyn Mapping>),
    /// The least, of numbers or of strings.
    Min(Arc<dyn Mapping>),
    /// The greatest, of numbers or of strings.
    Max(Arc<dyn Mapping>),
    /// The arithmetic mean of a number.
    Avg(Arc<dyn Mapping>),
    /// Of the row that was taken first.
    First(Arc<dyn Mapping>),
    /// Of the row that was taken last.
    Last(Arc<dyn Mapping>),
    /// Of `aggregate`, what there is so far, and `value`; the first row's value as it is.
    Reduce(Arc<dyn Reduction>),
}

/// Windows over event time, in milliseconds. Starts are aligned to 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which windows a row belongs to.
    pub kind: WindowKind,
    /// How long after its end a window takes rows.
    pub grace_ms: i64,
}

/// The kinds of [`Window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// From `k * advance` for `size`; tumbling where both are the same.
    Hopping {
        /// At least 1.
        size_ms: i64,
        /// From 1 to `size_ms`.
        advance_ms: i64,
    },
    /// Rows that are at most `difference` apart, both ends included; as Kafka Streams' `SlidingWindows`.
    Sliding {
        /// At least 0.
        difference_ms: i64,
    },
    /// Rows that are at most `gap` apart from the next; windows grow and merge.
    Session {
        /// At least 0.
        gap_ms: i64,
    },
}

/// When an aggregate's results leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// A result for each row: Kafka Streams' with its cache switched off.
    Update,
    /// At each commit the last result of each key and window that changed: what Kafka Streams' cache is for.
    #[default]
    Commit,
    /// One result for each window, once it takes no more rows.
    Close,
}

/// Rows held back; the last of each key and window leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppress {
    /// Where rows wait.
    pub store: StoreIndex,
    /// Until when.
    pub until: SuppressUntil,
    /// The most rows that wait.
    pub rows_max: u64,
    /// The most bytes that wait.
    pub bytes_max: u64,
    /// What happens when more would have to wait.
    pub when_full: WhenFull,
}

/// When a suppressed row leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuppressUntil {
    /// Once its window takes no more rows: end and grace are past, by the highest timestamp that the node has seen.
    WindowCloses {
        /// How long after its end a window takes rows: the grace of the aggregate that it reads, with the gap of sessions.
        grace_ms: i64,
    },
    /// So many milliseconds of event time after the first row of its key.
    TimeLimit {
        /// At least 0.
        limit_ms: i64,
    },
}

/// What a full [`Suppress`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The task stops as FAILED: nothing that was promised to be held back leaves early.
    #[default]
    Fail,
    /// The oldest leave early. Only with a time limit.
    EmitEarly,
}

/// A duration as the file writes it, in the largest unit that is whole.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(unit, _)| ms > 0 && ms % unit == 0);
    unit.map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}
