//! A case: what is done, and the rows that it is done to.

use std::collections::VecDeque;
use std::fmt;

use serde_json::{Map, Value, json};

use super::join::Join;
use super::table::Table;

/// An operation and its input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "its parts")]
pub struct Case {
    pub operation: Operation,
    pub inputs: Vec<Input>,
}

/// What is done to the input topic `left`, or to `left` and `right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// For each key the text `value;` of all its rows.
    Aggregate,
    /// For each key the values of all its rows, one after the other.
    Reduce,
    /// The number of rows for each first part of the value, up to `:`.
    RekeyCount,
    /// One of the above, for each key and window.
    Windowed(Windowed),
    /// For each key the values of all its rows of both topics, each after an `L` or an `R`.
    Cogroup,
    /// A table of `left`.
    Table(Table),
    /// `left` meets `right`.
    Join(Join),
}

/// A windowed aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka Streams' terms")]
pub struct Windowed {
    pub function: Function,
    pub window: WindowKind,
    pub grace_ms: i64,
    /// None: the default of Kafka Streams.
    pub retention_ms: Option<i64>,
    pub emit: Emit,
}

/// What is made of a window's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// As [`Operation::Aggregate`].
    Texts,
    /// As [`Operation::Reduce`].
    Reduce,
    /// The number of rows.
    Count,
}

/// The windows that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka Streams' terms")]
pub enum WindowKind {
    Tumbling { size_ms: i64 },
    Hopping { size_ms: i64, advance_ms: i64 },
    Sliding { difference_ms: i64 },
    Session { gap_ms: i64 },
}

/// When results leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// With each row.
    Update,
    /// Once the window has closed.
    Close,
    /// With each row, then held back by a suppress node until the window has closed.
    SuppressUntilClose,
    /// With each row, then held back by a suppress node for so many milliseconds.
    SuppressFor(i64),
}

/// What a case puts in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a record's fields")]
pub enum Input {
    Row {
        side: Side,
        key: Option<String>,
        value: Option<String>,
        at: i64,
    },
    /// The wall clock moves on by so many milliseconds.
    Advance(i64),
}

/// An input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "their names")]
pub enum Side {
    Left,
    Right,
}

/// A record that comes out. A windowed key is `key@start/end`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a record's fields")]
pub struct Record {
    pub key: Option<String>,
    pub value: Option<String>,
    pub at: i64,
}

/// All that comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// In order.
    pub records: Vec<Record>,
    /// Kafka Streams itself failed there: the records are those up to the row that it failed at.
    pub fails: Option<String>,
}

impl Case {
    /// As the oracle reads it.
    #[must_use]
    pub fn question(&self) -> String {
        let mut text = format!("{}\n", self.operation.config());
        for input in &self.inputs {
            let line = match input {
                Input::Row { side, key, value, at } => {
                    json!({ "topic": side.topic(), "key": key, "value": value, "ts": at })
                }
                Input::Advance(ms) => json!({ "advance": ms }),
            };
            text.push_str(&format!("{line}\n"));
        }
        text.push('\n');
        text
    }

    /// The same rows as a task takes them that has them all: of the two topics that whose next row is earlier, `left` if
    /// neither is. An advance of the clock stays behind the row that it followed.
    ///
    /// Kafka Streams' driver takes rows one by one as they come. Whoever takes several at once agrees with it on this order.
    #[must_use]
    pub fn in_task_order(self) -> Self {
        let (mut left, mut right) = (VecDeque::new(), VecDeque::new());
        let count = self.inputs.len();
        let mut place = (Side::Left, i64::MIN);
        for input in self.inputs {
            if let Input::Row { side, at, .. } = input {
                place = (side, at);
            }
            let queue = if place.0 == Side::Left { &mut left } else { &mut right };
            queue.push_back((place.1, input));
        }
        let mut inputs = Vec::with_capacity(count);
        for _ in 0..count {
            let is_right = match (left.front(), right.front()) {
                (Some((left, _)), Some((right, _))) => right < left,
                (left, _) => left.is_none(),
            };
            inputs.extend(if is_right { right.pop_front() } else { left.pop_front() }.map(|(_, input)| input));
        }
        Self { operation: self.operation, inputs }
    }
}

