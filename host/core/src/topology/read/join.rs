//! `table`, `to-table` and `join`.

use super::super::yaml::{Kind, Name, Yaml};
use super::super::{Format, Span};
use super::super::{JoinHow, Within};
use super::node::{RawKind, Repartition};
use super::reader::{DURATION_MS_MAX, Reader, field};

/// `join`, and what belongs to it beside it.
#[derive(Debug)]
pub(crate) struct RawJoin {
    /// Where it says `join`.
    pub span: Span,
    /// The node on the right side.
    pub right: Name,
    pub how: JoinHow,
    /// How near rows of two streams must be; none: the right side is a table.
    pub within: Option<RawWithin>,
    /// The value of a joined row; none: both sides.
    pub value: Option<Name>,
    pub value_format: Option<Format>,
    /// Of the left side.
    pub repartition: Option<Repartition>,
}

/// `within`, with `grace` beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawWithin {
    /// Where it says `within`.
    pub span: Span,
    /// What it says; after a mistake something that can be.
    pub times: Within,
}

/// In the place of a time that is a mistake.
const MISTAKEN_MS: i64 = 1_000;

/// Fields beside `join`.
pub(super) const OF_JOINS: [&str; 5] = ["how", "within", "grace", "value", "value-format"];

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
        let right = self.word(value, "`join`", "the name of a node")?;
        let ways = [("inner", JoinHow::Inner), ("left", JoinHow::Left), ("outer", JoinHow::Outer)];
        let how = field(fields, "how").and_then(|(_, value)| self.one_of(value, "`how`", &ways)).unwrap_or_default();
        let within = self.within(fields);
        if within.is_none() {
            self.joins_a_table(fields);
        }
        let made = field(fields, "value").and_then(|(_, value)| {
            self.word(value, "`value`", "an expression such as `'{\"order\": left, \"customer\": right}'`")
        });
        let value_format = self.format(fields, "value-format");
        let repartition = self.repartition_beside(fields);
        Some(RawKind::Join(RawJoin { span: kind.span, right, how, within, value: made, value_format, repartition }))
    }

    /// `within: 10s`, or `within: { before: 10s, after: 0s }`; `grace` stands beside it.
    fn within(&mut self, fields: &[(Name, Yaml)]) -> Option<RawWithin> {
        let (key, value) = field(fields, "within")?;
        let grace_ms = self.duration(fields, "grace", 0).map_or(0, |time| time.ms);
        let (before_ms, after_ms) = match &value.kind {
            Kind::Map(of) => {
                self.check_keys(of, "`within`", &["before", "after"], &[]);
                if of.is_empty() {
                    let help = "write `within: 10s`, or `within: { before: 10s, after: 0s }`";
                    self.diagnostics.error(value.span, "this `within` says no time", help);
                }
                let is_mistaken = field(of, "before").or(field(of, "after")).is_none();
                let mut side = |name| match field(of, name) {
                    None => {
                        if is_mistaken {
                            MISTAKEN_MS
                        } else {
                            0
                        }
                    }
                    Some(_) => self.duration(of, name, -DURATION_MS_MAX).map_or(MISTAKEN_MS, |time| time.ms),
                };
                (side("before"), side("after"))
            }
            _ => {
                let both = self.duration(fields, "within", 0).map_or(MISTAKEN_MS, |time| time.ms);
                (both, both)
            }
        };
        if before_ms + after_ms < 0 {
            let message = "no row is in reach: `before` and `after` together are less than nothing";
            let help = "one of them may be negative if the other makes up for it: `{ before: -1s, after: 5s }`";
            self.diagnostics.error(value.span, message, help);
        }
        let times = Within { before_ms, after_ms: after_ms.max(-before_ms), grace_ms };
        if times.retention_ms() == 0 && before_ms == -after_ms {
            let message = "nothing is ever joined: as in Kafka Streams a row is shown for less than `before`, `after` and \
                           `grace` together";
            self.diagnostics.warning(key.span, message, "add `grace: 1ms` to join rows of equal times");
        }
        Some(RawWithin { span: key.span, times })
    }

    /// Without `within` the right side is a table.
    fn joins_a_table(&mut self, fields: &[(Name, Yaml)]) {
        let help = "to join two streams, say how near their rows must be: `within: 10s`";
        if let Some((key, _)) = field(fields, "grace") {
            self.diagnostics.error(key.span, "`grace` of a join stands beside `within`", help);
        }
    }
}
