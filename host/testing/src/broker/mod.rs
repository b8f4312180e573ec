//! A broker in memory with Kafka's semantics: transactions, groups, fences, and time that somebody else moves.
//!
//! [`SimTransport`] is to it what `KafkaTransport` is to Kafka: the same names, the same promises, kept under [`Faults`].
//! It runs the whole contract. Must not know: the engine, topologies, who calls it.

mod client;
mod faults;
mod group;
mod log;
mod replay;
mod transactions;
mod transport;

pub use client::SimConnector;
pub use faults::Faults;
pub use group::Protocol;
pub use log::StoredRow;
pub use transactions::{Committed, TransactionId};
pub use transport::SimTransport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_core::ports::{Position, TopicFacts};
use weir_core::record::{TopicName, TopicPartition};

use crate::random::Random;
use group::{Group, MemberId};
use log::Partition;
use transactions::{DelayedEnd, Producer, Transaction};

/// How a broker behaves.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfig {
    /// Of all its chances.
    pub seed: u64,
    /// How a rebalance takes partitions away.
    pub protocol: Protocol,
    /// Each rebalance moves every partition, so that many change hands.
    pub rotates: bool,
    /// A member that was not heard of for so long is expelled.
    pub session_timeout_us: i64,
    /// A transaction that is open for longer is aborted, and its producer fenced.
    pub transaction_timeout_us: i64,
    /// A new owner aborts what an expelled member left open, instead of waiting for the time-out.
    pub aborts_expelled: bool,
    /// A new owner waits for positions that an open transaction may still move. Kafka's `require_stable`.
    pub waits_for_stable: bool,
    /// A producer whose end was disturbed is replaced before the next begin.
    pub replaces_disturbed: bool,
    /// Commits are held against the group's members.
    pub fences: bool,
    /// Rows that one poll brings at most of a partition.
    pub fetch_rows_max: usize,
    /// Rows of a changelog that one poll brings at most.
    pub replay_rows_max: usize,
    /// Time that each poll takes, where nobody else moves the clock.
    pub poll_us: i64,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            protocol: Protocol::Eager,
            rotates: false,
            session_timeout_us: 100_000,
            transaction_timeout_us: 10_000_000,
            aborts_expelled: true,
            waits_for_stable: true,
            replaces_disturbed: true,
            fences: true,
            fetch_rows_max: 500,
            replay_rows_max: 50,
            poll_us: 1000,
        }
    }
}

/// A broker that many transports and clients share.
#[derive(Clone)]
pub struct SimBroker(Arc<Mutex<Broker>>);

/// The state behind a [`SimBroker`].
pub(crate) struct Broker {
    now_us: i64,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    topics: BTreeMap<TopicName, Vec<Partition>>,
    facts: BTreeMap<TopicName, TopicFacts>,
    topics_created: usize,
    producers: BTreeMap<String, Producer>,
    transactions: Vec<Transaction>,
    ends: Vec<DelayedEnd>,
    groups: BTreeMap<String, Group>,
    next_member: MemberId,
    commits: Vec<Committed>,
    broken_rules: Vec<String>,
    protocol: Protocol,
    rotates: bool,
    session_timeout_us: i64,
    transaction_timeout_us: i64,
    aborts_expelled: bool,
    waits_for_stable: bool,
    replaces_disturbed: bool,
    fences: bool,
    fetch_rows_max: usize,
    replay_rows_max: usize,
    poll_us: i64,
}

