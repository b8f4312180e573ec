//! Changelogs read beside the input, straight from the segments.

use std::collections::BTreeMap;

use weir_core::ports::{Incoming, Replay};
use weir_core::record::TopicPartition;

use crate::config::{REPLAY_BYTES_MAX, REPLAY_ROWS_MAX};
use crate::error::ReadError;
use crate::frame::PartitionKey;
use crate::log::EmbeddedLog;
use crate::state::State;

/// All replays of one stream thread.
#[derive(Default)]
pub(crate) struct Replays {
    reading: BTreeMap<TopicPartition, Reading>,
    /// The partition read last: the next poll goes on behind it, so that none starves.
    last: Option<TopicPartition>,
}

struct Reading {
    key: PartitionKey,
    next: i64,
    end: i64,
    restarted: bool,
}

impl Replays {
    pub fn is_empty(&self) -> bool {
        self.reading.is_empty()
    }

    /// Begins; what is read already begins anew. The error is a partition that does not exist; then none has begun.
    pub fn begin(&mut self, state: &State, from: &[Replay]) -> Result<(), TopicPartition> {
        let mut begun = Vec::with_capacity(from.len());
        for Replay { partition, from } in from {
            let key = state.key(partition).ok_or_else(|| partition.clone())?;
            let known = state.partition(key).ok_or_else(|| partition.clone())?;
            let restarted = from.is_some_and(|from| !(known.begin..=known.next).contains(&from));
            let next = from.filter(|_| !restarted).unwrap_or(known.begin);
            begun.push((partition.clone(), Reading { key, next, end: known.next, restarted }));
        }
        self.reading.extend(begun);
        Ok(())
    }

    pub fn stop(&mut self, partitions: &[TopicPartition]) {
        self.reading.retain(|partition, _| !partitions.contains(partition));
    }

    /// The next rows of one changelog; none: nothing is replayed.
    pub fn read(&mut self, log: &EmbeddedLog) -> Result<Option<Incoming>, ReadError> {
        let behind = self.last.take().and_then(|last| {
            let range = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
            self.reading.range(range).next().map(|(partition, _)| partition.clone())
        });
        let Some(partition) = behind.or_else(|| self.reading.keys().next().cloned()) else { return Ok(None) };
        let Some(reading) = self.reading.get_mut(&partition) else { return Ok(None) };
        let (rows, next) = log.read_rows(&partition, reading.key, reading.next, REPLAY_ROWS_MAX, REPLAY_BYTES_MAX)?;
        // Where its topic was deleted meanwhile there is nothing more to come.
        let is_gone = log.state().partition(reading.key).is_none();
        reading.next = if is_gone { reading.end } else { next };
        let restarted = std::mem::take(&mut reading.restarted);
        let (next, end) = (reading.next, reading.end);
        if next >= end {
            self.reading.remove(&partition);
        }
        self.last = Some(partition.clone());
        Ok(Some(Incoming::Replayed { partition, rows, next, end, restarted }))
    }
}
