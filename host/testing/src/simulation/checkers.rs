//! The laws, each a component that sees what was committed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use weir_core::ports::Digest;
use weir_core::record::{TopicName, TopicPartition};
use weir_core::topology::NodeName;

use super::oracle;
use super::state::StateChecker;
use super::topologies::{APPLICATION, COUNTS, DEPLOYMENTS, Generated};
use crate::broker::{Committed, SimBroker, StoredRow};

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: &'static str,
    /// Where and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.what)
    }
}

/// What was committed, wherever it lies.
pub trait History {
    /// All committed rows of a partition, with their offsets.
    fn committed_rows(&self, at: &TopicPartition) -> Vec<(i64, StoredRow)>;

    /// The offset of the last of them.
    fn last_row(&self, at: &TopicPartition) -> Option<i64> {
        self.committed_rows(at).last().map(|(offset, _)| *offset)
    }

    /// The offset before which the application has committed to have taken every row of an input.
    fn position(&self, at: &TopicPartition) -> i64;

    /// The rows of an input that were taken.
    fn taken_rows(&self, at: &TopicPartition) -> Vec<(i64, StoredRow)> {
        let position = self.position(at);
        self.committed_rows(at).into_iter().filter(|(offset, _)| *offset < position).collect()
    }
}

impl History for SimBroker {
    fn committed_rows(&self, at: &TopicPartition) -> Vec<(i64, StoredRow)> {
        SimBroker::committed_rows(self, at)
    }

    fn last_row(&self, at: &TopicPartition) -> Option<i64> {
        self.last_committed_row(at)
    }

    fn position(&self, at: &TopicPartition) -> i64 {
        self.committed_position(APPLICATION, at).map_or(0, |position| position.offset)
    }
}

pub(super) fn broken<T>(law: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { law, what })
}

/// Is told of every transaction when it is committed, and asked for its verdict at the end.
pub(super) trait Checker {
    fn on_committed(&mut self, _committed: &Committed, _broker: &SimBroker) -> Result<(), Violation> {
        Ok(())
    }

    fn at_end(&mut self, _history: &dyn History) -> Result<(), Violation> {
        Ok(())
    }
}

/// Every checker.
pub(super) fn all(generated: &Generated) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(PositionChecker),
        Box::new(WindowChecker { generated: generated.clone() }),
        Box::new(DrainChecker { generated: generated.clone() }),
        Box::new(OutputChecker { generated: generated.clone() }),
        Box::new(StateChecker { generated: generated.clone() }),
    ]
}

/// Holds all that a history shows against all that was taken in it: outputs and state are those of the rows before the
/// committed positions, no more and no less. Holds at any time, between any two transactions.
///
/// # Errors
/// The [`Violation`] that was found first.
pub fn judge(generated: &Generated, history: &dyn History) -> Result<(), Violation> {
    OutputChecker { generated: generated.clone() }.at_end(history)?;
    StateChecker { generated: generated.clone() }.at_end(history)
}

/// Committed positions never go back, and never past what can be read.
struct PositionChecker;

impl Checker for PositionChecker {
    fn on_committed(&mut self, committed: &Committed, _broker: &SimBroker) -> Result<(), Violation> {
        for (partition, before, after) in &committed.positions {
            if after < before {
                let by = &committed.producer;
                return broken("positions never go back", format!("{partition} from {before} to {after} by {by}"));
            }
        }
        Ok(())
    }
}

/// A transaction's rows come from the input between the positions that it moved, and from nowhere else.
struct WindowChecker {
    generated: Generated,
}

