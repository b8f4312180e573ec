//! What need not be kept any more: rows of repartition topics that are taken, and rows of windowed changelogs that have all
//! expired.

use std::collections::{BTreeMap, VecDeque};

use super::{Effect, StreamThread, WallTime};
use crate::record::TopicPartition;
use crate::task::TaskId;
use crate::topology::{Internal, StoreIndex};

/// Between two requests for one partition: as Kafka Streams' `repartition.purge.interval.ms`.
const INTERVAL_US: i64 = 30_000_000;

/// Places in a changelog that are remembered with the time up to which all before them expires.
const PLACES_MAX: usize = 64;

/// What is known of the ends of changelogs, and when was purged last.
#[derive(Debug, Default)]
pub(super) struct Purges {
    last: WallTime,
    changelogs: BTreeMap<TopicPartition, VecDeque<Place>>,
}

/// All rows before `offset` have a time of `latest` at most.
#[derive(Debug)]
struct Place {
    offset: i64,
    latest: i64,
}

impl StreamThread {
    /// Notes where a commit ended in windowed changelogs: rows before it have no time later than stream time.
    pub(super) fn note_ends(&mut self, id: TaskId, ends: &[(TopicPartition, i64)]) {
        let Some(stream_time) = self.tasks.get(&id).and_then(|task| task.stream_time()) else { return };
        for (partition, offset) in ends.iter().filter(|(partition, _)| partition.partition == id.partition) {
            if self.internal(partition) != Some(Internal::WindowedChangelog) {
                continue;
            }
            let places = self.purges.changelogs.entry(partition.clone()).or_default();
            // A full list grows at its end: what is not noted apart expires with the later place.
            if places.len() == PLACES_MAX {
                places.pop_back();
            }
            places.push_back(Place { offset: *offset, latest: stream_time });
        }
    }

    /// Asks for the purge of what the commit has made superfluous.
    pub(super) fn purge(&mut self, expiries: &[(TaskId, StoreIndex, i64)], now: WallTime, effects: &mut Vec<Effect>) {
        if now.micros_since(self.purges.last) < INTERVAL_US {
            return;
        }
        self.purges.last = now;
        let mut before: Vec<(TopicPartition, i64)> = Vec::new();
        for task in self.tasks.values() {
            for (partition, offset) in task.committed_offsets() {
                if self.internal(partition) == Some(Internal::Repartition) && offset > 0 {
                    before.push((partition.clone(), offset));
                }
            }
        }
        for &(id, store, needed_from) in expiries {
            let Some(topic) = self.topology.store(store).changelog else { continue };
            let partition = TopicPartition::new(&self.topology.topic(topic).name, id.partition);
            let Some(places) = self.purges.changelogs.get_mut(&partition) else { continue };
            let mut purged = None;
            while let Some(place) = places.front().filter(|place| place.latest < needed_from) {
                purged = Some(place.offset);
                places.pop_front();
            }
            before.extend(purged.map(|offset| (partition, offset)));
        }
        if !before.is_empty() {
            effects.push(Effect::Purge(before));
        }
    }

    fn internal(&self, partition: &TopicPartition) -> Option<Internal> {
        self.topology.topics.iter().find(|topic| topic.name == partition.topic)?.internal
    }
}
