use std::collections::BTreeMap;
use std::sync::Arc;

use super::buffer::{Mark, Slot, WriteBuffer, Written};
use super::keys;
use super::recent::Recent;
use super::replay_from::ReplayFrom;
use crate::expression::Mapping;
use crate::ports::{Changes, Checkpoint, Entries, KeyRange, Outgoing, Position, Replayed, StateStore, StoreError};
use crate::record::{RecordBatch, Rows, TopicName, TopicPartition};
use crate::task::TaskId;
use crate::task::aggregate::write_stored;
use crate::task::map::{NO_TIME, with_timestamps};
use crate::topology::{EventTime, NodeKind, Source, StoreIndex, StoreKind, TopicIndex, Topology};

/// What a task keeps in memory of its stores at most, beside the writes of a transaction.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// The stores of one task: what is committed, and the writes of the transaction over it.
pub(crate) struct TaskState {
    store: Arc<dyn StateStore>,
    buffer: WriteBuffer,
    recent: Recent,
    changelogs: Vec<Changelog>,
    /// Buffer for a key of a store.
    place: Vec<u8>,
}

/// A store's changelog, and how far it is taken in.
struct Changelog {
    store: StoreIndex,
    kind: StoreKind,
    partition: TopicPartition,
    topic_id: String,
    /// Of a table that is restored from its source.
    source: Option<SourceRows>,
    next: i64,
    /// Where the replay ends, while it is on; none before its first answer.
    replay: Option<Option<i64>>,
}

/// Rows of a table's source, which are no changelog's: the store's rows are made of them.
#[derive(Clone)]
struct SourceRows {
    /// Where their times come from; none: their own.
    timestamp: Option<Arc<dyn Mapping>>,
    /// Where the task has read to: what comes then is input.
    until: i64,
}

/// How a replay goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Restoring {
    /// More is to come.
    More,
    /// All changelogs are taken in.
    Done,
}

/// A changelog row that no store of that kind has written.
#[derive(Debug)]
pub(crate) enum RestoreError {
    /// Partition, offset, and what is wrong.
    Malformed(TopicPartition, i64, String),
    /// The store did not take it.
    Store(StoreError),
}

impl TaskState {
    /// The state of `task` in `store`. `topic_ids` are the identities of topics as they are now.
    pub(crate) fn new(
        task: TaskId,
        store: Arc<dyn StateStore>,
        topology: &Topology,
        topic_ids: &BTreeMap<TopicName, String>,
    ) -> Self {
        let part = &topology.subtopologies[task.subtopology];
        let changelog = |&index: &StoreIndex| {
            let spec = topology.store(index);
            let topic = &topology.topic(spec.restored_from()?).name;
            Some(Changelog {
                source: spec.source.map(|topic| SourceRows { timestamp: timestamp_of(topology, topic), until: 0 }),
                store: index,
                kind: spec.kind,
                partition: TopicPartition::new(topic, task.partition),
                topic_id: topic_ids.get(topic).cloned().unwrap_or_default(),
                next: 0,
                replay: None,
            })
        };
        let changelogs = part.stores.iter().filter_map(changelog).collect();
        let buffer = WriteBuffer::new(topology.stores.len());
        Self { store, buffer, recent: Recent::default(), changelogs, place: Vec::new() }
    }

    /// What is to be replayed before the task runs. A kept store is trusted if its changelog is the topic that it was, and
    /// it is not older than `age_max_ms`: compaction may since have removed the deletions that it has not seen. A table that is
    /// restored from its source ends at what is `committed` of it.
    pub(crate) fn begin_restore(
        &mut self,
        committed: &[(TopicPartition, i64)],
        now_ms: i64,
        age_max_ms: i64,
    ) -> Result<Vec<(TopicPartition, ReplayFrom)>, StoreError> {
        self.aborted();
        let kept = self.store.checkpoint()?;
        let age_ms = now_ms.saturating_sub(kept.applied_at_ms);
        let mut replays = Vec::new();
        for changelog in &mut self.changelogs {
            let from = match kept.changelogs.get(&changelog.store) {
                None => ReplayFrom::NothingKept,
                Some(known) if known.topic_id != changelog.topic_id => ReplayFrom::OtherTopic,
                Some(_) if age_ms > age_max_ms => ReplayFrom::TooOld { age_ms, age_max_ms },
                // Positions were set back: it holds what is to come.
                Some(known) if changelog.is_past(known.next, committed) => ReplayFrom::NothingKept,
                Some(known) => ReplayFrom::Kept(known.next),
            };
            if from.offset().is_none() {
                self.store.clear(changelog.store)?;
            }
            changelog.next = from.offset().unwrap_or(0);
            changelog.replay = None;
            if let Some(source) = &mut changelog.source {
                source.until = committed.iter().find(|(of, _)| *of == changelog.partition).map_or(0, |(_, at)| *at);
                if changelog.next >= source.until {
                    changelog.next = source.until;
                    continue;
                }
            }
            changelog.replay = Some(None);
            replays.push((changelog.partition.clone(), from));
        }
        Ok(replays)
    }