impl SimBroker {
    /// An empty broker at time 0.
    #[must_use]
    pub fn new(config: BrokerConfig) -> Self {
        Self(Arc::new(Mutex::new(Broker {
            now_us: 0,
            random: Random::new(config.seed),
            faults: Faults::default(),
            topics: BTreeMap::new(),
            facts: BTreeMap::new(),
            topics_created: 0,
            producers: BTreeMap::new(),
            transactions: Vec::new(),
            ends: Vec::new(),
            groups: BTreeMap::new(),
            next_member: 0,
            commits: Vec::new(),
            broken_rules: Vec::new(),
            protocol: config.protocol,
            rotates: config.rotates,
            session_timeout_us: config.session_timeout_us,
            transaction_timeout_us: config.transaction_timeout_us,
            aborts_expelled: config.aborts_expelled,
            waits_for_stable: config.waits_for_stable,
            replaces_disturbed: config.replaces_disturbed,
            fences: config.fences,
            fetch_rows_max: config.fetch_rows_max,
            replay_rows_max: config.replay_rows_max,
            poll_us: config.poll_us,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Broker> {
        // A test that panicked has said what was wrong; the broker's state is whole between calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the broker was made.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.lock().now_us
    }

    /// Lets time pass, and with it sessions, transactions and what is on its way.
    pub fn advance(&self, micros: i64) {
        self.lock().advance(micros);
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Transactions committed since the last call.
    #[must_use]
    pub fn take_commits(&self) -> Vec<Committed> {
        std::mem::take(&mut self.lock().commits)
    }

    /// Rules of the ports that callers broke since the last call.
    #[must_use]
    pub fn take_broken_rules(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().broken_rules)
    }

    /// Creates a topic; `false`: it is already there.
    pub fn create_topic(&self, name: &TopicName, partitions: i32) -> bool {
        self.create_topic_with(name, partitions, BTreeMap::new())
    }

    pub(crate) fn create_topic_with(
        &self,
        name: &TopicName,
        partitions: i32,
        settings: BTreeMap<String, String>,
    ) -> bool {
        let mut broker = self.lock();
        let new = !broker.topics.contains_key(name);
        if new {
            broker.topics_created += 1;
            let id = format!("topic {}", broker.topics_created);
            broker.facts.insert(name.clone(), TopicFacts { partitions, id, settings });
            broker.topics.insert(name.clone(), vec![Partition::default(); partitions.unsigned_abs() as usize]);
        }
        new
    }

    /// Deletes a topic with its rows and the positions in it; `false`: there is none.
    pub fn delete_topic(&self, name: &TopicName) -> bool {
        let mut broker = self.lock();
        broker.groups.values_mut().for_each(|group| group.committed.retain(|partition, _| partition.topic != *name));
        broker.facts.remove(name);
        broker.topics.remove(name).is_some()
    }

    /// Appends a row outside of any transaction.
    pub fn append(&self, partition: &TopicPartition, row: StoredRow) -> Option<i64> {
        Some(self.lock().partition_mut(partition)?.append(row, None))
    }

    /// All committed rows of a partition, with their offsets.
    #[must_use]
    pub fn committed_rows(&self, partition: &TopicPartition) -> Vec<(i64, StoredRow)> {
        let broker = self.lock();
        let rows = broker.partition(partition).map(|log| log.committed(0, &broker.transactions));
        rows.into_iter().flatten().map(|(offset, row)| (offset, row.clone())).collect()
    }

    /// The offset of the last committed row of a partition.
    #[must_use]
    pub fn last_committed_row(&self, partition: &TopicPartition) -> Option<i64> {
        let broker = self.lock();
        broker.partition(partition)?.last_committed(&broker.transactions)
    }

    /// The row at an offset, committed or not.
    #[must_use]
    pub fn row(&self, partition: &TopicPartition, offset: i64) -> Option<StoredRow> {
        self.lock().partition(partition)?.row(offset).cloned()
    }

    /// The position that `group` has committed.
    #[must_use]
    pub fn committed_position(&self, group: &str, partition: &TopicPartition) -> Option<Position> {
        self.lock().groups.get(group)?.committed.get(partition).cloned()
    }

    /// Partitions of a topic; 0: there is no such topic.
    #[must_use]
    pub fn partitions(&self, topic: &TopicName) -> i32 {
        self.lock().topics.get(topic).map_or(0, Vec::len) as i32
    }
}

impl Broker {
    pub(crate) fn advance(&mut self, micros: i64) {
        self.now_us += micros;
        self.advance_transactions();
        self.expire_sessions();
    }

    pub(crate) fn broke_a_rule(&mut self, what: String) {
        self.broken_rules.push(what);
    }

    pub(crate) fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&at.topic)?.get(at.partition as usize)
    }

    pub(crate) fn partition_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&at.topic)?.get_mut(at.partition as usize)
    }
}
