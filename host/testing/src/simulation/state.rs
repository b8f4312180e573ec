//! The laws of state: every row is counted once, whatever became of the hosts that counted it.

use std::collections::BTreeMap;

use weir_core::ports::Digest;
use weir_core::record::{TopicName, TopicPartition};
use weir_core::state::keys;
use weir_core::topology::{Aggregate, Emit, NodeKind, NodeName};

use super::checkers::{Checker, History, Swaps, Violation, broken, swaps, version_at};
use super::oracle;
use super::topologies::Generated;
use crate::broker::StoredRow;

/// Rows of each key.
type Counts = BTreeMap<Vec<u8>, i64>;

/// Counts in changelogs and outputs are those of the rows that were taken.
pub(super) struct StateChecker {
    pub(super) generated: Generated,
}

impl StateChecker {
    fn aggregate(&self, part: usize) -> Option<&Aggregate> {
        let topology = &self.generated.topology;
        topology.subtopologies[part].nodes.iter().find_map(|&node| match &topology.node(node).kind {
            NodeKind::Aggregate(aggregate) => Some(&**aggregate),
            _ => None,
        })
    }

    /// The rows of each key that came to the aggregate of `part` in the task of `partition`.
    fn counted(&self, part: usize, partition: i32, history: &dyn History, swaps: &Swaps) -> Counts {
        let topology = &self.generated.topology;
        let mut counts = Counts::new();
        for &topic in &topology.subtopologies[part].topics {
            let from = TopicPartition::new(&topology.topic(topic).name, partition);
            if partition >= self.generated.partitions[&from.topic] {
                continue;
            }
            for (offset, row) in history.taken_rows(&from) {
                let version = |node: &NodeName| -> Option<Digest> { version_at(swaps, node, &from, offset) };
                // A poison row that was passed is another law's business.
                let arrived = oracle::arrivals(&self.generated, part, &row, &version).unwrap_or_default();
                for StoredRow { key, value, .. } in arrived {
                    if let (Some(key), Some(_)) = (key, value) {
                        *counts.entry(key).or_default() += 1;
                    }
                }
            }
        }
        counts
    }

    /// What the changelog of `partition` comes to.
    fn folded(&self, aggregate: &Aggregate, partition: i32, history: &dyn History) -> Result<Counts, Violation> {
        let topology = &self.generated.topology;
        let Some(topic) = topology.store(aggregate.store).changelog else { return Ok(Counts::new()) };
        let at = TopicPartition::new(&topology.topic(topic).name, partition);
        let mut counts = Counts::new();
        for (offset, row) in history.committed_rows(&at) {
            let key = row.key.as_deref().and_then(keys::split_key_value);
            let count = row.value.as_deref().and_then(|value| value.get(keys::TIME_BYTES..)?.try_into().ok());
            let (Some(key), Some(count)) = (key, count.map(i64::from_le_bytes)) else {
                return broken("a changelog holds what its store wrote", format!("{at}@{offset}: {row:?}"));
            };
            counts.insert(key.to_vec(), count);
        }
        Ok(counts)
    }

    /// The counts that were sent, of each key in the order of its partition.
    fn sent(&self, part: usize, history: &dyn History) -> BTreeMap<Vec<u8>, Vec<i64>> {
        let topic = TopicName::from(format!("counts{part}").as_str());
        let mut sent: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
        for partition in 0..self.generated.partitions[&topic] {
            for (_, row) in history.committed_rows(&TopicPartition::new(&topic, partition)) {
                let count = row.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
                sent.entry(row.key.unwrap_or_default()).or_default().push(count.unwrap_or(-1));
            }
        }
        sent
    }
}

/// Whether `sent` can be the counts 1, 2, ... of several tasks, with `totals` rows each, in some order among the tasks.
fn counts_up(sent: &[i64], totals: &[i64]) -> bool {
    // How many tasks have come to a count: never more than have come to the one before.
    let mut reached: BTreeMap<i64, usize> = BTreeMap::from([(0, totals.len())]);
    for &count in sent {
        let before = reached.get(&(count - 1)).copied().unwrap_or(0);
        let now = reached.entry(count).or_default();
        *now += 1;
        if *now > before {
            return false;
        }
    }
    let all = 1..=totals.iter().copied().max().unwrap_or(0);
    let wanted = |count: i64| totals.iter().filter(|&&total| total >= count).count();
    sent.len() == totals.iter().sum::<i64>() as usize
        && all.into_iter().all(|count| reached.get(&count).copied().unwrap_or(0) == wanted(count))
}

impl Checker for StateChecker {
    fn at_end(&mut self, history: &dyn History) -> Result<(), Violation> {
        let swaps = swaps(history);
        for part in 0..self.generated.topology.subtopologies.len() {
            let Some(aggregate) = self.aggregate(part).cloned() else { continue };
            let topology = &self.generated.topology;
            let sources = &topology.subtopologies[part].topics;
            let tasks = sources.iter().map(|&topic| self.generated.partitions[&topology.topic(topic).name]).max();
            let mut totals: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
            for partition in 0..tasks.unwrap_or(0) {
                let counted = self.counted(part, partition, history, &swaps);
                let folded = self.folded(&aggregate, partition, history)?;
                if counted != folded {
                    let what = format!("task {part}_{partition}: counted {counted:?}, the changelog says {folded:?}");
                    return broken("state is the fold of what was taken", what);
                }
                counted.into_iter().for_each(|(key, total)| totals.entry(key).or_default().push(total));
            }
            let sent = self.sent(part, history);
            for (key, totals) in &totals {
                let sent = sent.get(key).map_or(&[][..], Vec::as_slice);
                let last = totals.iter().all(|total| sent.contains(total));
                if !last || (aggregate.emit == Emit::Update && !counts_up(sent, totals)) {
                    let key = String::from_utf8_lossy(key);
                    let what = format!("part {part}, key {key}: {totals:?} rows, and these counts: {sent:?}");
                    return broken("every row is counted once, in order", what);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_several_tasks_are_told_from_a_row_counted_twice_or_not() {
        assert!(counts_up(&[1, 2, 3], &[3]));
        assert!(counts_up(&[1, 1, 2, 3, 2], &[3, 2]));
        assert!(!counts_up(&[1, 2, 2, 3], &[3]));
        assert!(!counts_up(&[1, 3, 2], &[3]));
        assert!(!counts_up(&[1, 2], &[3]));
        assert!(!counts_up(&[1, 2, 3, 4], &[3]));
    }
}