    /// Takes in rows of a changelog; none: it is not one of this task's, or nobody waits for it any more.
    pub(crate) fn restore(
        &mut self,
        partition: &TopicPartition,
        rows: &RecordBatch,
        (next, end): (i64, i64),
        restarted: bool,
        now_ms: i64,
    ) -> Option<Result<Restoring, RestoreError>> {
        let changelog = self
            .changelogs
            .iter_mut()
            .find(|changelog| changelog.partition == *partition && changelog.replay.is_some())?;
        let until = changelog.source.as_ref().map_or(i64::MAX, |source| source.until);
        let (next, end) = (next.min(until), end.min(until));
        let taken = changelog.take_in(self.store.as_ref(), rows, next, restarted, now_ms);
        if let Err(error) = taken {
            return Some(Err(error));
        }
        changelog.replay = (next < end).then_some(Some(end));
        let done = self.changelogs.iter().all(|changelog| changelog.replay.is_none());
        Some(Ok(if done { Restoring::Done } else { Restoring::More }))
    }

    /// The changelogs that are being replayed, with the next offset and, once it is known, the end.
    pub(crate) fn restoring(&self) -> impl Iterator<Item = (&TopicPartition, i64, Option<i64>)> {
        self.changelogs.iter().filter_map(|changelog| Some((&changelog.partition, changelog.next, changelog.replay?)))
    }

    pub(crate) fn owns_changelog(&self, partition: &TopicPartition) -> bool {
        self.changelogs.iter().any(|changelog| changelog.partition == *partition)
    }

    /// The value of `key`, with the transaction's writes.
    pub(crate) fn get(&mut self, store: StoreIndex, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        let slot = self.slot(store, key)?;
        Ok(self.value(slot))
    }

    /// Where the value of `key` is, to read and to set it without looking for it again; until the transaction ends.
    pub(crate) fn slot(&mut self, store: StoreIndex, key: &[u8]) -> Result<Slot, StoreError> {
        if let Some(slot) = self.buffer.find(store, key) {
            return Ok(slot);
        }
        let value = self.store.get(store, key)?;
        Ok(self.buffer.note(store, key, value.as_deref()))
    }

    /// The value at `slot`, with the transaction's writes.
    pub(crate) fn value(&self, slot: Slot) -> Option<&[u8]> {
        self.buffer.value(slot)
    }

    /// Sets the value at `slot`; none deletes it.
    pub(crate) fn put_at(&mut self, slot: Slot, value: Option<&[u8]>) {
        self.buffer.put_at(slot, value);
    }

