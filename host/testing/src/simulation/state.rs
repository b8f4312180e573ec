//! The laws of state: every row is counted once, whatever became of the hosts that counted it, and every window is final once.

use std::collections::BTreeMap;

use weir_core::ports::Digest;
use weir_core::record::{TopicName, TopicPartition};
use weir_core::state::keys;
use weir_core::topology::{Aggregate, Emit, Function, NodeKind, NodeName, StoreIndex};

use super::checkers::{Checker, History, Swaps, Violation, broken, swaps, version_at};
use super::model::{Final, Model, Place, size_of, start_of};
use super::topologies::Generated;
use super::{keeper, oracle};

/// Rows of each key, or of each key and window.
type Counts = BTreeMap<Place, i64>;

/// Counts in changelogs and outputs are those of the rows that were taken.
pub(super) struct StateChecker {
    pub(super) generated: Generated,
}

/// The node of a part that counts: an aggregate, or a processor with a store.
#[derive(Clone, Copy)]
struct Counter<'a> {
    part: usize,
    store: StoreIndex,
    aggregate: Option<&'a Aggregate>,
}

impl Counter<'_> {
    fn emit(&self) -> Emit {
        self.aggregate.map_or(Emit::Update, |aggregate| aggregate.emit)
    }

    fn model(&self) -> Model {
        Model::new(self.aggregate.and_then(|aggregate| aggregate.window))
    }

    /// The place of a result of `key`.
    fn place(&self, key: Vec<u8>, timestamp: i64) -> Place {
        let window = self.aggregate.and_then(|aggregate| aggregate.window);
        (key, window.map(|window| start_of(timestamp, size_of(window))))
    }

    /// What a row of the changelog says; none: the node keeps it for itself.
    fn changed(&self, key: &[u8], value: Option<&[u8]>) -> Option<(Place, i64)> {
        if key.first() != Some(&keys::DATA) {
            return None;
        }
        let count = match self.aggregate {
            None => value.map(keeper::count),
            Some(Aggregate { function: Function::Plugin(_), .. }) => value.and_then(accumulator).map(keeper::count),
            Some(_) => value.and_then(accumulator).and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes),
        };
        let place = if self.model().is_windowed() {
            keys::split_window(key).map(|(key, start)| (key, Some(start)))
        } else {
            keys::split_key_value(key).map(|key| (key.to_vec(), None))
        };
        // What cannot be read is no count of any key's.
        Some((place.unwrap_or_default(), count.unwrap_or(-1)))
    }
}

/// The accumulator behind the time of an aggregate's row.
fn accumulator(value: &[u8]) -> Option<&[u8]> {
    value.get(keys::TIME_BYTES..)
}

impl StateChecker {
    fn counter(&self, part: usize) -> Option<Counter<'_>> {
        let topology = &self.generated.topology;
        topology.subtopologies[part].nodes.iter().find_map(|&node| match &topology.node(node).kind {
            NodeKind::Aggregate(aggregate) => {
                Some(Counter { part, store: aggregate.store, aggregate: Some(&**aggregate) })
            }
            NodeKind::Process(plugin) => {
                plugin.stores.first().map(|(_, store)| Counter { part, store: *store, aggregate: None })
            }
            _ => None,
        })
    }

    /// What the rows come to that reached the counter in the task of `partition`.
    fn counted(&self, counter: Counter<'_>, partition: i32, history: &dyn History, swaps: &Swaps) -> Model {
        let topology = &self.generated.topology;
        let mut model = counter.model();
        for &topic in &topology.subtopologies[counter.part].topics {
            let from = TopicPartition::new(&topology.topic(topic).name, partition);
            if partition >= self.generated.partitions[&from.topic] {
                continue;
            }
            for (offset, row) in history.taken_rows(&from) {
                let version = |node: &NodeName| -> Option<Digest> { version_at(swaps, node, &from, offset) };
                // A poison row that was passed is another law's business.
                let arrived = oracle::arrivals(&self.generated, counter.part, &row, &version).unwrap_or_default();
                arrived.iter().for_each(|row| model.take(row));
            }
        }
        model
    }

    /// What the changelog of `partition` comes to.
    fn folded(&self, counter: Counter<'_>, partition: i32, history: &dyn History) -> Counts {
        let topology = &self.generated.topology;
        let Some(topic) = topology.store(counter.store).changelog else { return Counts::new() };
        let at = TopicPartition::new(&topology.topic(topic).name, partition);
        let rows = history.committed_rows(&at);
        let key = |key: &Option<Vec<u8>>| key.clone().unwrap_or_default();
        rows.iter().filter_map(|(_, row)| counter.changed(&key(&row.key), row.value.as_deref())).collect()
    }

    /// The results that were sent, in the order of their partitions.
    fn sent(&self, counter: Counter<'_>, history: &dyn History) -> Vec<Final> {
        let topic = TopicName::from(format!("counts{}", counter.part).as_str());
        let mut sent = Vec::new();
        for partition in 0..self.generated.partitions[&topic] {
            for (_, row) in history.committed_rows(&TopicPartition::new(&topic, partition)) {
                let count = keeper::count(row.value.as_deref().unwrap_or_default());
                sent.push((counter.place(row.key.unwrap_or_default(), row.timestamp), count, row.timestamp));
            }
        }
        sent
    }

    fn check(&self, counter: Counter<'_>, history: &dyn History, swaps: &Swaps) -> Result<(), Violation> {
        let topology = &self.generated.topology;
        let sources = &topology.subtopologies[counter.part].topics;
        let tasks = sources.iter().map(|&topic| self.generated.partitions[&topology.topic(topic).name]).max();
        let (mut totals, mut finals) = (BTreeMap::<Place, Vec<i64>>::new(), Vec::new());
        for partition in 0..tasks.unwrap_or(0) {
            let model = self.counted(counter, partition, history, swaps);
            let folded = self.folded(counter, partition, history);
            if *model.counts() != folded {
                let task = format!("{}_{partition}", counter.part);
                return broken("state is the fold of what was taken", differences(&task, model.counts(), &folded));
            }
            for (place, total) in model.counts() {
                totals.entry(place.clone()).or_default().push(*total);
            }
            finals.extend_from_slice(model.finals());
        }
        let sent = self.sent(counter, history);
        match counter.emit() {
            Emit::Close => check_finals(counter.part, finals, sent),
            emit => check_counts(counter.part, emit, &totals, &sent),
        }
    }
}

