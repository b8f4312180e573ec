use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::TopicPartition;

/// A transport that counts how long its thread waited for rows: the rest of the time rows waited for the thread.
pub struct WaitingMeter {
    inner: Box<dyn Transport>,
    waited: Rc<Cell<Duration>>,
}

impl WaitingMeter {
    /// Around `inner`; the second is read by whoever wants to know.
    #[must_use]
    pub fn around(inner: Box<dyn Transport>) -> (Self, Rc<Cell<Duration>>) {
        let waited = Rc::new(Cell::new(Duration::ZERO));
        (Self { inner, waited: waited.clone() }, waited)
    }
}

impl Transport for WaitingMeter {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        let began = Instant::now();
        let incoming = self.inner.poll(wait);
        self.waited.set(self.waited.get() + began.elapsed());
        incoming
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        self.inner.begin()
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.inner.produce(outgoing)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        self.inner.commit(positions)
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