    /// Reads `keys` together, so that [`TaskState::get`] knows them.
    pub(crate) fn prefetch<'k>(
        &mut self,
        store: StoreIndex,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), StoreError> {
        let mut unknown: Vec<&[u8]> = keys.filter(|key| self.buffer.find(store, key).is_none()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let values = self.store.get_many(store, &unknown)?;
        for (key, value) in unknown.into_iter().zip(values) {
            self.buffer.note(store, key, value.as_deref());
        }
        Ok(())
    }

    /// Sets the value of `key`; none deletes it.
    pub(crate) fn put(&mut self, store: StoreIndex, key: &[u8], value: Option<&[u8]>) {
        self.buffer.put(store, key, value);
    }

    /// At most `limit` entries of `range`, with the transaction's writes.
    pub(crate) fn range(
        &mut self,
        store: StoreIndex,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, StoreError> {
        self.buffer.range(store, self.store.as_ref(), range, limit, backward)
    }

    /// Writes a row of a side of a join.
    pub(crate) fn put_joined(&mut self, store: StoreIndex, key: &[u8], (at, sequence): (i64, u64), value: &[u8]) {
        keys::write_joined(&mut self.place, key, at, sequence);
        self.buffer.put(store, &self.place, Some(value));
        self.recent.put(store, key, (at, sequence), value);
    }

    /// Gives `each` the rows of `key` in `from..=until` of a side of a join: time, number and value, in order of times, then
    /// as they came. What follows is likely to ask for `keep_from` and later.
    pub(crate) fn joined(
        &mut self,
        store: StoreIndex,
        key: &[u8],
        (from, until): (i64, i64),
        keep_from: i64,
        mut each: impl FnMut(i64, u64, &[u8]),
    ) -> Result<(), StoreError> {
        let known_from = self.recent.known_from(store, key);
        if known_from.is_none_or(|known| from < known) {
            let (mut lower, mut upper) = (Vec::new(), Vec::new());
            keys::write_joined(&mut lower, key, from, 0);
            keys::write_joined(&mut upper, key, known_from.map_or(i64::MAX, |known| known - 1), u64::MAX);
            let read = self.range(store, &KeyRange::between(lower, upper), usize::MAX, false)?;
            match known_from {
                None => self.recent.take_in(store, key, from, read),
                // Older than most: not worth knowing.
                Some(_) => {
                    for (place, value) in &read {
                        if let Some((at, sequence)) = keys::joined_at(place).filter(|(at, _)| *at <= until) {
                            each(at, sequence, value);
                        }
                    }
                }
            }
        }
        self.recent.each(store, key, (from, until), keep_from, each);
        Ok(())
    }

    pub(crate) fn mark(&self) -> Mark {
        self.buffer.mark()
    }

    pub(crate) fn undo(&mut self, mark: Mark) {
        self.buffer.undo(mark);
    }

    /// Takes back all writes of the step.
    pub(crate) fn undo_step(&mut self) {
        self.buffer.undo(Mark::START);
        self.recent.forget();
    }

    pub(crate) fn end_step(&mut self) {
        self.buffer.end_step();
    }

    pub(crate) fn written_in(&self, store: StoreIndex) -> impl Iterator<Item = Written<'_>> {
        self.buffer.written_in(store)
    }

    pub(crate) fn written_bytes(&self) -> usize {
        self.buffer.written_bytes()
    }

    /// What the transaction adds to changelogs: the last value of each key that it wrote.
    pub(crate) fn changes(&self) -> Vec<Outgoing> {
        let outgoing = |changelog: &Changelog| {
            if changelog.source.is_some() {
                return None; // the topic has them
            }
            let mut batch = RecordBatch::default();
            for (_, key, value) in self.buffer.written_in(changelog.store) {
                batch.push(0, 0, Some(key), value, &[]);
            }
            let (topic, partition) = (changelog.partition.topic.clone(), changelog.partition.partition);
            (!batch.is_empty()).then(|| Outgoing {
                topic,
                partitions: vec![partition; batch.len()],
                rows: Rows::from_batch(batch),
            })
        };
        self.changelogs.iter().filter_map(outgoing).collect()
    }

    /// The transaction is committed: its writes go to the stores, with where it ended in each changelog.
    pub(crate) fn committed(
        &mut self,
        ends: &[(TopicPartition, i64)],
        positions: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if !self.buffer.has_writes() {
            return Ok(());
        }
        for changelog in &mut self.changelogs {
            let end = match changelog.source {
                Some(_) => positions.iter().find(|at| at.partition == changelog.partition).map(|at| at.offset),
                None => ends.iter().find(|(partition, _)| *partition == changelog.partition).map(|(_, end)| *end),
            };
            changelog.next = end.unwrap_or(changelog.next);
        }
        let owned = |(store, key, value): Written<'_>| (store, key.to_vec(), value.map(<[u8]>::to_vec));
        let writes = self.buffer.written().map(owned).collect();
        let changelogs = self.changelogs.iter().map(Changelog::replayed).collect();
        let checkpoint = Checkpoint { changelogs, positions, applied_at_ms: now_ms };
        self.store.apply(&Changes { writes, checkpoint })?;
        self.buffer.committed(CACHE_BYTES_MAX);
        Ok(())
    }

    /// The transaction did not happen.
    pub(crate) fn aborted(&mut self) {
        self.buffer.forget();
        self.recent.forget();
    }

    /// Rows of `store` that expired before `before` are not needed any more.
    pub(crate) fn expire(&self, store: StoreIndex, before: i64) {
        self.store.expire(store, before);
    }

    /// Makes durable what is committed.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
}

