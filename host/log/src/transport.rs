use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::{TopicName, TopicPartition};

use crate::config::{FETCH_BYTES_MAX, FETCH_ROWS_MAX, METADATA_BYTES_MAX};
use crate::draft::Draft;
use crate::error::{ReadError, WriteError};
use crate::frame::{PartitionKey, PositionMeta};
use crate::group::{Change, MemberId};
use crate::log::EmbeddedLog;
use crate::replay::Replays;
use crate::state::State;
use crate::writer::{Done, Request};

/// A stream thread's way to the log. Leaves its group when it is dropped.
pub(crate) struct LogTransport {
    log: Arc<EmbeddedLog>,
    application: String,
    member: MemberId,
    fetching: BTreeMap<TopicPartition, Fetching>,
    /// The partition that is asked first by the next poll, so that none starves.
    first: usize,
    replays: Replays,
    /// Purges that go with the next transaction.
    purges: BTreeMap<TopicPartition, i64>,
    /// The open transaction.
    draft: Option<Draft>,
    /// Why the open transaction can only be aborted.
    broken: Option<String>,
}

/// How far rows of a partition have been handed out.
struct Fetching {
    key: PartitionKey,
    next: i64,
    paused: bool,
    /// Given up; no more rows of it.
    revoked: bool,
    /// It was told that there are no more rows.
    told_end: bool,
}

impl Fetching {
    fn new(key: PartitionKey, next: i64) -> Self {
        Self { key, next, paused: false, revoked: false, told_end: false }
    }

    fn go_to(&mut self, offset: i64) {
        (self.next, self.told_end) = (offset, false);
    }
}

impl From<ReadError> for TransportError {
    fn from(error: ReadError) -> Self {
        Self::Fatal(error.to_string())
    }
}

impl LogTransport {
    pub fn new(log: Arc<EmbeddedLog>, application: &str, topics: &[TopicName], thread: usize) -> Self {
        let member = log.state().groups.entry(application.to_owned()).or_default().join(thread, topics);
        log.changed.notify_all();
        Self {
            log,
            application: application.to_owned(),
            member,
            fetching: BTreeMap::new(),
            first: 0,
            replays: Replays::default(),
            purges: BTreeMap::new(),
            draft: None,
            broken: None,
        }
    }

    /// Asks the group what has changed, and takes it in.
    fn changes(&mut self, state: &mut State) -> Vec<Incoming> {
        let gone = |(at, fetching): &(&TopicPartition, &Fetching)| state.key(at) != Some(fetching.key);
        let gone: Vec<TopicPartition> = self.fetching.iter().filter(gone).map(|(at, _)| at.clone()).collect();
        let State { groups, by_name, topics, .. } = state;
        let Some(group) = groups.get_mut(&self.application) else { return Vec::new() };
        let count = |topic: &TopicName| Some(topics.get(by_name.get(topic)?)?.meta.partitions);
        // A topic that was deleted is nobody's, and one made anew under its name another.
        group.release(self.member, &gone);
        let Change { mut lost, revoked, assigned } = group.poll(self.member, count, Instant::now());
        lost.extend(gone);
        self.fetching.retain(|partition, _| !lost.contains(partition));
        for partition in &revoked {
            if let Some(fetching) = self.fetching.get_mut(partition) {
                fetching.revoked = true;
            }
        }
        let mut positions = Vec::new();
        for partition in assigned {
            let Some(key) = state.key(&partition) else { continue };
            let position = position_of(state, &self.application, &partition, key);
            self.fetching.insert(partition, Fetching::new(key, position.offset));
            positions.push(position);
        }
        let mut incoming = Vec::new();
        if !lost.is_empty() {
            incoming.push(Incoming::Lost(lost));
        }
        if !revoked.is_empty() {
            incoming.push(Incoming::Revoked(revoked));
        }
        if !positions.is_empty() {
            incoming.push(Incoming::Assigned(positions));
        }
        incoming
    }

    /// The partitions that have rows to fetch, beginning with another one each time.
    fn ready(&mut self, state: &State) -> Vec<TopicPartition> {
        let is_ready = |fetching: &Fetching| {
            let end = state.partition(fetching.key).map_or(0, |partition| partition.next);
            !fetching.paused && !fetching.revoked && fetching.next < end
        };
        let ready = self.fetching.iter().filter(|(_, fetching)| is_ready(fetching));
        let mut ready = ready.map(|(partition, _)| partition.clone()).collect::<Vec<_>>();
        if !ready.is_empty() {
            let first = self.first % ready.len();
            ready.rotate_left(first);
            self.first = self.first.wrapping_add(1);
        }
        ready
    }

