//! The topics of a driver: a partition each, in memory, and what one consumer and one producer have of them.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::TestRecord;

/// Rows that one poll brings of a changelog: few, so that most restores take several.
const REPLAYED_ROWS: usize = 64;

/// Topics of one partition, with rows numbered over all of them in the order in which they were committed.
#[derive(Debug, Default)]
pub(super) struct Log {
    topics: BTreeMap<TopicName, Topic>,
    sequence: u64,
    /// Rows that one poll brings.
    fetch_rows_max: usize,
    sources: BTreeSet<TopicName>,
    assigned: bool,
    fetching: BTreeMap<TopicPartition, Fetching>,
    replays: Vec<Replaying>,
    positions: BTreeMap<TopicPartition, Position>,
    /// Rows of the open transaction.
    open: Option<Vec<(TopicName, TestRecord)>>,
    /// The next poll says that the transaction has broken.
    pub(super) breaks: bool,
    /// The next commit is refused.
    pub(super) refuses: bool,
}

#[derive(Debug, Default)]
struct Topic {
    /// The offset of the first row that is kept.
    first: i64,
    rows: Vec<(u64, TestRecord)>,
    /// The offset of the row that a test reads next.
    read: i64,
}

#[derive(Clone, Copy, Debug)]
struct Fetching {
    next: i64,
    paused: bool,
}

#[derive(Debug)]
struct Replaying {
    partition: TopicPartition,
    next: i64,
    end: i64,
    restarted: bool,
}

impl Topic {
    fn end(&self) -> i64 {
        self.first + self.rows.len() as i64
    }

    fn from(&self, offset: i64) -> &[(u64, TestRecord)] {
        &self.rows[((offset - self.first).max(0) as usize).min(self.rows.len())..]
    }

    fn batch(&self, from: i64, rows: usize) -> RecordBatch {
        let mut batch = RecordBatch::default();
        let start = from.max(self.first);
        for (index, (_, row)) in self.from(from).iter().take(rows).enumerate() {
            row.push_to(&mut batch, start + index as i64);
        }
        batch
    }
}

impl Log {
    pub(super) fn new(topics: impl Iterator<Item = TopicName>, sources: BTreeSet<TopicName>, fetch: usize) -> Self {
        let topics = topics.map(|topic| (topic, Topic::default())).collect();
        Self { topics, sources, fetch_rows_max: fetch.max(1), ..Self::default() }
    }

    pub(super) fn has_topic(&self, topic: &TopicName) -> bool {
        self.topics.contains_key(topic)
    }

