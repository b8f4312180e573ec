use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use weir_core::ports::{Incoming, Transport, TransportError, TransportLayer};
use weir_core::record::TopicPartition;

/// A transport that counts what its thread does not say itself.
pub struct Meter {
    inner: Box<dyn Transport>,
    counted: Counted,
}

/// What a [`Meter`] has counted; clones are handles of the same.
#[derive(Clone, Default)]
pub struct Counted {
    waited: Rc<Cell<Duration>>,
    replayed: Rc<RefCell<BTreeMap<TopicPartition, u64>>>,
}

impl Counted {
    /// How long the thread waited for rows: the rest of the time rows waited for the thread.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Rows of `changelogs` that were replayed.
    #[must_use]
    pub fn replayed(&self, changelogs: &[TopicPartition]) -> u64 {
        let replayed = self.replayed.borrow();
        changelogs.iter().filter_map(|partition| replayed.get(partition)).sum()
    }

    /// Rows of all changelogs that were replayed.
    #[must_use]
    pub fn replayed_in_all(&self) -> u64 {
        self.replayed.borrow().values().sum()
    }
}

impl Meter {
    /// Around `inner`; the second is read by whoever wants to know.
    #[must_use]
    pub fn around(inner: Box<dyn Transport>) -> (Self, Counted) {
        let counted = Counted::default();
        (Self { inner, counted: counted.clone() }, counted)
    }
}

impl TransportLayer for Meter {
    fn inner(&mut self) -> &mut dyn Transport {
        self.inner.as_mut()
    }

    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        let began = Instant::now();
        let incoming = self.inner.poll(wait);
        self.counted.waited.set(self.counted.waited() + began.elapsed());
        for incoming in incoming.iter().flatten() {
            if let Incoming::Replayed { partition, rows, .. } = incoming
                && !rows.is_empty()
            {
                *self.counted.replayed.borrow_mut().entry(partition.clone()).or_default() += rows.len() as u64;
            }
        }
        incoming
    }
}
