use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::TopicPartition;

use crate::assigning::{Assigning, Settling};
use crate::client::KafkaClient;
use crate::config::{KafkaConfig, Role};
use crate::ffi::{BATCH_ROWS_MAX, RowQueue};
use crate::hosts;
use crate::membership::{Change, ClassicGroup, GroupWatch, Membership};
use crate::producer::TransactionalProducer;
use crate::purge::Purger;
use crate::replay::Replayer;
use crate::seek::{partition_list, seek};
use crate::status::Status;

/// How long a wait for rows may hide a rebalance: it comes by another queue.
const TURN: Duration = Duration::from_millis(10);
/// How long a recovery waits for stable positions before it gives the thread back.
const RECOVER_WAIT: Duration = Duration::from_secs(2);
/// How often a host that cannot reach its brokers asks whether they are back.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// How long it waits for that answer.
const PROBE_WAIT: Duration = Duration::from_millis(200);
/// How long a wait for rows of a changelog may hide those of the input.
const REPLAY_TURN: Duration = Duration::from_millis(1);
/// A replay that stands before an open transaction for so long has met one of a dead owner.
const BLOCKED_MAX: Duration = Duration::from_millis(500);
/// Pause between two attempts to end such transactions, doubled each time, and its bound.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(500);
/// See [`UNBLOCK_PAUSE`].
const UNBLOCK_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the group's members may be asked for.
const MEMBERS_WAIT: Duration = Duration::from_secs(2);

/// A partition that is ours.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The next offset to hand out.
    next: i64,
    paused: bool,
}

/// One stream thread's consumer and producer. To be used by one OS thread.
pub struct KafkaTransport {
    config: Arc<KafkaConfig>,
    id: String,
    status: Status,
    client: Arc<KafkaClient>,
    producer: TransactionalProducer,
    rows: RowQueue<GroupWatch>,
    consumer: Arc<BaseConsumer<GroupWatch>>,
    /// After the fields that use the consumer; it leaves the group as it is dropped.
    membership: Box<dyn Membership>,
    replayer: Replayer,
    /// When a blocked replay was last helped, and how long the next help waits.
    unblocked: (Instant, Duration),
    purger: Purger,
    held: BTreeMap<TopicPartition, Held>,
    /// Handed out as revoked, not released yet.
    revoked: BTreeSet<TopicPartition>,
    assigning: Option<Assigning>,
    enlisted: bool,
    joined: bool,
    probed: Instant,
}

impl KafkaTransport {
    pub(crate) fn new(
        config: Arc<KafkaConfig>,
        client: Arc<KafkaClient>,
        status: Status,
        thread: usize,
    ) -> Result<Self, TransportError> {
        let id = config.transactional_id(thread);
        let fatal = |error: KafkaError| TransportError::Fatal(format!("the consumer cannot be made: {error}"));
        let settings = config.client(Role::Consumer, &id);
        let consumer: BaseConsumer<GroupWatch> =
            settings.create_with_context(GroupWatch::new(status.clone())).map_err(fatal)?;
        let consumer = Arc::new(consumer);
        let rows = RowQueue::new(consumer.clone())
            .ok_or_else(|| TransportError::Fatal("librdkafka gave no queue for rows".into()))?;
        let timeout = Duration::from_millis(config.transaction_timeout_ms.into());
        let producer = TransactionalProducer::new(
            config.client(Role::Transactions, &id),
            status.clone(),
            timeout,
            config.replace_disturbed_producer,
        );
        let membership = ClassicGroup::new(consumer.clone(), config.application.clone(), config.topics.clone());
        let replayer = Replayer::new(config.clone(), status.clone(), id.clone());
        Ok(Self {
            config,
            id,
            status,
            purger: Purger::new(client.clone()),
            client,
            producer,
            rows,
            consumer,
            membership: Box::new(membership),
            replayer,
            unblocked: (Instant::now(), UNBLOCK_PAUSE),
            held: BTreeMap::new(),
            revoked: BTreeSet::new(),
            assigning: None,
            enlisted: false,
            joined: false,
            probed: Instant::now(),
        })
    }

    /// What comes before the first row, each step once: the producer fences our former self and ends what it left open,
    /// the list of hosts knows us, and only then the group does.
    fn start(&mut self) -> Result<(), TransportError> {
        self.producer.ready()?;
        if !self.enlisted {
            hosts::enlist(&self.client, &self.config, &self.id)?;
            self.enlisted = true;
        }
        self.membership.join()?;
        self.joined = true;
        Ok(())
    }

