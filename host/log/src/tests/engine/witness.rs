//! Remembers what the log has acknowledged: no crash may take that back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use weir_core::ports::{
    Client, CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError,
};
use weir_core::record::TopicPartition;
use weir_testing::simulation::Violation;

use super::machine::broken;

/// What was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    ends: BTreeMap<TopicPartition, i64>,
    positions: BTreeMap<TopicPartition, i64>,
}

impl Acknowledged {
    pub fn appended(&mut self, at: &TopicPartition, offsets: &[i64]) {
        if let Some(last) = offsets.last() {
            self.ends.insert(at.clone(), last + 1);
        }
    }

    fn committed(&mut self, positions: &[Position], committed: &Committed) {
        self.ends.extend(committed.ends.iter().cloned());
        self.positions.extend(positions.iter().map(|position| (position.partition.clone(), position.offset)));
    }

    /// All of it is there.
    pub fn check(&self, client: &dyn Client) -> Result<(), Violation> {
        for (at, end) in &self.ends {
            let found = client.offsets(at).map(|(_, end)| end);
            if !found.as_ref().is_ok_and(|found| found >= end) {
                return broken("what was acknowledged is there", format!("{at} ended at {end}, and now: {found:?}"));
            }
        }
        for (at, offset) in &self.positions {
            let found = client.committed(std::slice::from_ref(at));
            let found = found.ok().and_then(|found| found.first().map(|position| position.offset));
            if found.is_none_or(|found| found < *offset) {
                return broken("positions never go back", format!("{at} from {offset} to {found:?}"));
            }
        }
        Ok(())
    }
}

/// A transport whose acknowledged commits are remembered.
pub(super) struct Witness {
    inner: Box<dyn Transport>,
    acknowledged: Rc<RefCell<Acknowledged>>,
}

impl Witness {
    pub fn new(inner: Box<dyn Transport>, acknowledged: Rc<RefCell<Acknowledged>>) -> Self {
        Self { inner, acknowledged }
    }
}

impl Transport for Witness {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        self.inner.poll(wait)
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        self.inner.begin()
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.inner.produce(outgoing)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let committed = self.inner.commit(positions)?;
        self.acknowledged.borrow_mut().committed(positions, &committed);
        Ok(committed)
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        self.inner.abort()
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        self.inner.recover()
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.inner.seek(to)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner.pause(partitions)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner.resume(partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner.release(partitions)
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        self.inner.replay(from)
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner.stop_replay(partitions)
    }

    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.inner.purge(before)
    }
}