    fn fetch(&mut self, ready: Vec<TopicPartition>) -> Result<Vec<Incoming>, TransportError> {
        let (mut incoming, mut bytes) = (Vec::new(), 0);
        for partition in ready {
            if bytes >= FETCH_BYTES_MAX {
                break;
            }
            let Some(fetching) = self.fetching.get_mut(&partition) else { continue };
            let left = FETCH_BYTES_MAX - bytes;
            let (rows, next) = self.log.read_rows(&partition, fetching.key, fetching.next, FETCH_ROWS_MAX, left)?;
            fetching.go_to(next);
            bytes += rows.bytes();
            if !rows.is_empty() {
                incoming.push(Incoming::Fetched(partition, rows));
            }
        }
        Ok(incoming)
    }

    /// The partitions of which all was given since this was last told of them.
    fn ended(&mut self, state: &State) -> Vec<Incoming> {
        let mut ended = Vec::new();
        for (partition, fetching) in self.fetching.iter_mut().filter(|(_, fetching)| !fetching.told_end) {
            let end = state.partition(fetching.key).map_or(0, |partition| partition.next);
            if !fetching.paused && !fetching.revoked && fetching.next >= end {
                fetching.told_end = true;
                ended.push(Incoming::Ended(partition.clone()));
            }
        }
        ended
    }

    fn try_commit(&self, mut draft: Draft, positions: &[Position]) -> Result<Committed, CommitError> {
        {
            let mut state = self.log.state();
            for position in positions {
                let Some(partition) = state.key(&position.partition) else {
                    return Err(CommitError::Refused(no_partition(&position.partition)));
                };
                let metadata = position.metadata.clone().unwrap_or_default();
                if metadata.len() > METADATA_BYTES_MAX {
                    return Err(CommitError::Refused(format!(
                        "the metadata of {} has {} bytes, the most is {METADATA_BYTES_MAX}",
                        position.partition,
                        metadata.len()
                    )));
                }
                let (application, offset) = (self.application.clone(), position.offset);
                draft.positions.push(PositionMeta { application, partition, offset, metadata });
            }
            let group = state.groups.entry(self.application.clone()).or_default();
            if !group.owns(self.member, positions.iter().map(|position| &position.partition)) {
                let text = "this thread has released, lost or never had a partition whose position it commits";
                return Err(CommitError::Fenced(text.into()));
            }
            group.set_committing(self.member, true);
        }
        draft.close();
        let mut rows: BTreeMap<PartitionKey, i64> = BTreeMap::new();
        for chunk in &draft.chunks {
            *rows.entry(chunk.partition).or_default() += chunk.rows;
        }
        let written = self.log.write(Request::Transaction(draft));
        if let Some(group) = self.log.state().groups.get_mut(&self.application) {
            group.set_committing(self.member, false);
        }
        match written {
            Ok(Done::Written(bases)) => {
                let state = self.log.state();
                let end = |(key, base)| Some((state.name(key)?, base + rows.get(&key)?));
                Ok(Committed { ends: bases.into_iter().filter_map(end).collect() })
            }
            Ok(Done::Gone | Done::Exists) => {
                Err(CommitError::Refused("a topic that it writes to or reads from was deleted".into()))
            }
            Err(WriteError::Failed(why)) => Err(CommitError::Refused(why)),
            Err(WriteError::Unknown(why)) => Err(CommitError::Unknown(why)),
        }
    }

    fn check_open(&self) -> Result<(), TransportError> {
        self.log.state().failed.as_ref().map_or(Ok(()), |why| Err(TransportError::Fatal(why.clone())))
    }
}

pub(crate) fn no_partition(partition: &TopicPartition) -> String {
    format!("there is no partition {partition} in the embedded log; create the topic first")
}

