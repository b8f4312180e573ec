use std::collections::BTreeMap;
use std::time::Duration;

use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::{TopicName, TopicPartition};

use super::group::{MemberId, Standing};
use super::log::Partition;
use super::replay::Replays;
use super::transactions::{DelayedEnd, Fenced};
use super::{Broker, SimBroker, StoredRow};

/// `KafkaTransport` name by name, at a [`SimBroker`]. May refuse a commit, or do it and lose the answer; never reorders rows.
pub struct SimTransport {
    broker: SimBroker,
    application: String,
    /// Names the member and is its transactional id.
    instance: String,
    topics: Vec<TopicName>,
    member: MemberId,
    epoch: u32,
    partitions: BTreeMap<TopicPartition, Fetching>,
    replays: Replays,
    /// A transaction was begun and not ended.
    open: bool,
    /// An end of this producer may still be on its way.
    disturbed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Fetching {
    next: i64,
    paused: bool,
    revoked: bool,
    /// It was told that there are no more rows.
    told_end: bool,
}

/// How the end of a transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Answered,
    Repeated,
    Lost,
    Unanswered,
    Delayed,
}

impl SimTransport {
    pub(super) fn new(broker: &SimBroker, application: &str, instance: String, topics: &[TopicName]) -> Self {
        let mut state = broker.lock();
        let member = state.join(application, &instance, topics);
        let epoch = state.init_producer(&instance);
        drop(state);
        Self {
            broker: broker.clone(),
            application: application.to_owned(),
            instance,
            topics: topics.to_vec(),
            member,
            epoch,
            partitions: BTreeMap::new(),
            replays: Replays::default(),
            open: false,
            disturbed: false,
        }
    }

    fn standing(&self, broker: &Broker) -> Standing {
        broker.standing(&self.application, &self.instance, self.member)
    }

    fn replaced(&self) -> TransportError {
        TransportError::Fatal(format!("{} has started anew elsewhere", self.instance))
    }

    /// What the group has to say.
    fn membership(&mut self, broker: &mut Broker, incoming: &mut Vec<Incoming>) -> Result<(), TransportError> {
        let expelled = broker.faults.expelled;
        if broker.random.chance(expelled) {
            broker.expel(&self.application, &self.instance);
        }
        match self.standing(broker) {
            Standing::Replaced => return Err(self.replaced()),
            Standing::Expelled => {
                let lost: Vec<_> = std::mem::take(&mut self.partitions).into_keys().collect();
                if !lost.is_empty() {
                    incoming.push(Incoming::Lost(lost));
                }
                self.member = broker.join(&self.application, &self.instance, &self.topics);
                return Ok(()); // what is ours comes with the next poll
            }
            Standing::Member => broker.heartbeat(&self.application, &self.instance),
        }
        let mut revoked = broker.to_revoke(&self.application, &self.instance);
        revoked.retain(|partition| self.partitions.get(partition).is_some_and(|fetching| !fetching.revoked));
        for partition in &revoked {
            if let Some(fetching) = self.partitions.get_mut(partition) {
                fetching.revoked = true;
            }
        }
        if !revoked.is_empty() {
            incoming.push(Incoming::Revoked(revoked));
        }
        let assigned = broker.take_assigned(&self.application, &self.instance);
        for position in &assigned {
            let fetching = Fetching { next: position.offset, paused: false, revoked: false, told_end: false };
            self.partitions.insert(position.partition.clone(), fetching);
        }
        if !assigned.is_empty() {
            incoming.push(Incoming::Assigned(assigned));
        }
        Ok(())
    }

    fn fetch(&mut self, broker: &mut Broker, incoming: &mut Vec<Incoming>) {
        let mut random = broker.random.clone();
        let fetched = self.partitions.iter_mut().filter(|(_, fetching)| !fetching.paused && !fetching.revoked);
        for (partition, fetching) in fetched {
            if random.chance(broker.faults.fetch_empty) {
                continue;
            }
            let rows_max = random.within(1, broker.fetch_rows_max);
            let Some(log) = broker.partition(partition) else { continue };
            let (batch, next) = log.read(fetching.next, rows_max, &broker.transactions);
            let is_end = batch.is_empty() && next == fetching.next;
            fetching.next = next;
            if !batch.is_empty() {
                fetching.told_end = false;
                incoming.push(Incoming::Fetched(partition.clone(), batch));
            } else if is_end && !std::mem::replace(&mut fetching.told_end, true) {
                incoming.push(Incoming::Ended(partition.clone()));
            }
        }
        broker.random = random;
    }

