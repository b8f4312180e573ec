//! Changelogs read beside the input: one further consumer of a stream thread, outside of every group, there only while it
//! is needed.
//!
//! A replay ends by position, not by count: markers, aborted rows and compaction leave gaps, so its last batch may come
//! from the report that the partition has no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use weir_core::ports::{Incoming, Replay, TransportError};
use weir_core::record::{RecordBatch, TopicPartition};

use crate::config::{KafkaConfig, Role};
use crate::ffi::{AskedOffsets, BATCH_ROWS_MAX, OffsetAnswer, RowQueue};
use crate::seek::{offset_list, partition_list};
use crate::status::{Status, Watch};

/// Batches that one poll takes at most, so that input and timers have their turn.
const BATCHES_MAX: usize = 4;
/// The consumer goes when nothing was replayed for so long: it costs memory and connections.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long an answer about offsets may take before it is asked for again.
const ASK_WAIT: Duration = Duration::from_secs(5);
/// Pause before a partition is asked about again that the brokers had no answer for.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// All replays of one stream thread.
pub(crate) struct Replayer {
    config: Arc<KafkaConfig>,
    status: Status,
    id: String,
    reading: BTreeMap<TopicPartition, Reading>,
    source: Option<Source>,
    used_at: Instant,
    rounds: u64,
}

/// The consumer and what was asked by it, in the order in which they are to be dropped.
struct Source {
    asking: Vec<Asking>,
    rows: RowQueue<Watch>,
    consumer: Arc<BaseConsumer<Watch>>,
}

/// Begins and ends of some partitions, asked for.
struct Asking {
    round: u64,
    partitions: Vec<TopicPartition>,
    since: Instant,
    begins: AskedOffsets,
    ends: AskedOffsets,
    begun: Option<Vec<OffsetAnswer>>,
    ended: Option<Vec<OffsetAnswer>>,
}

/// Where a partition begins and ends; none of what has to be asked about again.
struct Bounds {
    partition: TopicPartition,
    begin: Option<i64>,
    end: Option<i64>,
}

/// One replay.
struct Reading {
    from: Option<i64>,
    /// Of the latest question about it; answers to earlier ones do not count.
    round: u64,
    /// When to ask again; none: asked, or known.
    ask_at: Option<Instant>,
    next: i64,
    /// Known once fetching has begun.
    end: Option<i64>,
    restarted: bool,
    /// It stands before rows that are not committed yet, since then.
    blocked_since: Option<Instant>,
}

impl Reading {
    /// What came, told; `restarted` only once.
    fn tell(&mut self, partition: &TopicPartition, rows: RecordBatch) -> Incoming {
        let (next, end) = (self.next, self.end.unwrap_or(i64::MAX));
        let restarted = std::mem::take(&mut self.restarted);
        Incoming::Replayed { partition: partition.clone(), rows, next, end, restarted }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

impl Replayer {
    pub fn new(config: Arc<KafkaConfig>, status: Status, id: String) -> Self {
        Self { config, status, id, reading: BTreeMap::new(), source: None, used_at: Instant::now(), rounds: 0 }
    }

    pub fn is_active(&self) -> bool {
        !self.reading.is_empty()
    }

    /// How long the replay that waits longest has been waiting for the end of somebody's transaction.
    pub fn blocked_for(&self) -> Option<Duration> {
        self.reading.values().filter_map(|reading| reading.blocked_since).min().map(|since| since.elapsed())
    }

    pub fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        let partitions: Vec<TopicPartition> = from.iter().map(|replay| replay.partition.clone()).collect();
        self.stop(&partitions)?;
        for Replay { partition, from } in from {
            let reading = Reading {
                from: *from,
                round: 0,
                ask_at: Some(Instant::now()),
                next: 0,
                end: None,
                restarted: false,
                blocked_since: None,
            };
            self.reading.insert(partition.clone(), reading);
        }
        self.ask()
    }

    pub fn stop(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.used_at = Instant::now();
        let fetching: Vec<TopicPartition> = partitions
            .iter()
            .filter(|partition| self.reading.remove(partition).is_some_and(|reading| reading.end.is_some()))
            .cloned()
            .collect();
        self.unassign(&fetching)
    }

    fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        let Some(source) = self.source.as_ref().filter(|_| !partitions.is_empty()) else { return Ok(()) };
        let gone = source.consumer.incremental_unassign(&partition_list(partitions));
        gone.map_err(|error| TransportError::Retriable(format!("a replay cannot be ended: {error}")))
    }

