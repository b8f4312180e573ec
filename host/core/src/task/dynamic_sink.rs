//! Rows sent each to the topic that an expression names.

use std::collections::BTreeMap;

use super::shown;
use crate::expression::{Datum, ExpressionError};
use crate::record::Rows;
use crate::task::step::{Poison, Step};
use crate::topology::{DynamicSink, NodeIndex, TopicIndex, Topology};

/// The most characters of a name that is no target in a message: the longest name of a topic.
const NAME_CHARS_MAX: usize = 249;

/// The most targets that a message lists.
const TARGETS_SHOWN_MAX: usize = 20;

impl Step<'_> {
    /// Writes each of `rows` to its topic.
    pub(crate) fn write_apart(&mut self, index: NodeIndex, sink: &DynamicSink, rows: &Rows) -> Result<(), Poison> {
        let topology = self.scope.topology;
        let mut chosen: BTreeMap<TopicIndex, Vec<u32>> = BTreeMap::new();
        for row in 0..rows.len() {
            match target(sink, topology, rows, row) {
                Ok(topic) => chosen.entry(topic).or_default().push(row as u32),
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        for (topic, chosen) in chosen {
            self.metrics(index).rows_out += chosen.len() as u64;
            let all = chosen.len() == rows.len();
            self.sinks.push(topic, if all { rows.clone() } else { rows.select(&chosen) });
        }
        Ok(())
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
    let yields = shown::datum(&yielded, NAME_CHARS_MAX);
    let what = if matches!(yielded, Datum::Text(_)) { format!("`{yields}`") } else { format!("{yields}, no text") };
    let message =
        format!("`{}` yields {what}: the topics of this sink are {}", sink.topic.source(), targets.join(", "));
    Err(ExpressionError { code: "weir.topic", message })
}
