use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::{RecordBatch, Rows, TopicName, TopicPartition};

use super::{PATIENCE, SILENCE, batch, eventually};

/// A row as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it lies.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// None: null.
    pub key: Option<Vec<u8>>,
    /// None: null.
    pub value: Option<Vec<u8>>,
    /// Names and values in order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Row {
    /// The value as text; empty where it is null.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// The rows of a batch one by one.
#[must_use]
pub fn rows_of(partition: &TopicPartition, batch: &RecordBatch) -> Vec<Row> {
    let headers = |row: usize| {
        let all = batch.headers.iter().flat_map(|headers| headers.row(row));
        all.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
    };
    let row = |row: usize| Row {
        partition: partition.clone(),
        offset: batch.offsets[row],
        timestamp: batch.timestamps[row],
        key: batch.keys.get(row).map(<[u8]>::to_vec),
        value: batch.values.get(row).map(<[u8]>::to_vec),
        headers: headers(row),
    };
    (0..batch.len()).map(row).collect()
}

/// A transport, and what it has said so far; every poll is checked for what any poll promises.
pub struct Member {
    /// The transport under test.
    pub transport: Box<dyn Transport>,
    /// Partitions assigned, with the positions that came with them.
    pub assigned: BTreeMap<TopicPartition, Position>,
    /// Partitions revoked and not released.
    pub revoked: BTreeSet<TopicPartition>,
    /// Rows fetched and not looked at yet.
    pub rows: Vec<Row>,
    /// Partitions that were said to have no more rows, and of which none came since.
    pub ended: BTreeSet<TopicPartition>,
    /// What was replayed of each changelog since it was asked for.
    pub replays: BTreeMap<TopicPartition, Replaying>,
    /// The next offset that may be fetched.
    next: BTreeMap<TopicPartition, i64>,
}

/// What came of one replay.
#[derive(Clone, Debug, Default)]
pub struct Replaying {
    /// The rows, in the order in which they came.
    pub rows: Vec<Row>,
    /// Where to go on, and the end as it was at the beginning; none: nothing came yet.
    pub reached: Option<(i64, i64)>,
    /// What the first batch said.
    pub restarted: bool,
}

impl Replaying {
    /// Whether the last batch has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.reached.is_some_and(|(next, end)| next >= end)
    }

    /// The values of its rows as text.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.rows.iter().map(Row::text).collect()
    }
}

impl Member {
    /// A member that has not been polled yet.
    #[must_use]
    pub fn new(transport: Box<dyn Transport>) -> Self {
        let (assigned, revoked, replays) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let (rows, ended, next) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        Self { transport, assigned, revoked, rows, ended, replays, next }
    }

    /// Polls once.
    pub fn poll(&mut self, wait: Duration) {
        let incoming = match self.transport.poll(wait) {
            Ok(incoming) => incoming,
            Err(TransportError::Retriable(_)) => return,
            Err(error) => panic!("poll: {error}"),
        };
        for incoming in incoming {
            match incoming {
                Incoming::Assigned(positions) => positions.into_iter().for_each(|position| self.assign(position)),
                Incoming::Revoked(partitions) => self.revoke(partitions),
                Incoming::Lost(partitions) => self.lose(&partitions),
                Incoming::Fetched(partition, batch) => self.fetched(partition, &batch),
                Incoming::Ended(partition) => self.ended(partition),
                Incoming::Replayed { partition, rows, next, end, restarted } => {
                    self.replayed(&partition, &rows, (next, end), restarted);
                }
            }
        }
    }

