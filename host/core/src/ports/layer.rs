use std::time::Duration;

use super::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use crate::record::TopicPartition;

/// A [`Transport`] around another, such as one that counts: what it does not do in a way of its own, the inner one does.
#[allow(clippy::missing_errors_doc, reason = "as of the methods of the same names")]
pub trait TransportLayer {
    /// The transport within.
    fn inner(&mut self) -> &mut dyn Transport;

    /// [`Transport::poll`].
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        self.inner().poll(wait)
    }

    /// [`Transport::begin`].
    fn begin(&mut self) -> Result<(), TransportError> {
        self.inner().begin()
    }

    /// [`Transport::produce`].
    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.inner().produce(outgoing)
    }

    /// [`Transport::commit`].
    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        self.inner().commit(positions)
    }

    /// [`Transport::abort`].
    fn abort(&mut self) -> Result<(), TransportError> {
        self.inner().abort()
    }

    /// [`Transport::recover`].
    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        self.inner().recover()
    }

    /// [`Transport::seek`].
    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.inner().seek(to)
    }

    /// [`Transport::pause`].
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner().pause(partitions)
    }

    /// [`Transport::resume`].
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner().resume(partitions)
    }

    /// [`Transport::release`].
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner().release(partitions)
    }

    /// [`Transport::replay`].
    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        self.inner().replay(from)
    }

    /// [`Transport::stop_replay`].
    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.inner().stop_replay(partitions)
    }

    /// [`Transport::purge`].
    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.inner().purge(before)
    }
}

impl<L: TransportLayer> Transport for L {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        TransportLayer::poll(self, wait)
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        TransportLayer::begin(self)
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        TransportLayer::produce(self, outgoing)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        TransportLayer::commit(self, positions)
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        TransportLayer::abort(self)
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        TransportLayer::recover(self)
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        TransportLayer::seek(self, to)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        TransportLayer::pause(self, partitions)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        TransportLayer::resume(self, partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        TransportLayer::release(self, partitions)
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        TransportLayer::replay(self, from)
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        TransportLayer::stop_replay(self, partitions)
    }

    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        TransportLayer::purge(self, before)
    }
}