    fn source(&mut self) -> Result<&mut Source, TransportError> {
        let source = match self.source.take() {
            Some(source) => source,
            None => {
                let fatal = |what: String| TransportError::Fatal(format!("changelogs cannot be read: {what}"));
                let settings = self.config.client(Role::Replay, &format!("{}-replay", self.id));
                let made = settings.create_with_context(Watch(self.status.clone()));
                let consumer: Arc<BaseConsumer<Watch>> = Arc::new(made.map_err(|error| fatal(error.to_string()))?);
                let rows = RowQueue::new(consumer.clone()).ok_or_else(|| fatal("no queue for rows".into()))?;
                Source { asking: Vec::new(), rows, consumer }
            }
        };
        Ok(self.source.insert(source))
    }

    /// Asks for begin and end of every replay that is due to be asked about.
    fn ask(&mut self) -> Result<(), TransportError> {
        let now = Instant::now();
        self.rounds += 1;
        let round = self.rounds;
        let mut partitions = Vec::new();
        for (partition, reading) in &mut self.reading {
            if reading.ask_at.is_some_and(|at| at <= now) {
                (reading.ask_at, reading.round) = (None, round);
                partitions.push(partition.clone());
            }
        }
        if partitions.is_empty() {
            return Ok(());
        }
        let source = self.source()?;
        let ask = |offset| AskedOffsets::new(source.consumer.client(), &list_at(&partitions, offset)?);
        let (Some(begins), Some(ends)) = (ask(Offset::Beginning), ask(Offset::End)) else {
            return Err(TransportError::Fatal("librdkafka gave no queue for offsets".into()));
        };
        source.asking.push(Asking { round, partitions, since: now, begins, ends, begun: None, ended: None });
        Ok(())
    }

    /// Takes what came of all replays; waits up to `wait` for the first rows.
    pub fn poll(&mut self, wait: Duration, incoming: &mut Vec<Incoming>) -> Result<(), TransportError> {
        if self.reading.is_empty() {
            if self.source.is_some() && self.used_at.elapsed() > IDLE_MAX {
                self.source = None;
            }
            return Ok(());
        }
        self.used_at = Instant::now();
        self.ask()?;
        self.take_answers(incoming)?;
        let mut wait = wait;
        for _ in 0..BATCHES_MAX {
            if self.take_rows(wait, incoming) < BATCH_ROWS_MAX {
                break;
            }
            wait = Duration::ZERO;
        }
        let done: Vec<TopicPartition> =
            self.reading.iter().filter(|(_, reading)| reading.is_done()).map(|(at, _)| at.clone()).collect();
        self.stop(&done)
    }

    /// Begins to fetch what the brokers have told begin and end of.
    fn take_answers(&mut self, incoming: &mut Vec<Incoming>) -> Result<(), TransportError> {
        let Some(source) = &mut self.source else { return Ok(()) };
        let mut starts: Vec<(TopicPartition, i64)> = Vec::new();
        let mut finished = Vec::new();
        for (index, asking) in source.asking.iter_mut().enumerate() {
            let Some(answers) = asking.answers(&self.status) else { continue };
            finished.push(index);
            for Bounds { partition, begin, end } in answers {
                let current = self.reading.get_mut(&partition).filter(|reading| reading.round == asking.round);
                let Some(reading) = current else { continue };
                let (Some(begin), Some(end)) = (begin, end) else {
                    reading.ask_at = Some(Instant::now() + ASK_PAUSE);
                    continue;
                };
                reading.restarted = reading.from.is_some_and(|from| !(begin..=end).contains(&from));
                reading.next = reading.from.filter(|_| !reading.restarted).unwrap_or(begin);
                if reading.next >= end {
                    reading.end = Some(end);
                    incoming.push(reading.tell(&partition, RecordBatch::default()));
                    self.reading.remove(&partition);
                } else {
                    starts.push((partition, end));
                }
            }
        }
        for index in finished.into_iter().rev() {
            source.asking.remove(index);
        }
        self.start(starts)
    }

