//! Joins of `left` and `right`. What comes out is `left|right`, where `null` stands for nobody.

use serde_json::{Map, Value};

use super::table::Kept;

/// A join. Both tables of those that join two keep the same.
///
/// Rekeyed: `left` gets the first part of its value for a key, up to `:`, and none if the value begins with `-` or is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka Streams' terms")]
pub enum Join {
    StreamStream {
        how: How,
        before_ms: i64,
        after_ms: i64,
        grace_ms: i64,
        rekeyed: bool,
    },
    /// Never outer. A grace needs a history that is no shorter.
    StreamTable {
        how: How,
        kept: Kept,
        grace_ms: Option<i64>,
        rekeyed: bool,
    },
    /// Never outer. The key of `right` is the first part of the value of `left`, up to `:`.
    StreamGlobal {
        how: How,
    },
    TableTable {
        how: How,
        kept: Kept,
    },
    /// Never outer. The key of `right` is the first part of the value of `left`, up to `:`; none if it begins with `-`.
    ForeignKey {
        how: How,
        kept: Kept,
        /// A row of `left` is several changes of the table one after the other, a change for each part between commas.
        split: bool,
    },
}

/// Who comes out alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "Kafka Streams' terms")]
pub enum How {
    Inner,
    Left,
    Outer,
}

impl Join {
    /// Who comes out alone.
    #[must_use]
    pub fn how(&self) -> How {
        match *self {
            Self::StreamStream { how, .. }
            | Self::StreamTable { how, .. }
            | Self::StreamGlobal { how }
            | Self::TableTable { how, .. }
            | Self::ForeignKey { how, .. } => how,
        }
    }

    /// Its name, as the oracle knows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::StreamStream { .. } => "stream-stream",
            Self::StreamTable { .. } => "stream-table",
            Self::StreamGlobal { .. } => "stream-global",
            Self::TableTable { .. } => "table-table",
            Self::ForeignKey { .. } => "foreign-key",
        }
    }

    /// Whether rows of one side reach the join by a topic of its own, and those of the other need not.
    ///
    /// Kafka Streams' driver empties such a topic before it takes the next row. Whoever takes several rows at once may well
    /// have others meet, so only answers given row by row can be compared.
    #[must_use]
    pub fn goes_through_topic(&self) -> bool {
        match self {
            Self::StreamStream { rekeyed, .. } | Self::StreamTable { rekeyed, .. } => *rekeyed,
            Self::ForeignKey { .. } => true,
            Self::StreamGlobal { .. } | Self::TableTable { .. } => false,
        }
    }

    pub(super) fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        let mut set = |name: &str, value: Value| drop(config.insert(name.to_owned(), value));
        set("op", self.name().into());
        set("how", self.how().name().into());
        match *self {
            Self::StreamGlobal { .. } => {}
            Self::StreamStream { before_ms, after_ms, grace_ms, rekeyed, .. } => {
                if rekeyed {
                    set("rekeyed", true.into());
                }
                set("before", before_ms.into());
                set("after", after_ms.into());
                set("grace", grace_ms.into());
            }
            Self::StreamTable { kept, grace_ms, rekeyed, .. } => {
                if rekeyed {
                    set("rekeyed", true.into());
                }
                if let Some(grace_ms) = grace_ms {
                    set("grace", grace_ms.into());
                }
                kept.write(&mut config);
            }
            Self::TableTable { kept, .. } => kept.write(&mut config),
            Self::ForeignKey { kept, split, .. } => {
                if split {
                    set("split", true.into());
                }
                kept.write(&mut config);
            }
        }
        config
    }
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Outer => "outer",
        }
    }
}
