//! Tables, and what is made of one alone.

use serde_json::{Map, Value};

/// A table, and what is done to it; every change of the result comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "its parts")]
pub struct Table {
    pub step: TableStep,
    /// What the table that is read keeps.
    pub kept: Kept,
}

/// What is done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableStep {
    /// Nothing: it is read from its topic.
    Source,
    /// Nothing: it is made of a stream.
    ToTable,
    /// Values of an even length stay.
    Filter,
    /// A `!` after each value.
    MapValues,
    /// Grouped by the first part of the value, up to `:`.
    GroupBy(GroupFunction),
}

/// What is made of the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupFunction {
    /// The text `+value` for what comes, `-value` for what goes.
    Texts,
    /// The same with neither init nor a `+` before the first value.
    Reduce,
    /// The number of rows.
    Count,
    /// `+value` for what comes; what goes deletes the group's row.
    NoneLeft,
}

/// What a table keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka Streams' terms")]
pub enum Kept {
    /// Nothing at all: it has no store and does not know what it held. Not for a group-by nor a join.
    Nothing,
    /// The latest value to arrive.
    Latest,
    /// Versions.
    History { history_ms: i64 },
}

impl Table {
    pub(super) fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        let op = match self.step {
            TableStep::Source => "table",
            TableStep::ToTable => "to-table",
            TableStep::Filter => "table-filter",
            TableStep::MapValues => "table-map",
            TableStep::GroupBy(_) => "table-aggregate",
        };
        config.insert("op".to_owned(), op.into());
        if let TableStep::GroupBy(function) = self.step {
            config.insert("function".to_owned(), function.name().into());
        }
        self.kept.write(&mut config);
        config
    }
}

impl GroupFunction {
    fn name(self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Reduce => "reduce",
            Self::Count => "count",
            Self::NoneLeft => "none-left",
        }
    }
}

impl Kept {
    pub(super) fn write(self, config: &mut Map<String, Value>) {
        match self {
            Self::Nothing => drop(config.insert("bare".to_owned(), true.into())),
            Self::Latest => {}
            Self::History { history_ms } => drop(config.insert("history".to_owned(), history_ms.into())),
        }
    }
}