fn name((key, start): &Place) -> String {
    let window = start.map(|start| format!(" from {start}")).unwrap_or_default();
    format!("{}{window}", String::from_utf8_lossy(key))
}

fn differences(task: &str, counted: &Counts, folded: &Counts) -> String {
    let places = counted.keys().chain(folded.keys());
    let differs = places.filter(|place| counted.get(*place) != folded.get(*place));
    let show = |place: &Place| format!("{}: {:?} rows, {:?}", name(place), counted.get(place), folded.get(place));
    let mut shown: Vec<String> = differs.map(show).collect();
    shown.dedup();
    format!("task {task}: rows that were taken, and what the changelog says: {shown:?}")
}

/// Every window that has closed was sent once, as it was then.
fn check_finals(part: usize, mut wanted: Vec<Final>, mut sent: Vec<Final>) -> Result<(), Violation> {
    wanted.sort();
    sent.sort();
    if wanted == sent {
        return Ok(());
    }
    let extra = |of: &[Final], over: &[Final]| {
        let count = |all: &[Final], one: &Final| all.iter().filter(|other| *other == one).count();
        let mut extra: Vec<_> = of.iter().filter(|one| count(of, one) > count(over, one)).cloned().collect();
        extra.dedup();
        extra.iter().map(|(place, count, at)| format!("{}: {count} @{at}", name(place))).collect::<Vec<_>>()
    };
    let what = format!("part {part}: not sent {:?}, too many {:?}", extra(&wanted, &sent), extra(&sent, &wanted));
    broken("every window is final once", what)
}

/// Every count was sent, by update or the last of them at least.
fn check_counts(
    part: usize,
    emit: Emit,
    totals: &BTreeMap<Place, Vec<i64>>,
    results: &[Final],
) -> Result<(), Violation> {
    let mut sent: BTreeMap<&Place, Vec<i64>> = BTreeMap::new();
    results.iter().for_each(|(place, count, _)| sent.entry(place).or_default().push(*count));
    for place in totals.keys().chain(sent.keys().copied()) {
        let totals = totals.get(place).map_or(&[][..], Vec::as_slice);
        let sent = sent.get(place).map_or(&[][..], Vec::as_slice);
        let most = totals.iter().copied().max().unwrap_or(0);
        let fits = totals.iter().all(|total| sent.contains(total)) && sent.iter().all(|sent| (1..=most).contains(sent));
        if !fits || (emit == Emit::Update && !counts_up(sent, totals)) {
            let what = format!("part {part}, {}: {totals:?} rows, and these counts: {sent:?}", name(place));
            return broken("every row is counted once, in order", what);
        }
    }
    Ok(())
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
        let parts = 0..self.generated.topology.subtopologies.len();
        parts.filter_map(|part| self.counter(part)).try_for_each(|counter| self.check(counter, history, &swaps))
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