    /// Sends the end of the open transaction; what was chosen of the faults is returned.
    fn end(&mut self, broker: &mut Broker, commit: bool) -> Result<Ending, Fenced> {
        let ending = choose_ending(broker, commit);
        let producer = (self.instance.as_str(), self.epoch);
        if matches!(ending, Ending::Answered | Ending::Repeated | Ending::Unanswered) {
            broker.end(producer, commit)?;
        }
        if matches!(ending, Ending::Repeated | Ending::Delayed) {
            let delay_us = 1 + broker.random.below(broker.faults.end_delay_us_max.max(1) as usize) as i64;
            let due_us = broker.now_us + delay_us;
            broker.ends.push(DelayedEnd { due_us, producer: self.instance.clone(), epoch: self.epoch, commit });
        }
        self.disturbed |= ending != Ending::Answered;
        Ok(ending)
    }

    fn own(&mut self, partition: &TopicPartition, what: &str) -> Option<&mut Fetching> {
        if !self.partitions.contains_key(partition) {
            self.broker.lock().broke_a_rule(format!("{what} of {partition}, which is not assigned"));
        }
        self.partitions.get_mut(partition)
    }
}

fn choose_ending(broker: &mut Broker, commit: bool) -> Ending {
    let faults = broker.faults;
    let mut chance = |often| broker.random.chance(often);
    if chance(faults.end_repeated) {
        return Ending::Repeated;
    }
    if chance(faults.end_delayed) {
        return Ending::Delayed;
    }
    if commit && chance(faults.commit_lost) {
        return Ending::Lost;
    }
    if commit && chance(faults.commit_unanswered) {
        return Ending::Unanswered;
    }
    if !commit && chance(faults.abort_failed) { Ending::Lost } else { Ending::Answered }
}

/// Any offset from the last row's to the next one's will do: sometimes before the marker of the commit, sometimes after it.
fn end_of(broker: &Broker, partition: TopicPartition, last: i64) -> (TopicPartition, i64) {
    let after_marker = broker.partition(&partition).map_or(last + 1, Partition::end_offset);
    (partition, if last % 2 == 0 { last + 1 } else { after_marker })
}