    fn take_changes(&mut self, incoming: &mut Vec<Incoming>) -> Result<(), TransportError> {
        let Some(change) = self.membership.next_change()? else { return Ok(()) };
        self.status.clear();
        match change {
            Change::Assigned(partitions) => self.assigning = Some(Assigning::new(partitions)),
            Change::Revoked(_) => {
                self.assigning = None;
                let partitions: Vec<TopicPartition> = std::mem::take(&mut self.held).into_keys().collect();
                if partitions.is_empty() {
                    return self.membership.release();
                }
                self.revoked = partitions.iter().cloned().collect();
                incoming.push(Incoming::Revoked(partitions));
            }
            Change::Lost(_) => {
                self.assigning = None;
                let mut partitions: Vec<TopicPartition> = std::mem::take(&mut self.held).into_keys().collect();
                // Revoked ones that were not released in time are lost as well.
                partitions.extend(std::mem::take(&mut self.revoked));
                self.membership.release()?;
                if !partitions.is_empty() {
                    incoming.push(Incoming::Lost(partitions));
                }
            }
        }
        Ok(())
    }

    /// Goes on with an assignment: once its positions are stable, fetching begins.
    fn go_on_assigning(&mut self, incoming: &mut Vec<Incoming>) -> Result<(), TransportError> {
        let Some(assigning) = &mut self.assigning else { return Ok(()) };
        let with = Settling {
            consumer: &self.consumer,
            membership: self.membership.as_ref(),
            client: &self.client,
            config: &self.config,
            own: &self.id,
        };
        let Some(positions) = assigning.positions(&with)? else { return Ok(()) };
        for position in &positions {
            if !self.rows.forward(&position.partition) {
                return Err(TransportError::Fatal(format!("{} has no queue to take rows from", position.partition)));
            }
        }
        let from: Vec<(TopicPartition, i64)> =
            positions.iter().map(|position| (position.partition.clone(), position.offset)).collect();
        self.membership.accept(&from)?;
        // What an earlier owner of this name had paused is not paused now.
        let _resumed = self.consumer.resume(&partition_list(from.iter().map(|(partition, _)| partition)));
        self.assigning = None;
        self.held = from.into_iter().map(|(partition, next)| (partition, Held { next, paused: false })).collect();
        if !positions.is_empty() {
            incoming.push(Incoming::Assigned(positions));
        }
        Ok(())
    }

    fn take_rows(&mut self, wait: Duration, incoming: &mut Vec<Incoming>) {
        let fetched = self.rows.take(wait, BATCH_ROWS_MAX);
        for (partition, code, text) in fetched.errors {
            tracing::warn!(%partition, %code, text, "the consumer reports an error");
            self.status.note(code, &text);
        }
        for (partition, rows) in fetched.rows {
            // Rows of a partition that is given up or paused are fetched again by whoever goes on with it.
            let Some(held) = self.held.get_mut(&partition).filter(|held| !held.paused) else { continue };
            if let Some(last) = rows.offsets.last() {
                held.next = last + 1;
                incoming.push(Incoming::Fetched(partition, rows));
            }
        }
        for (partition, end) in fetched.ends {
            // One that was met before rows that came with it is past.
            if self.held.get(&partition).is_some_and(|held| !held.paused && held.next <= end) {
                incoming.push(Incoming::Ended(partition));
            }
        }
        if !incoming.is_empty() {
            self.status.clear();
        }
    }

    /// Ends the transactions of expelled members if a replay waits for one. An owner that died before it added its positions
    /// has left the committed ones stable, so the assignment had no reason to.
    fn unblock_replays(&mut self) -> Result<(), TransportError> {
        let Some(blocked) = self.replayer.blocked_for() else {
            self.unblocked.1 = UNBLOCK_PAUSE;
            return Ok(());
        };
        let (at, pause) = self.unblocked;
        if blocked < BLOCKED_MAX || at.elapsed() < pause {
            return Ok(());
        }
        let members = self.membership.members(MEMBERS_WAIT)?;
        hosts::fence_expelled(&self.client, &self.config, &members, &self.id)?;
        self.unblocked = (Instant::now(), (pause * 2).min(UNBLOCK_PAUSE_MAX));
        Ok(())
    }

