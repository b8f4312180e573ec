//! `table`, `to-table` and `join`.

use super::super::JoinHow;
use super::super::yaml::{Kind, Name, Yaml};
use super::super::{Format, Span};
use super::node::{RawKind, Repartition};
use super::reader::{Reader, field};

/// `join`, and what belongs to it beside it.
#[derive(Debug)]
pub(crate) struct RawJoin {
    /// Where it says `join`.
    pub span: Span,
    /// The node on the right side.
    pub right: Name,
    pub how: JoinHow,
    /// The value of a joined row; none: both sides.
    pub value: Option<Name>,
    pub value_format: Option<Format>,
    /// Of the left side.
    pub repartition: Option<Repartition>,
}

/// Fields beside `join`.
pub(super) const OF_JOINS: [&str; 3] = ["how", "value", "value-format"];

impl Reader<'_> {
    pub(super) fn table(&mut self, value: &Yaml, fields: &[(Name, Yaml)]) -> Option<RawKind> {
        let (topic, timestamp) = match &value.kind {
            Kind::Map(of) => {
                self.check_keys(of, "`table`", &["topic", "timestamp"], &[]);
                let timestamp = field(of, "timestamp").and_then(|(key, value)| self.timestamp(key, value));
                let Some((_, topic)) = field(of, "topic") else {
                    self.diagnostics.error(value.span, "this table has no topic", "add `topic: TOPIC`");
                    return None;
                };
                (topic, timestamp)
            }
            _ => (value, None),
        };
        let topic = self.word(topic, "`table`", "a topic")?;
        let store = field(fields, "store").and_then(|(_, store)| self.word(store, "`store`", "the name of a store"));
        Some(RawKind::Table { topic, timestamp, store })
    }

    pub(super) fn join(&mut self, kind: &Name, value: &Yaml, fields: &[(Name, Yaml)]) -> Option<RawKind> {
        let right = self.word(value, "`join`", "the name of a node that is a table")?;
        let ways = [("inner", JoinHow::Inner), ("left", JoinHow::Left), ("outer", JoinHow::Outer)];
        let how = field(fields, "how").and_then(|(_, value)| self.one_of(value, "`how`", &ways)).unwrap_or_default();
        let made = field(fields, "value").and_then(|(_, value)| {
            self.word(value, "`value`", "an expression such as `'{\"order\": left, \"customer\": right}'`")
        });
        let value_format = self.format(fields, "value-format");
        let repartition = self.repartition_beside(fields);
        Some(RawKind::Join(RawJoin { span: kind.span, right, how, value: made, value_format, repartition }))
    }
}