    fn replayed(&mut self, partition: &TopicPartition, batch: &RecordBatch, reached: (i64, i64), restarted: bool) {
        let Some(replay) = self.replays.get_mut(partition) else { panic!("{partition} is replayed, and nobody asked") };
        assert!(!replay.is_done(), "{partition} had come to its end already: {:?}", replay.reached);
        match replay.reached {
            None => replay.restarted = restarted,
            Some((next, end)) => {
                assert!(!restarted, "{partition}: only the first batch says that the replay began elsewhere");
                assert_eq!(reached.1, end, "{partition}: the end stays what it was");
                assert!(reached.0 >= next, "{partition} went back from {next} to {}", reached.0);
            }
        }
        let mut least = replay.rows.last().map_or(0, |row| row.offset + 1);
        for row in rows_of(partition, batch) {
            assert!(
                row.offset >= least && row.offset < reached.0,
                "{partition}: {} between {least} and {reached:?}",
                row.offset
            );
            least = row.offset + 1;
            replay.rows.push(row);
        }
        replay.reached = Some(reached);
    }

    /// Asks for replays, of each partition from its offset on.
    pub fn replay(&mut self, from: &[(TopicPartition, Option<i64>)]) {
        let asked: Vec<Replay> =
            from.iter().map(|(partition, from)| Replay { partition: partition.clone(), from: *from }).collect();
        self.transport.replay(&asked).unwrap();
        self.replays.extend(from.iter().map(|(partition, _)| (partition.clone(), Replaying::default())));
    }

    /// Polls until every replay has come to its end, and returns them.
    pub fn finish_replays(&mut self) -> BTreeMap<TopicPartition, Replaying> {
        self.poll_until("all is replayed", |member| member.replays.values().all(Replaying::is_done));
        std::mem::take(&mut self.replays)
    }

