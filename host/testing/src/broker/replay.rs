use std::collections::BTreeMap;

use weir_core::ports::{Incoming, Replay};
use weir_core::record::TopicPartition;

use super::Broker;
use crate::random::PerMille;

/// A poll brings nothing of a changelog, though there is something: always fair, for reading takes time.
const NOTHING_YET: PerMille = PerMille(250);

/// The changelogs that one transport reads.
#[derive(Default)]
pub(super) struct Replays(BTreeMap<TopicPartition, Reading>);

struct Reading {
    next: i64,
    end: i64,
    restarted: bool,
    /// Nothing of it was told yet.
    fresh: bool,
}

impl Replays {
    /// Begins; what is read already begins anew. Returns a partition that does not exist; then none has begun.
    pub fn begin(&mut self, broker: &Broker, from: &[Replay]) -> Option<TopicPartition> {
        let missing = from.iter().find(|replay| broker.partition(&replay.partition).is_none());
        if let Some(missing) = missing {
            return Some(missing.partition.clone());
        }
        for Replay { partition, from } in from {
            let Some(log) = broker.partition(partition) else { continue };
            let (begin, end) = (log.begin(), log.end_offset());
            let restarted = from.is_some_and(|from| !(begin..=end).contains(&from));
            let next = from.filter(|_| !restarted).unwrap_or(begin);
            self.0.insert(partition.clone(), Reading { next, end, restarted, fresh: true });
        }
        None
    }

    pub fn stop(&mut self, partitions: &[TopicPartition]) {
        self.0.retain(|partition, _| !partitions.contains(partition));
    }

    /// A few rows of each, or none of some.
    pub fn poll(&mut self, broker: &mut Broker, application: &str, incoming: &mut Vec<Incoming>) {
        self.0.retain(|partition, reading| {
            if broker.random.chance(NOTHING_YET) {
                return true;
            }
            let rows_max = broker.random.within(1, broker.replay_rows_max);
            broker.unblock(application, partition);
            let Some(log) = broker.partition(partition) else { return true };
            let (rows, next) = log.read(reading.next, rows_max, &broker.transactions);
            let has_moved = next > reading.next || reading.fresh && reading.next >= reading.end;
            if !has_moved {
                return true;
            }
            (reading.next, reading.fresh) = (next.max(reading.next), false);
            let restarted = std::mem::take(&mut reading.restarted);
            let (next, end) = (reading.next, reading.end);
            incoming.push(Incoming::Replayed { partition: partition.clone(), rows, next, end, restarted });
            next < end
        });
    }
}