/// Where the times of the rows of table topic `topic` come from; none: their own.
fn timestamp_of(topology: &Topology, topic: TopicIndex) -> Option<Arc<dyn Mapping>> {
    topology.nodes.iter().find_map(|node| match &node.kind {
        NodeKind::Source(Source { topics, timestamp: Some(EventTime::Expression(mapping)) })
            if topics.contains(&topic) =>
        {
            Some(mapping.clone())
        }
        _ => None,
    })
}

impl SourceRows {
    /// The rows of the table's store that `rows` make, in order: no value is a row that is gone.
    fn writes(&self, store: StoreIndex, rows: &RecordBatch) -> Vec<(StoreIndex, Vec<u8>, Option<Vec<u8>>)> {
        let timed = self.timestamp.as_ref().map(|mapping| with_timestamps(mapping.as_ref(), rows.clone()));
        let timestamps = timed.as_ref().map_or(&rows.timestamps, |timed| &timed.timestamps);
        let write = |row: usize| {
            // As it was when the row came in: without a key, or a time, it is not in the table.
            let key = rows.keys.get(row).filter(|_| timestamps[row] != NO_TIME && rows.offsets[row] < self.until)?;
            let value = rows.values.get(row).map(|value| {
                let mut held = Vec::new();
                write_stored(&mut held, timestamps[row], value);
                held
            });
            Some((store, keys::key_value(key), value))
        };
        (0..rows.len()).filter_map(write).collect()
    }
}

impl Changelog {
    /// Whether a store that was kept as of `next` is further than its task has read.
    fn is_past(&self, next: i64, committed: &[(TopicPartition, i64)]) -> bool {
        self.source.is_some() && committed.iter().any(|(of, at)| *of == self.partition && *at < next)
    }

    fn replayed(&self) -> (StoreIndex, Replayed) {
        (self.store, Replayed { next: self.next, topic_id: self.topic_id.clone() })
    }

    fn take_in(
        &mut self,
        store: &dyn StateStore,
        rows: &RecordBatch,
        next: i64,
        restarted: bool,
        now_ms: i64,
    ) -> Result<(), RestoreError> {
        if restarted {
            store.clear(self.store).map_err(RestoreError::Store)?;
        }
        let mut writes = self.source.as_ref().map(|source| source.writes(self.store, rows)).unwrap_or_default();
        for (row, &offset) in rows.offsets.iter().enumerate().filter(|_| self.source.is_none()) {
            let key = rows.keys.get(row).filter(|key| is_key(self.kind, key)).ok_or_else(|| {
                let problem = format!("this is no key of a {} store", self.kind);
                RestoreError::Malformed(self.partition.clone(), offset, problem)
            })?;
            writes.push((self.store, key.to_vec(), rows.values.get(row).map(<[u8]>::to_vec)));
        }
        self.next = next;
        let changelogs = BTreeMap::from([self.replayed()]);
        let checkpoint = Checkpoint { changelogs, positions: Vec::new(), applied_at_ms: now_ms };
        store.apply(&Changes { writes, checkpoint }).map_err(RestoreError::Store)
    }
}

/// Whether a store of this kind writes such keys.
fn is_key(kind: StoreKind, key: &[u8]) -> bool {
    match (key.first(), kind) {
        (Some(&keys::OWN), _) => true,
        (_, StoreKind::Joined { .. }) => keys::split_joined(key).is_some(),
        (_, StoreKind::Waiting) => keys::split_waiting(key).is_some(),
        (Some(&keys::BY_TIME), _) => keys::split_by_time(key).is_some(),
        (Some(&keys::DATA), StoreKind::Window { .. }) => keys::split_window(key).is_some(),
        (Some(&keys::DATA), StoreKind::Session { .. }) => keys::split_session(key).is_some(),
        (Some(&(keys::DATA | keys::BY_WALL_TIME)), _) => true,
        _ => false,
    }
}