impl Operation {
    fn config(&self) -> Value {
        match self {
            Self::Aggregate => json!({ "op": "aggregate" }),
            Self::Reduce => json!({ "op": "reduce" }),
            Self::RekeyCount => json!({ "op": "rekey-count" }),
            Self::Windowed(windowed) => Value::Object(windowed.config()),
            Self::Cogroup => json!({ "op": "cogroup" }),
            Self::Table(table) => Value::Object(table.config()),
            Self::Join(join) => Value::Object(join.config()),
        }
    }
}

impl Side {
    /// The name of its topic.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

impl Windowed {
    fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        let mut set = |name: &str, value: Value| config.insert(name.to_owned(), value);
        set("op", "aggregate".into());
        match self.function {
            Function::Texts => {}
            Function::Reduce => drop(set("function", "reduce".into())),
            Function::Count => drop(set("function", "count".into())),
        }
        match self.window {
            WindowKind::Tumbling { size_ms } => {
                set("window", "tumbling".into());
                set("size", size_ms.into());
            }
            WindowKind::Hopping { size_ms, advance_ms } => {
                set("window", "hopping".into());
                set("size", size_ms.into());
                set("advance", advance_ms.into());
            }
            WindowKind::Sliding { difference_ms } => {
                set("window", "sliding".into());
                set("size", difference_ms.into());
            }
            WindowKind::Session { gap_ms } => {
                set("window", "session".into());
                set("gap", gap_ms.into());
            }
        }
        set("grace", self.grace_ms.into());
        if let Some(retention_ms) = self.retention_ms {
            set("retention", retention_ms.into());
        }
        match self.emit {
            Emit::Update => {}
            Emit::Close => drop(set("emit", "close".into())),
            Emit::SuppressUntilClose => drop(set("suppress", "close".into())),
            Emit::SuppressFor(limit_ms) => drop(set("suppress", limit_ms.into())),
        }
        config
    }
}

/// As a person reads it in a failure; the lines can be given to the oracle by hand.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.question().trim_end())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
        write!(f, "{} = {} @ {}", show(&self.key), show(&self.value), self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::generate;

    fn row(side: Side, at: i64) -> Input {
        Input::Row { side, key: None, value: None, at }
    }

    #[test]
    fn a_task_takes_the_earlier_of_two_rows_and_none_before_one_that_was_written_before_it() {
        use Side::{Left, Right};
        let inputs = vec![row(Left, 7), Input::Advance(1), row(Left, 2), row(Right, 7), row(Right, 5), row(Right, 9)];
        let taken = Case { operation: Operation::Cogroup, inputs }.in_task_order();
        let expected = [row(Left, 7), Input::Advance(1), row(Left, 2), row(Right, 7), row(Right, 5), row(Right, 9)];
        assert_eq!(taken.inputs, expected);
        let inputs = vec![row(Left, 7), row(Left, 2), row(Right, 6), row(Right, 8), row(Right, 1)];
        let taken = Case { operation: Operation::Cogroup, inputs }.in_task_order();
        assert_eq!(taken.inputs, [row(Right, 6), row(Left, 7), row(Left, 2), row(Right, 8), row(Right, 1)]);
    }

    #[test]
    fn rows_in_a_tasks_order_stay_in_it_and_those_of_one_side_always_were() {
        for case in (0..200).map(generate::joins) {
            let of = |case: &Case, of: Side| -> Vec<Input> {
                let is_of = |input: &&Input| matches!(input, Input::Row { side, .. } if *side == of);
                case.inputs.iter().filter(is_of).cloned().collect()
            };
            let taken = case.clone().in_task_order();
            assert_eq!(taken.clone().in_task_order(), taken);
            assert_eq!(
                (of(&taken, Side::Left), of(&taken, Side::Right)),
                (of(&case, Side::Left), of(&case, Side::Right))
            );
        }
        for case in (0..200).map(generate::aggregates) {
            assert_eq!(case.clone().in_task_order(), case);
        }
    }
}