impl Checker for WindowChecker {
    fn on_committed(&mut self, committed: &Committed, broker: &SimBroker) -> Result<(), Violation> {
        let topology = &self.generated.topology;
        let direct = &topology.subtopologies[0];
        for (at, offset) in &committed.rows {
            if at.topic.as_str() == DEPLOYMENTS || !writes(&self.generated, 0, &at.topic) {
                continue;
            }
            let Some(source) = broker.row(at, *offset).and_then(|row| source_of(&row)) else { continue };
            debug_assert!(direct.topics.iter().any(|&topic| topology.topic(topic).name == source.0.topic));
            let window = committed.positions.iter().find(|(partition, _, _)| *partition == source.0);
            if !window.is_some_and(|(_, before, after)| (*before..*after).contains(&source.1)) {
                let (partition, input) = source;
                let moved = window.map(|(_, before, after)| (before, after));
                let by = &committed.producer;
                return broken(
                    "a transaction holds the outputs of what its positions pass",
                    format!("{at}@{offset} comes from {partition}@{input}, but {by} moved it {moved:?}"),
                );
            }
        }
        Ok(())
    }
}

/// Whether `part` writes what the oracle foretells row by row to `topic`.
fn writes(generated: &Generated, part: usize, topic: &TopicName) -> bool {
    if topic.as_str().starts_with(COUNTS) {
        return false;
    }
    let topology = &generated.topology;
    topology.subtopologies[part].nodes.iter().any(|&node| {
        matches!(&topology.node(node).kind, weir_core::topology::NodeKind::Sink(to) if topology.topic(*to).name == *topic)
    })
}

/// Where an input row comes to lie, as its value says.
fn source_of(row: &StoredRow) -> Option<(TopicPartition, i64)> {
    let text = std::str::from_utf8(row.value.as_deref()?).ok()?;
    let mut parts = text.split('|').next()?.split('/');
    let topic = parts.next()?;
    let partition = parts.next()?.parse().ok()?;
    Some((TopicPartition::new(topic, partition), parts.next()?.parse().ok()?))
}

/// Every row of every input was taken in the end.
struct DrainChecker {
    generated: Generated,
}

impl Checker for DrainChecker {
    fn at_end(&mut self, history: &dyn History) -> Result<(), Violation> {
        match undrained(&self.generated, history) {
            None => Ok(()),
            Some((at, last)) => {
                let position = history.position(&at);
                broken("every row is taken in the end", format!("{at} ends at {last}, committed is {position}"))
            }
        }
    }
}

/// An input partition with rows that no committed position has passed, and its last row.
#[must_use]
pub fn undrained(generated: &Generated, history: &dyn History) -> Option<(TopicPartition, i64)> {
    generated.topology.source_topics().find_map(|topic| {
        (0..generated.partitions[topic]).find_map(|partition| {
            let at = TopicPartition::new(topic, partition);
            let last = history.last_row(&at)?;
            (history.position(&at) <= last).then_some((at, last))
        })
    })
}

/// The outputs are those of the oracle, each once, in order, from the version that the deployments say was live there.
struct OutputChecker {
    generated: Generated,
}

/// From which offset of an input partition on a node runs a version, in the order in which it was recorded.
pub(super) type Swaps = BTreeMap<(NodeName, TopicPartition), Vec<(i64, Digest)>>;

pub(super) fn swaps(history: &dyn History) -> Swaps {
    let mut swaps = Swaps::new();
    for (_, row) in history.committed_rows(&TopicPartition::new(DEPLOYMENTS, 0)) {
        let Ok(swap) = serde_json::from_slice::<serde_json::Value>(row.value.as_deref().unwrap_or_default()) else {
            continue;
        };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        for position in swap["positions"].as_array().into_iter().flatten() {
            let partition = position["partition"].as_i64().unwrap_or(-1) as i32;
            let at = TopicPartition::new(text(&position["topic"]).as_str(), partition);
            let key = (NodeName::from(text(&swap["node"]).as_str()), at);
            let from = position["offset"].as_i64().unwrap_or(-1);
            swaps.entry(key).or_default().push((from, Digest::from(text(&swap["to"]).as_str())));
        }
    }
    swaps
}

/// The version of `node` that was live at a row of an input partition.
pub(super) fn version_at(swaps: &Swaps, node: &NodeName, from: &TopicPartition, offset: i64) -> Option<Digest> {
    let of = swaps.get(&(node.clone(), from.clone()))?;
    of.iter().rev().find(|(first, _)| *first <= offset).map(|(_, version)| version.clone())
}