    /// Polls without a pause until `done`: a replay may take a thousand polls.
    pub fn poll_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let started = std::time::Instant::now();
        while !done(self) {
            self.poll(Duration::from_millis(20));
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        }
    }

    /// The whole of one replay.
    pub fn replay_whole(&mut self, partition: &TopicPartition, from: Option<i64>) -> Replaying {
        self.replay(&[(partition.clone(), from)]);
        self.finish_replays().remove(partition).unwrap()
    }

    fn assign(&mut self, position: Position) {
        self.next.insert(position.partition.clone(), position.offset);
        let again = self.assigned.insert(position.partition.clone(), position.clone());
        assert_eq!(again, None, "{} was assigned already", position.partition);
        assert!(!self.revoked.contains(&position.partition), "{} is not released yet", position.partition);
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        for partition in partitions {
            assert!(self.assigned.remove(&partition).is_some(), "{partition} is revoked but was not assigned");
            self.rows.retain(|row| row.partition != partition);
            self.revoked.insert(partition);
        }
    }

    fn lose(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let ours = self.assigned.remove(partition).is_some() | self.revoked.remove(partition);
            assert!(ours, "{partition} is lost but was not ours");
            self.rows.retain(|row| row.partition != *partition);
        }
    }

    fn fetched(&mut self, partition: TopicPartition, batch: &RecordBatch) {
        assert!(self.assigned.contains_key(&partition), "rows of {partition}, which is not assigned");
        assert!(!batch.is_empty(), "a batch of {partition} without a row");
        self.ended.remove(&partition);
        let next = self.next.get_mut(&partition).unwrap();
        for row in rows_of(&partition, batch) {
            assert!(row.offset >= *next, "{partition}: {} comes after {next}, or is from before a seek", row.offset);
            *next = row.offset + 1;
            self.rows.push(row);
        }
    }

    fn ended(&mut self, partition: TopicPartition) {
        assert!(self.assigned.contains_key(&partition), "the end of {partition}, which is not assigned");
        assert!(self.ended.insert(partition.clone()), "{partition} was at its end already");
    }

    /// Polls until all of `partitions` are at their ends, and returns the values of the rows before.
    pub fn take_to_the_end(&mut self, partitions: &[TopicPartition]) -> Vec<String> {
        let wanted: BTreeSet<TopicPartition> = partitions.iter().cloned().collect();
        eventually("the partitions are at their ends", || {
            self.poll(Duration::from_millis(20));
            self.ended.is_superset(&wanted).then_some(())
        });
        self.take_all()
    }

    /// Polls until `partitions` partitions are assigned.
    pub fn join(&mut self, partitions: usize) -> Vec<Position> {
        eventually("the partitions are assigned", || {
            self.poll(Duration::from_millis(20));
            (self.assigned.len() == partitions).then_some(())
        });
        self.assigned.values().cloned().collect()
    }

    /// Polls until `count` rows are there, and returns their values.
    pub fn take(&mut self, count: usize) -> Vec<String> {
        eventually(&format!("{count} rows are fetched"), || {
            self.poll(Duration::from_millis(20));
            (self.rows.len() >= count).then_some(())
        });
        self.take_all()
    }

    /// The values of rows that were fetched so far.
    pub fn take_all(&mut self) -> Vec<String> {
        self.rows.drain(..).map(|row| row.text()).collect()
    }

    /// Polls for a while: no row may come.
    pub fn expect_silence(&mut self) {
        let started = std::time::Instant::now();
        while started.elapsed() < SILENCE {
            self.poll(Duration::from_millis(20));
            assert_eq!(self.rows, [], "no row is due");
        }
    }

    /// Begins a transaction and adds `values` to partition 0 of `topic`.
    pub fn begin(&mut self, topic: &TopicName, values: &[&str]) {
        eventually("begin", || match self.transport.begin() {
            Ok(()) => Some(()),
            Err(TransportError::Retriable(_)) => None,
            Err(error) => panic!("begin: {error}"),
        });
        self.produce(topic, 0, values);
    }

    /// Adds `values` to the open transaction.
    pub fn produce(&mut self, topic: &TopicName, partition: i32, values: &[&str]) {
        if !values.is_empty() {
            self.transport.produce(&outgoing(topic, vec![partition; values.len()], batch(values))).unwrap();
        }
    }

    /// Commits with a position for each input partition given.
    pub fn commit(&mut self, positions: &[(&TopicPartition, i64)]) -> Committed {
        let position = |&(partition, offset): &(&TopicPartition, i64)| Position {
            partition: partition.clone(),
            offset,
            metadata: Some(format!("at {offset}")),
        };
        self.transport.commit(&positions.iter().map(position).collect::<Vec<_>>()).unwrap()
    }

    /// Goes on from other offsets.
    pub fn seek(&mut self, to: &[(TopicPartition, i64)]) {
        self.transport.seek(to).unwrap();
        self.went_to(to);
    }

    /// Recovers; retriable errors are tried again.
    pub fn recover(&mut self) -> Vec<Position> {
        let positions = eventually("recover", || match self.transport.recover() {
            Ok(positions) => Some(positions),
            Err(TransportError::Retriable(_)) => None,
            Err(error) => panic!("recover: {error}"),
        });
        self.went_to(&positions.iter().map(|at| (at.partition.clone(), at.offset)).collect::<Vec<_>>());
        positions
    }

    fn went_to(&mut self, to: &[(TopicPartition, i64)]) {
        for (partition, offset) in to {
            self.next.insert(partition.clone(), *offset);
            self.ended.remove(partition);
            self.rows.retain(|row| row.partition != *partition);
        }
    }

    /// Gives up what was revoked.
    pub fn release(&mut self) {
        let revoked: Vec<_> = std::mem::take(&mut self.revoked).into_iter().collect();
        if !revoked.is_empty() {
            self.transport.release(&revoked).unwrap();
        }
    }
}

/// Rows for partitions of `topic`.
pub(crate) fn outgoing(topic: &TopicName, partitions: Vec<i32>, batch: RecordBatch) -> Outgoing {
    Outgoing { topic: topic.clone(), partitions, rows: Rows::from_batch(batch) }
}

/// A member of a host of its own.
pub(crate) fn only_member(connector: &Arc<dyn weir_core::ports::Connector>) -> Member {
    Member::new(connector.transport(0).unwrap())
}