/// What the application has committed for a partition, or where to start.
pub(crate) fn position_of(state: &State, application: &str, partition: &TopicPartition, key: PartitionKey) -> Position {
    let committed = state.positions.get(&(application.to_owned(), key));
    let begin = state.partition(key).map_or(0, |partition| partition.begin);
    Position {
        partition: partition.clone(),
        offset: committed.map_or(begin, |committed| committed.offset),
        metadata: committed.map(|committed| committed.metadata.clone()),
    }
}

impl Transport for LogTransport {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        let deadline = Instant::now() + wait;
        let log = self.log.clone();
        let mut state = log.state();
        loop {
            if let Some(why) = &state.failed {
                return Err(TransportError::Fatal(why.clone()));
            }
            let changes = self.changes(&mut state);
            if !changes.is_empty() {
                return Ok(changes);
            }
            let ready = self.ready(&state);
            if !ready.is_empty() || !self.replays.is_empty() {
                drop(state);
                let mut incoming = self.fetch(ready)?;
                incoming.extend(self.replays.read(&log)?);
                if !incoming.is_empty() {
                    return Ok(incoming);
                }
                state = log.state();
                continue;
            }
            let ended = self.ended(&state);
            if !ended.is_empty() {
                return Ok(ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            state = log.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        self.check_open()?;
        if self.draft.is_some() {
            return Err(TransportError::Abortable("a transaction is open already".into()));
        }
        (self.draft, self.broken) = (Some(Draft::default()), None);
        Ok(())
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.check_open()?;
        let Some(draft) = &mut self.draft else {
            return Err(TransportError::Abortable("no transaction is open".into()));
        };
        let topic = {
            let state = self.log.state();
            let topic = state.by_name.get(&outgoing.topic).and_then(|id| state.topics.get(id));
            topic.map(|topic| (topic.meta.id, topic.partitions.len()))
        };
        let added = match topic {
            None => Err("there is no such topic in the embedded log; create it first".into()),
            Some((topic, count)) => draft.add(topic, count, &outgoing.partitions, &outgoing.rows),
        };
        added.map_err(|why| {
            let why = format!("topic `{}`: {why}", outgoing.topic);
            self.broken = Some(why.clone());
            TransportError::Abortable(why)
        })
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let mut draft = self.draft.take().ok_or_else(|| CommitError::Refused("no transaction is open".into()))?;
        let purges = std::mem::take(&mut self.purges);
        let state = self.log.state();
        draft.purges = purges.iter().filter_map(|(partition, before)| Some((state.key(partition)?, *before))).collect();
        drop(state);
        match self.broken.take() {
            Some(why) => Err(CommitError::Refused(why)),
            None => self.try_commit(draft, positions),
        }
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        (self.draft, self.broken) = (None, None);
        self.check_open()
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        (self.draft, self.broken) = (None, None);
        self.check_open()?;
        let state = self.log.state();
        let mut positions = Vec::new();
        for (partition, fetching) in &mut self.fetching {
            let position = position_of(&state, &self.application, partition, fetching.key);
            fetching.go_to(position.offset);
            positions.push(position);
        }
        Ok(positions)
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        for (partition, offset) in to {
            if let Some(fetching) = self.fetching.get_mut(partition) {
                fetching.go_to(*offset);
            }
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.set_paused(partitions, true);
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.set_paused(partitions, false);
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.fetching.retain(|partition, _| !partitions.contains(partition));
        if let Some(group) = self.log.state().groups.get_mut(&self.application) {
            group.release(self.member, partitions);
        }
        self.log.changed.notify_all();
        Ok(())
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        let begun = self.replays.begin(&self.log.state(), from);
        begun.map_err(|unknown| TransportError::Abortable(no_partition(&unknown)))
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.replays.stop(partitions);
        Ok(())
    }

    /// With the next transaction: a sync of their own would be dearer than the space.
    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        for (partition, offset) in before {
            let known = self.purges.entry(partition.clone()).or_insert(*offset);
            *known = (*known).max(*offset);
        }
        Ok(())
    }
}

impl LogTransport {
    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        for partition in partitions {
            if let Some(fetching) = self.fetching.get_mut(partition) {
                fetching.paused = paused;
                fetching.go_to(fetching.next);
            }
        }
    }
}

impl Drop for LogTransport {
    fn drop(&mut self) {
        if let Some(group) = self.log.state().groups.get_mut(&self.application) {
            group.leave(self.member);
        }
        self.log.changed.notify_all();
    }
}