/// What is expected at one output partition, by its row: who caused it, in order.
type Wanted = BTreeMap<TopicPartition, BTreeMap<Row, VecDeque<(TopicPartition, usize)>>>;

/// A row so that rows can be told apart and sorted.
type Row = (Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn comparable(row: &StoredRow) -> Row {
    (row.value.clone(), row.key.clone(), row.timestamp, row.headers.clone())
}

fn show(row: &Row) -> String {
    let text = |cell: &Option<Vec<u8>>| String::from_utf8_lossy(cell.as_deref().unwrap_or(b"null")).into_owned();
    format!("{}={} @{}", text(&row.1), text(&row.0), row.2)
}

impl OutputChecker {
    fn wanted(&self, part: usize, history: &dyn History, swaps: &Swaps) -> Result<Wanted, Violation> {
        let topology = &self.generated.topology;
        let mut wanted = Wanted::new();
        for &topic in &topology.subtopologies[part].topics {
            let topic = &topology.topic(topic).name;
            for partition in 0..self.generated.partitions[topic] {
                let from = TopicPartition::new(topic, partition);
                for (offset, row) in history.taken_rows(&from) {
                    let version = |node: &NodeName| version_at(swaps, node, &from, offset);
                    let outputs = oracle::outputs(&self.generated, part, &from, offset, &row, &version);
                    let Ok(outputs) = outputs else {
                        return broken(
                            "a poison row stops its task",
                            format!("{from}@{offset} was passed: {outputs:?}"),
                        );
                    };
                    for output in outputs {
                        let to = TopicPartition::new(&output.topic, output.partition);
                        let causes = wanted.entry(to).or_default().entry(comparable(&output.row)).or_default();
                        causes.push_back((from.clone(), offset as usize));
                    }
                }
            }
        }
        Ok(wanted)
    }

    fn compare(
        at: &TopicPartition,
        mut wanted: BTreeMap<Row, VecDeque<(TopicPartition, usize)>>,
        history: &dyn History,
    ) -> Result<(), Violation> {
        // Twins: equal rows of different input partitions. Which came of which cannot be told, nor which is to be first.
        let mixed = |causes: &VecDeque<(TopicPartition, usize)>| causes.iter().any(|(from, _)| *from != causes[0].0);
        let twins: Vec<Row> = wanted.iter().filter(|(_, causes)| mixed(causes)).map(|(row, _)| row.clone()).collect();
        let mut last: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for (offset, row) in history.committed_rows(at) {
            let row = comparable(&row);
            let Some((from, cause)) = wanted.get_mut(&row).and_then(VecDeque::pop_front) else {
                let what = format!("{at}@{offset} is one too many, or not what it should be: {}", show(&row));
                return broken("every output once", what);
            };
            if twins.contains(&row) {
                continue;
            }
            let before = last.insert(from.clone(), cause).unwrap_or(0);
            if cause < before {
                let what = format!("{at}@{offset}: of {from}, {cause} comes after {before}: {}", show(&row));
                return broken("outputs keep the order of their input", what);
            }
        }
        match wanted.iter().find(|(_, causes)| !causes.is_empty()) {
            None => Ok(()),
            Some((row, causes)) => broken("no output is lost", format!("{at} lacks {} of {:?}", show(row), causes[0])),
        }
    }
}

impl Checker for OutputChecker {
    fn at_end(&mut self, history: &dyn History) -> Result<(), Violation> {
        let swaps = swaps(history);
        for part in 0..self.generated.topology.subtopologies.len() {
            let mut wanted = self.wanted(part, history, &swaps)?;
            for (topic, partitions) in &self.generated.partitions {
                if !writes(&self.generated, part, topic) {
                    continue;
                }
                for partition in 0..*partitions {
                    let at = TopicPartition::new(topic, partition);
                    Self::compare(&at, wanted.remove(&at).unwrap_or_default(), history)?;
                }
            }
        }
        Ok(())
    }
}
