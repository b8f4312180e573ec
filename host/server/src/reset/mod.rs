//! An application taken back to where its input is to be read from again: its positions set, and what it made of the input so
//! far thrown away.
//!
//! [`facts::look`] asks the log, [`plan`] says what is to be done, [`apply::apply`] does it. A reset that broke off is done
//! again: each of its steps may be repeated.

pub mod apply;
pub mod facts;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use weir_core::record::TopicPartition;

use crate::units;
pub use facts::Facts;

/// Where the input is to be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The first record there is.
    Earliest,
    /// What comes from now on.
    Latest,
    /// This offset, in every partition.
    Offset(i64),
    /// The first record of this time or later, in milliseconds since 1970 UTC.
    Time(i64),
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "earliest" => Ok(Self::Earliest),
            None if text == "latest" => Ok(Self::Latest),
            Some(("offset", offset)) => match offset.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err(format!("`{offset}` is no offset: write a whole number, such as offset:17")),
            },
            Some(("time", time)) => units::instant_ms(time).map(Self::Time),
            _ => Err(format!(
                "`{text}` is neither earliest, latest, offset:N nor time:T, such as time:2026-01-31T12:00:00Z"
            )),
        }
    }
}

/// What a reset does, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Each partition of the input.
    pub positions: Vec<Move>,
    /// Topics that are deleted, with the positions in them.
    pub topics: Vec<Gone>,
    /// The folder with this host's stores, which is deleted.
    pub stores: Option<PathBuf>,
}

/// A position that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What it was; none: there was none.
    pub from: Option<i64>,
    /// What it becomes.
    pub to: i64,
    /// The offset that was asked for is not in the log; this is the nearest.
    pub nearest: bool,
}

/// A topic that is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// The topic.
    pub topic: String,
    /// What it was to the application.
    pub was: String,
    /// How many it has.
    pub partitions: i32,
    /// The application has positions in it.
    #[serde(skip)]
    pub is_read: bool,
}

/// What a reset to `to` does where things are as in `facts`.
#[must_use]
pub fn plan(facts: &Facts, to: To) -> Plan {
    let positions = facts.inputs.iter().map(|input| {
        let wanted = match to {
            To::Earliest => input.begin,
            To::Latest => input.end,
            To::Offset(offset) => offset,
            To::Time(_) => input.at_time.unwrap_or(input.end),
        };
        let target = wanted.clamp(input.begin, input.end.max(input.begin));
        let TopicPartition { topic, partition } = &input.partition;
        Move {
            topic: topic.as_str().to_owned(),
            partition: *partition,
            from: input.committed,
            to: target,
            nearest: target != wanted,
        }
    });
    Plan { positions: positions.collect(), topics: facts.internal.clone(), stores: facts.stores.clone() }
}

impl Plan {
    /// For people, a line for each thing that is done.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Move { topic, partition, from, to, nearest } in &self.positions {
            let from = from.map_or("none".to_owned(), |from| from.to_string());
            let note = if *nearest { " (the nearest in the log)" } else { "" };
            text.push_str(&format!("position  {topic}/{partition}  {from} -> {to}{note}\n"));
        }
        for Gone { topic, was, partitions, .. } in &self.topics {
            text.push_str(&format!("delete    topic {topic}, {was}, {partitions} partitions\n"));
        }
        if let Some(stores) = &self.stores {
            text.push_str(&format!("delete    {}, the stores of this host\n", stores.display()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::facts::Input;
    use super::*;

    fn facts() -> Facts {
        let input = |partition, begin, end, committed, at_time| Input {
            partition: TopicPartition::new("lines", partition),
            begin,
            end,
            committed,
            at_time,
        };
        Facts {
            members: Vec::new(),
            inputs: vec![input(0, 5, 20, Some(17), Some(9)), input(1, 0, 0, None, None)],
            internal: vec![Gone {
                topic: "a-s-changelog".into(),
                was: "changelog of s".into(),
                partitions: 2,
                is_read: false,
            }],
            stores: Some("state/stores/a".into()),
            kept_noted: true,
        }
    }

    fn targets(to: To) -> Vec<(i64, bool)> {
        plan(&facts(), to).positions.iter().map(|it| (it.to, it.nearest)).collect()
    }

    #[test]
    fn every_partition_is_moved_to_where_it_was_asked_for_or_to_the_nearest_in_the_log() {
        assert_eq!(targets(To::Earliest), [(5, false), (0, false)]);
        assert_eq!(targets(To::Latest), [(20, false), (0, false)]);
        assert_eq!(targets(To::Offset(7)), [(7, false), (0, true)]);
        assert_eq!(targets(To::Offset(1)), [(5, true), (0, true)]);
        assert_eq!(targets(To::Time(1000)), [(9, false), (0, false)]);
    }

    #[test]
    fn the_plan_names_all_that_it_does() {
        assert_eq!(
            plan(&facts(), To::Earliest).text(),
            "position  lines/0  17 -> 5\nposition  lines/1  none -> 0\n\
             delete    topic a-s-changelog, changelog of s, 2 partitions\ndelete    state/stores/a, the stores of this host\n"
        );
    }

    #[test]
    fn where_to_is_a_word_an_offset_or_a_time() {
        assert_eq!("earliest".parse(), Ok(To::Earliest));
        assert_eq!("latest".parse(), Ok(To::Latest));
        assert_eq!("offset:12".parse(), Ok(To::Offset(12)));
        assert_eq!("time:1500".parse(), Ok(To::Time(1500)));
        assert_eq!("time:1970-01-01T00:00:02Z".parse(), Ok(To::Time(2000)));
        for wrong in ["", "offset:-1", "offset:x", "time:noon", "beginning", "17"] {
            assert!(wrong.parse::<To>().is_err(), "{wrong}");
        }
    }
}
