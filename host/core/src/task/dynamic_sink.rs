//! Rows sent each to the topic that an expression names.

use std::collections::BTreeMap;

use crate::expression::{Datum, ExpressionError};
use crate::record::Rows;
use crate::task::step::{Poison, Step};
use crate::topology::{DynamicSink, NodeIndex, TopicIndex, Topology};

/// The most characters of a name that is no target in a message: the longest name of a topic.
const NAME_CHARS_MAX: usize = 249;

/// The most targets that a message lists.
const TARGETS_SHOWN_MAX: usize = 20;

impl Step<'_> {
    /// The rows of each topic that `sink` writes.
    pub(crate) fn apart(
        &mut self,
        index: NodeIndex,
        sink: &DynamicSink,
        rows: &Rows,
    ) -> Result<Vec<(TopicIndex, Rows)>, Poison> {
        let topology = self.scope.topology;
        let mut chosen: BTreeMap<TopicIndex, Vec<u32>> = BTreeMap::new();
        for row in 0..rows.len() {
            match target(sink, topology, rows, row) {
                Ok(topic) => chosen.entry(topic).or_default().push(row as u32),
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        let all = |chosen: &[u32]| chosen.len() == rows.len();
        let part = |chosen: Vec<u32>| if all(&chosen) { rows.clone() } else { rows.select(&chosen) };
        Ok(chosen.into_iter().map(|(topic, chosen)| (topic, part(chosen))).collect())
    }
}

/// The topic of a row.
fn target(sink: &DynamicSink, topology: &Topology, rows: &Rows, row: usize) -> Result<TopicIndex, ExpressionError> {
    let yielded = sink.topic.evaluate(rows, row)?;
    let name = |topic: &TopicIndex| topology.topic(*topic).name.as_str();
    let found = match &yielded {
        Datum::Text(text) => sink.targets.binary_search_by(|topic| name(topic).cmp(text.as_str())).ok(),
        _ => None,
    };
    if let Some(found) = found {
        return Ok(sink.targets[found]);
    }
    let mut targets: Vec<&str> = sink.targets.iter().map(name).take(TARGETS_SHOWN_MAX).collect();
    if sink.targets.len() > TARGETS_SHOWN_MAX {
        targets.push("…");
    }
    let what = match &yielded {
        Datum::Text(text) => format!("`{}`", cut(text)),
        other => format!("{}, no text", shown(other)),
    };
    let message =
        format!("`{}` yields {what}: the topics of this sink are {}", sink.topic.source(), targets.join(", "));
    Err(ExpressionError { code: "weir.topic", message })
}

/// What is no text, for a message.
fn shown(datum: &Datum) -> String {
    match datum {
        Datum::Null => "null".to_owned(),
        Datum::Bytes(_) => "bytes".to_owned(),
        Datum::Json(_) => "a list or a map".to_owned(),
        other => other
            .encode(crate::topology::Format::Json)
            .map_or_else(String::new, |text| String::from_utf8_lossy(&text).into_owned()),
    }
}

/// A name on one line and of a length that is known.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(NAME_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}