    /// While an outage is known: asks now and then whether it is over, and says what it is until then.
    fn probe(&mut self) -> Result<(), TransportError> {
        let Some(outage) = self.status.outage() else { return Ok(()) };
        if self.probed.elapsed() > PROBE_PAUSE {
            self.probed = Instant::now();
            let topic = self.config.topics.first().map(|topic| topic.as_str());
            if self.consumer.fetch_metadata(topic, PROBE_WAIT).is_ok() {
                self.status.clear();
                return Ok(());
            }
        }
        Err(TransportError::Retriable(outage))
    }
}

impl Transport for KafkaTransport {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        let deadline = Instant::now() + wait;
        if !self.joined {
            self.start()?;
        }
        loop {
            let mut incoming = Vec::new();
            self.take_changes(&mut incoming)?;
            self.go_on_assigning(&mut incoming)?;
            self.producer.serve();
            self.purger.go_on()?;
            self.unblock_replays()?;
            if !incoming.is_empty() {
                return Ok(incoming);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Both each time, so that neither starves.
            self.take_rows(if self.replayer.is_active() { Duration::ZERO } else { left.min(TURN) }, &mut incoming);
            let wait = if incoming.is_empty() { left.min(REPLAY_TURN) } else { Duration::ZERO };
            self.replayer.poll(wait, &mut incoming)?;
            if !incoming.is_empty() {
                return Ok(incoming);
            }
            self.probe()?;
            if left.is_zero() {
                return Ok(incoming);
            }
        }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        self.producer.begin()
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.producer.produce(outgoing)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        // A fence that librdkafka has met but not handed out yet would come too late by the poll.
        let ours = |partition: &TopicPartition| self.held.contains_key(partition) || self.revoked.contains(partition);
        if let Some(foreign) = positions.iter().find(|position| !ours(&position.partition)) {
            return Err(CommitError::Fenced(format!("{} is not ours", foreign.partition)));
        }
        self.producer.commit(positions, self.membership.fence().as_ref())
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        self.producer.abort()
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        self.producer.discard();
        self.producer.ready()?;
        if self.enlisted {
            hosts::enlist(&self.client, &self.config, &self.id)?;
        }
        let mut assigning = Assigning::new(self.held.keys().cloned().collect());
        let with = Settling {
            consumer: &self.consumer,
            membership: self.membership.as_ref(),
            client: &self.client,
            config: &self.config,
            own: &self.id,
        };
        let deadline = Instant::now() + RECOVER_WAIT;
        let positions = loop {
            match assigning.positions(&with)? {
                Some(positions) => break positions,
                None if Instant::now() < deadline => {}
                None => return Err(TransportError::Retriable("the committed positions are not stable yet".into())),
            }
        };
        let to: Vec<(TopicPartition, i64)> =
            positions.iter().map(|position| (position.partition.clone(), position.offset)).collect();
        self.seek(&to)?;
        Ok(positions)
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        let mut now = Vec::with_capacity(to.len());
        for (partition, offset) in to {
            let Some(held) = self.held.get_mut(partition) else { continue };
            held.next = *offset;
            // Of a paused one, the resumption seeks.
            if !held.paused {
                now.push((partition.clone(), *offset));
            }
        }
        seek(&self.consumer, &now)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        let mut list = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if let Some(held) = self.held.get_mut(partition).filter(|held| !held.paused) {
                held.paused = true;
                list.push(partition.clone());
            }
        }
        if list.is_empty() {
            return Ok(());
        }
        self.consumer.pause(&partition_list(&list)).map_err(|error| TransportError::Retriable(error.to_string()))
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        let mut to = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if let Some(held) = self.held.get_mut(partition).filter(|held| held.paused) {
                held.paused = false;
                to.push((partition.clone(), held.next));
            }
        }
        if to.is_empty() {
            return Ok(());
        }
        // librdkafka resumes where its own book-keeping stands; ours knows what was handed out.
        let list: Vec<TopicPartition> = to.iter().map(|(partition, _)| partition.clone()).collect();
        let resumed = self.consumer.resume(&partition_list(&list));
        resumed.map_err(|error| TransportError::Retriable(error.to_string()))?;
        seek(&self.consumer, &to)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        if self.revoked.is_empty() {
            return Ok(());
        }
        for partition in partitions {
            self.revoked.remove(partition);
        }
        if self.revoked.is_empty() {
            // The protocol is eager: all are given up at once, when the last of them is.
            return self.membership.release();
        }
        Ok(())
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        self.replayer.replay(from)
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.replayer.stop(partitions)
    }

    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.purger.purge(before)
    }
}