    fn start(&mut self, starts: Vec<(TopicPartition, i64)>) -> Result<(), TransportError> {
        let Some(source) = self.source.as_mut().filter(|_| !starts.is_empty()) else { return Ok(()) };
        let mut list = Vec::with_capacity(starts.len());
        for (partition, end) in starts {
            let Some(reading) = self.reading.get_mut(&partition) else { continue };
            if !source.rows.forward(&partition) {
                return Err(TransportError::Fatal(format!("{partition} has no queue to take rows from")));
            }
            reading.end = Some(end);
            list.push((partition, reading.next));
        }
        let assigned = source.consumer.incremental_assign(&offset_list(&list)?);
        assigned.map_err(|error| TransportError::Fatal(format!("changelogs cannot be read: {error}")))
    }

    /// Takes a batch; returns how many rows it had.
    fn take_rows(&mut self, wait: Duration, incoming: &mut Vec<Incoming>) -> usize {
        let Some(source) = &mut self.source else { return 0 };
        // Serves logs and errors; rows come by their own queue.
        let _event = source.consumer.poll(Duration::ZERO);
        let fetched = source.rows.take(wait, BATCH_ROWS_MAX);
        for (partition, code, text) in fetched.errors {
            tracing::warn!(%partition, %code, text, "a replay reports an error");
            self.status.note(code, &text);
        }
        let mut count = 0;
        for (partition, rows) in fetched.rows {
            count += rows.len();
            let (Some(reading), Some(last)) = (self.reading.get_mut(&partition), rows.offsets.last()) else { continue };
            if reading.is_done() {
                continue;
            }
            reading.next = last + 1;
            reading.blocked_since = None;
            incoming.push(reading.tell(&partition, rows));
        }
        for (partition, end) in fetched.ends {
            let Some(reading) = self.reading.get_mut(&partition).filter(|reading| !reading.is_done()) else { continue };
            reading.next = reading.next.max(end);
            if reading.is_done() {
                incoming.push(reading.tell(&partition, RecordBatch::default()));
            } else {
                reading.blocked_since.get_or_insert_with(Instant::now);
            }
        }
        if count > 0 {
            self.status.clear();
        }
        count
    }
}

impl Asking {
    /// Begin and end of each partition once both are told; none of one that has to be asked about again.
    fn answers(&mut self, status: &Status) -> Option<Vec<Bounds>> {
        for (asked, told) in [(&mut self.begins, &mut self.begun), (&mut self.ends, &mut self.ended)] {
            if told.is_none() {
                *told = asked.answer(Duration::ZERO).map(|answer| {
                    answer.unwrap_or_else(|text| {
                        tracing::warn!(text, "begin and end of changelogs cannot be read");
                        Vec::new()
                    })
                });
            }
        }
        if self.since.elapsed() < ASK_WAIT && (self.begun.is_none() || self.ended.is_none()) {
            return None;
        }
        let offset = |told: &Option<Vec<OffsetAnswer>>, partition: &TopicPartition| {
            let (_, answer) = told.as_ref()?.iter().find(|(known, _)| known == partition)?;
            answer
                .inspect_err(|code| {
                    tracing::warn!(%partition, %code, "begin and end of a changelog cannot be read");
                    status.note(*code, "begin and end of a changelog cannot be read");
                })
                .ok()
        };
        let tell = |partition: &TopicPartition| {
            let (begin, end) = (offset(&self.begun, partition), offset(&self.ended, partition));
            Bounds { partition: partition.clone(), begin, end }
        };
        Some(self.partitions.iter().map(tell).collect())
    }
}

fn list_at(partitions: &[TopicPartition], offset: Offset) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(partition.topic.as_str(), partition.partition, offset).ok()?;
    }
    Some(list)
}
