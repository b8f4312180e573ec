//! The transaction coordinator: producers by transactional id, fenced by epoch; transaction protocol v1.
//!
//! In v1 an end names its producer and epoch, not its transaction: one that was delayed hits whatever the producer has open
//! when it arrives, unless the producer was replaced by then (its epoch raised).

use std::collections::{BTreeMap, BTreeSet};

use weir_core::ports::Position;
use weir_core::record::{TopicName, TopicPartition};

use super::Broker;
use super::log::StoredRow;

/// A transaction of the broker's whole life; also an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) status: Status,
    producer: String,
    opened_us: i64,
    partitions: BTreeSet<TopicPartition>,
    rows: Vec<(TopicPartition, i64)>,
    /// Positions to be committed, and for which group.
    positions: BTreeMap<TopicPartition, Position>,
    group: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Producer {
    epoch: u32,
    open: Option<TransactionId>,
}

/// Another producer has taken the transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// An end on its way to the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct DelayedEnd {
    pub(crate) due_us: i64,
    pub(crate) producer: String,
    pub(crate) epoch: u32,
    pub(crate) commit: bool,
}

/// A transaction that was committed: what a checker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Which.
    pub transaction: TransactionId,
    /// The transactional id.
    pub producer: String,
    /// Its rows, by offset.
    pub rows: Vec<(TopicPartition, i64)>,
    /// Each partition's position before (0 where there was none) and after.
    pub positions: Vec<(TopicPartition, i64, i64)>,
}

impl Broker {
    /// A new producer for `id`: what the old one had open is aborted at once, and all that it still sends is refused.
    pub(crate) fn init_producer(&mut self, id: &str) -> u32 {
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        let (epoch, open) = (producer.epoch, producer.open.take());
        if let Some(open) = open {
            self.settle(open, Status::Aborted);
        }
        epoch
    }

    fn open(&mut self, id: &str, epoch: u32) -> Result<TransactionId, Fenced> {
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch).ok_or(Fenced)?;
        if let Some(open) = producer.open {
            return Ok(open);
        }
        let transaction = TransactionId(self.transactions.len());
        producer.open = Some(transaction);
        self.transactions.push(Transaction {
            status: Status::Open,
            producer: id.to_owned(),
            opened_us: self.now_us,
            partitions: BTreeSet::new(),
            rows: Vec::new(),
            positions: BTreeMap::new(),
            group: String::new(),
        });
        Ok(transaction)
    }

    pub(crate) fn produce(
        &mut self,
        producer: (&str, u32),
        topic: &TopicName,
        rows: impl Iterator<Item = (i32, StoredRow)>,
    ) -> Result<(), Fenced> {
        let id = self.open(producer.0, producer.1)?;
        for (partition, row) in rows {
            let at = TopicPartition::new(topic, partition);
            let Some(log) = self.topics.get_mut(topic).and_then(|topic| topic.get_mut(partition as usize)) else {
                self.broke_a_rule(format!("a row for {at}, which does not exist"));
                continue;
            };
            let offset = log.append(row, Some(id));
            let transaction = &mut self.transactions[id.0];
            transaction.partitions.insert(at.clone());
            transaction.rows.push((at, offset));
        }
        Ok(())
    }

    /// Adds positions to the producer's transaction. The group has looked at the member already.
    pub(crate) fn add_positions(
        &mut self,
        producer: (&str, u32),
        group: &str,
        positions: &[Position],
    ) -> Result<(), Fenced> {
        let id = self.open(producer.0, producer.1)?;
        let transaction = &mut self.transactions[id.0];
        group.clone_into(&mut transaction.group);
        transaction.positions.extend(positions.iter().map(|at| (at.partition.clone(), at.clone())));
        Ok(())
    }

    /// Ends what the producer has open, whichever transaction that is.
    pub(crate) fn end(&mut self, producer: (&str, u32), commit: bool) -> Result<(), Fenced> {
        let known = self.producers.get_mut(producer.0).filter(|known| known.epoch == producer.1).ok_or(Fenced)?;
        if let Some(open) = known.open.take() {
            self.settle(open, if commit { Status::Committed } else { Status::Aborted });
        }
        Ok(())
    }

    fn settle(&mut self, id: TransactionId, status: Status) {
        let transaction = &mut self.transactions[id.0];
        transaction.status = status;
        let rows = std::mem::take(&mut transaction.rows);
        let positions = std::mem::take(&mut transaction.positions);
        let (producer, group) = (transaction.producer.clone(), transaction.group.clone());
        for at in std::mem::take(&mut transaction.partitions) {
            if let Some(log) = self.topics.get_mut(&at.topic).and_then(|topic| topic.get_mut(at.partition as usize)) {
                log.end(id);
            }
        }
        if status != Status::Committed {
            return;
        }
        let committed = &mut self.groups.entry(group).or_default().committed;
        let mut moved = Vec::new();
        for (at, position) in positions {
            let after = position.offset;
            let before = committed.insert(at.clone(), position).map_or(0, |before| before.offset);
            moved.push((at, before, after));
        }
        self.commits.push(Committed { transaction: id, producer, rows, positions: moved });
    }

    pub(crate) fn producer_of(&self, id: TransactionId) -> String {
        self.transactions[id.0].producer.clone()
    }

    /// The last row that the open transaction of `producer` has in each of its partitions.
    pub(crate) fn last_rows(&self, producer: (&str, u32)) -> BTreeMap<TopicPartition, i64> {
        let known = self.producers.get(producer.0).filter(|known| known.epoch == producer.1);
        let open = known.and_then(|known| known.open);
        let rows = open.into_iter().flat_map(|id| &self.transactions[id.0].rows);
        // Offsets rise, so the last one stays.
        rows.cloned().collect()
    }

    /// Who holds a position of `partition` in an open transaction: its committed position is not to be relied on.
    pub(crate) fn unstable(&self, group: &str, partition: &TopicPartition) -> Option<String> {
        let open = self.producers.values().filter_map(|producer| producer.open);
        let mut open = open.map(|id| &self.transactions[id.0]);
        let holds = |open: &&Transaction| open.group == group && open.positions.contains_key(partition);
        open.find(holds).map(|open| open.producer.clone())
    }

    /// Ends that have arrived by now, and transactions that were open for too long.
    pub(crate) fn advance_transactions(&mut self) {
        while let Some(next) = self.ends.iter().position(|end| end.due_us <= self.now_us) {
            let end = self.ends.remove(next);
            // Refused where the producer was replaced: that is the point of replacing it.
            let _ = self.end((&end.producer, end.epoch), end.commit);
        }
        let (now_us, timeout_us) = (self.now_us, self.transaction_timeout_us);
        let overdue = |producer: &Producer| {
            let open = producer.open.map(|id| self.transactions[id.0].opened_us);
            open.is_some_and(|opened_us| now_us - opened_us > timeout_us)
        };
        let overdue: Vec<String> =
            self.producers.iter().filter(|(_, producer)| overdue(producer)).map(|(id, _)| id.clone()).collect();
        for id in overdue {
            // As Kafka does it: the time-out fences the producer.
            self.init_producer(&id);
        }
    }
}