    /// Appends a committed row.
    pub(super) fn append(&mut self, topic: &TopicName, row: TestRecord) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.topics.entry(topic.clone()).or_default().rows.push((sequence, row));
    }

    /// The next committed row that no test has read.
    pub(super) fn read(&mut self, topic: &TopicName) -> Option<TestRecord> {
        let topic = self.topics.get_mut(topic)?;
        let row = topic.from(topic.read).first()?.1.clone();
        topic.read = topic.read.max(topic.first) + 1;
        Some(row)
    }

    pub(super) fn unread(&self, topic: &TopicName) -> usize {
        self.topics.get(topic).map_or(0, |topic| topic.from(topic.read).len())
    }

    /// A new consumer and producer: what was open is aborted.
    pub(super) fn connect(&mut self) {
        (self.open, self.assigned) = (None, false);
        self.fetching.clear();
        self.replays.clear();
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a poll would bring something.
    pub(super) fn has_news(&self) -> bool {
        !self.assigned || self.breaks || !self.replays.is_empty() || self.next_of_all().is_some()
    }

    pub(super) fn poll(&mut self) -> Option<Incoming> {
        if !self.assigned {
            self.assigned = true;
            let positions: Vec<Position> =
                self.sources.iter().map(|topic| self.position(&TopicPartition::new(topic, 0))).collect();
            for position in &positions {
                let fetching = Fetching { next: position.offset, paused: false };
                self.fetching.insert(position.partition.clone(), fetching);
            }
            return Some(Incoming::Assigned(positions));
        }
        self.replayed().or_else(|| self.fetched())
    }

    fn replayed(&mut self) -> Option<Incoming> {
        let mut replaying = (!self.replays.is_empty()).then(|| self.replays.remove(0))?;
        let topic = self.topics.entry(replaying.partition.topic.clone()).or_default();
        let rows = topic.batch(replaying.next, REPLAYED_ROWS);
        replaying.next = rows.offsets.last().map_or(replaying.end, |last| last + 1);
        let Replaying { partition, next, end, restarted } = replaying;
        if next < end {
            self.replays.push(Replaying { partition: partition.clone(), next, end, restarted: false });
        }
        Some(Incoming::Replayed { partition, rows, next, end, restarted })
    }

    /// The first row of all that wait, and the sequence number up to which rows of its topic come before all others.
    fn next_of_all(&self) -> Option<(&TopicPartition, u64)> {
        let heads =
            self.fetching.iter().filter(|(_, fetching)| !fetching.paused).filter_map(|(partition, fetching)| {
                let (sequence, _) = self.topics.get(&partition.topic)?.from(fetching.next).first()?;
                Some((*sequence, partition))
            });
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        let until = heads.get(1).map_or(u64::MAX, |(sequence, _)| *sequence);
        heads.first().map(|&(_, partition)| (partition, until))
    }

    /// Rows in the order in which they were written, whatever their topics.
    fn fetched(&mut self) -> Option<Incoming> {
        let (partition, until) = self.next_of_all()?;
        let partition = partition.clone();
        let fetching = self.fetching.get_mut(&partition)?;
        let topic = self.topics.get(&partition.topic)?;
        let run = topic.from(fetching.next).iter().take_while(|(sequence, _)| *sequence < until).count();
        let batch = topic.batch(fetching.next, run.min(self.fetch_rows_max));
        fetching.next = batch.offsets.last()? + 1;
        Some(Incoming::Fetched(partition, batch))
    }

    pub(super) fn begin(&mut self) {
        self.open = Some(Vec::new());
    }

    pub(super) fn produce(&mut self, outgoing: &Outgoing) {
        let Some(open) = &mut self.open else { return };
        for row in 0..outgoing.rows.len() {
            open.push((outgoing.topic.clone(), TestRecord::of_rows(&outgoing.rows, row)));
        }
    }

    pub(super) fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let rows = self.open.take().unwrap_or_default();
        if std::mem::take(&mut self.refuses) {
            return Err(CommitError::Refused("the test has aborted it".to_owned()));
        }
        let mut ends = BTreeMap::new();
        for (topic, row) in rows {
            self.append(&topic, row);
            let end = self.topics.get(&topic).map_or(0, Topic::end);
            ends.insert(TopicPartition::new(&topic, 0), end);
        }
        for position in positions {
            self.positions.insert(position.partition.clone(), position.clone());
        }
        Ok(Committed { ends: ends.into_iter().collect() })
    }

    pub(super) fn abort(&mut self) {
        self.open = None;
    }

    pub(super) fn recover(&mut self) -> Vec<Position> {
        self.open = None;
        let positions: Vec<Position> = self.fetching.keys().map(|partition| self.position(partition)).collect();
        let to: Vec<_> = positions.iter().map(|position| (position.partition.clone(), position.offset)).collect();
        self.seek(&to);
        positions
    }

    pub(super) fn is_replaying(&self) -> bool {
        !self.replays.is_empty()
    }

    pub(super) fn position(&self, partition: &TopicPartition) -> Position {
        let start = || Position { partition: partition.clone(), offset: 0, metadata: None };
        self.positions.get(partition).cloned().unwrap_or_else(start)
    }

    pub(super) fn seek(&mut self, to: &[(TopicPartition, i64)]) {
        for (partition, offset) in to {
            if let Some(fetching) = self.fetching.get_mut(partition) {
                fetching.next = *offset;
            }
        }
    }

    pub(super) fn pause(&mut self, partitions: &[TopicPartition], paused: bool) {
        for partition in partitions {
            if let Some(fetching) = self.fetching.get_mut(partition) {
                fetching.paused = paused;
            }
        }
    }

    pub(super) fn release(&mut self, partitions: &[TopicPartition]) {
        self.fetching.retain(|partition, _| !partitions.contains(partition));
    }

    pub(super) fn replay(&mut self, from: &[Replay]) {
        let partitions: Vec<TopicPartition> = from.iter().map(|replay| replay.partition.clone()).collect();
        self.stop_replay(&partitions);
        for Replay { partition, from } in from {
            let topic = self.topics.entry(partition.topic.clone()).or_default();
            let restarted = from.is_some_and(|from| from < topic.first || from > topic.end());
            let next = if restarted { topic.first } else { from.unwrap_or(topic.first) };
            self.replays.push(Replaying { partition: partition.clone(), next, end: topic.end(), restarted });
        }
    }

    pub(super) fn stop_replay(&mut self, partitions: &[TopicPartition]) {
        self.replays.retain(|replaying| !partitions.contains(&replaying.partition));
    }

    pub(super) fn purge(&mut self, before: &[(TopicPartition, i64)]) {
        for (partition, offset) in before {
            if let Some(topic) = self.topics.get_mut(&partition.topic) {
                let gone = ((offset - topic.first).max(0) as usize).min(topic.rows.len());
                topic.rows.drain(..gone);
                topic.first += gone as i64;
            }
        }
    }
}
