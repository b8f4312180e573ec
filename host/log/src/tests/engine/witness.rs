//! Remembers what the log has acknowledged: no crash may take that back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use weir_core::ports::{Client, CommitError, Committed, Position, Transport, TransportLayer};
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

impl TransportLayer for Witness {
    fn inner(&mut self) -> &mut dyn Transport {
        self.inner.as_mut()
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let committed = self.inner.commit(positions)?;
        self.acknowledged.borrow_mut().committed(positions, &committed);
        Ok(committed)
    }
}