impl Transport for SimTransport {
    fn poll(&mut self, _wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        let poll_us = broker.poll_us;
        broker.advance(poll_us);
        let faults = broker.faults;
        if broker.random.chance(faults.poll_failed) {
            return Err(TransportError::Retriable("no broker could be reached".to_owned()));
        }
        if self.open && broker.random.chance(faults.poll_broken) {
            return Err(TransportError::Abortable("a row could not be delivered".to_owned()));
        }
        let mut incoming = Vec::new();
        self.membership(&mut broker, &mut incoming)?;
        self.fetch(&mut broker, &mut incoming);
        self.replays.poll(&mut broker, &self.application, &mut incoming);
        Ok(incoming)
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        if self.open {
            broker.broke_a_rule("begin, with a transaction open".to_owned());
        }
        let often = broker.faults.begin_failed;
        if broker.random.chance(often) {
            return Err(TransportError::Retriable("the coordinator is moving".to_owned()));
        }
        if self.disturbed && broker.replaces_disturbed {
            if self.standing(&broker) == Standing::Replaced {
                return Err(self.replaced());
            }
            self.epoch = broker.init_producer(&self.instance);
            self.disturbed = false;
        }
        self.open = true;
        Ok(())
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        if !self.open {
            broker.broke_a_rule(format!("rows for {} without a transaction", outgoing.topic));
        }
        let often = broker.faults.produce_broken;
        if broker.random.chance(often) {
            return Err(TransportError::Abortable(format!("a row for {} could not be delivered", outgoing.topic)));
        }
        let rows =
            (0..outgoing.rows.len()).map(|row| (outgoing.partitions[row], StoredRow::of_rows(&outgoing.rows, row)));
        let done = broker.produce((&self.instance, self.epoch), &outgoing.topic, rows);
        // Fenced by a time-out or by a successor: `recover` finds out which.
        done.map_err(|Fenced| TransportError::Abortable("the producer is fenced".to_owned()))
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        if !self.open {
            broker.broke_a_rule("commit without a transaction".to_owned());
        }
        let often = broker.faults.commit_refused;
        if broker.random.chance(often) {
            return Err(CommitError::Refused("the coordinator is moving".to_owned()));
        }
        if broker.fences && !positions.is_empty() && self.standing(&broker) != Standing::Member {
            return Err(CommitError::Fenced(format!("{} is not a member any more", self.instance)));
        }
        let fenced = |Fenced| CommitError::Fenced("another producer has the transactional id".to_owned());
        // Like librdkafka, send nothing for an empty list.
        if !positions.is_empty() {
            broker.add_positions((&self.instance, self.epoch), &self.application, positions).map_err(fenced)?;
        }
        let last_rows = broker.last_rows((&self.instance, self.epoch));
        match self.end(&mut broker, true).map_err(fenced)? {
            Ending::Answered | Ending::Repeated => {
                self.open = false;
                let ends = last_rows.into_iter().map(|(partition, last)| end_of(&broker, partition, last));
                Ok(Committed { ends: ends.collect() })
            }
            Ending::Lost | Ending::Unanswered | Ending::Delayed => {
                Err(CommitError::Unknown("no answer from the coordinator".to_owned()))
            }
        }
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        if !self.open {
            broker.broke_a_rule("abort without a transaction".to_owned());
        }
        let fenced = |Fenced| TransportError::Abortable("the producer is fenced".to_owned());
        match self.end(&mut broker, false).map_err(fenced)? {
            Ending::Answered | Ending::Repeated => {
                self.open = false;
                Ok(())
            }
            Ending::Lost | Ending::Unanswered | Ending::Delayed => {
                Err(TransportError::Abortable("no answer from the coordinator".to_owned()))
            }
        }
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        let shared = self.broker.clone();
        let mut broker = shared.lock();
        if self.standing(&broker) == Standing::Replaced {
            return Err(self.replaced());
        }
        let often = broker.faults.recover_failed;
        if broker.random.chance(often) {
            return Err(TransportError::Retriable("no broker could be reached".to_owned()));
        }
        self.epoch = broker.init_producer(&self.instance);
        (self.open, self.disturbed) = (false, false);
        let mut positions = Vec::new();
        for (partition, fetching) in &mut self.partitions {
            if broker.waits_for_stable && broker.unstable(&self.application, partition).is_some() {
                return Err(TransportError::Retriable(format!("the position of {partition} is not settled")));
            }
            let begin = broker.partition(partition).map_or(0, Partition::begin);
            let start = Position { partition: partition.clone(), offset: begin, metadata: None };
            let committed = broker.groups.get(&self.application).and_then(|group| group.committed.get(partition));
            let position = committed.cloned().unwrap_or(start);
            (fetching.next, fetching.told_end) = (position.offset, false);
            positions.push(position);
        }
        Ok(positions)
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        for (partition, offset) in to {
            if let Some(fetching) = self.own(partition, "seek") {
                (fetching.next, fetching.told_end) = (*offset, false);
            }
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        for partition in partitions {
            if let Some(fetching) = self.own(partition, "pause") {
                fetching.paused = true;
            }
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        for partition in partitions {
            if let Some(fetching) = self.own(partition, "resume") {
                (fetching.paused, fetching.told_end) = (false, false);
            }
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        for partition in partitions {
            if !self.partitions.remove(partition).is_some_and(|fetching| fetching.revoked) {
                self.broker.lock().broke_a_rule(format!("release of {partition}, which is not revoked"));
            }
        }
        self.broker.lock().release(&self.application, self.member, partitions);
        Ok(())
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        let unknown = self.replays.begin(&self.broker.lock(), from);
        unknown.map_or(Ok(()), |unknown| Err(TransportError::Retriable(format!("there is no partition {unknown}"))))
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.replays.stop(partitions);
        Ok(())
    }

    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        let mut broker = self.broker.lock();
        for (partition, offset) in before {
            if let Some(log) = broker.partition_mut(partition) {
                log.purge(*offset);
            }
        }
        Ok(())
    }
}
