use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use weir_core::ports::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
use weir_core::record::TopicPartition;

use super::log::Log;

/// A [`Log`] as the engine sees it.
pub(super) struct TestTransport(pub(super) Rc<RefCell<Log>>);

impl Transport for TestTransport {
    fn poll(&mut self, _: Duration) -> Result<Vec<Incoming>, TransportError> {
        let mut log = self.0.borrow_mut();
        if std::mem::take(&mut log.breaks) {
            return Err(TransportError::Abortable("the test has aborted it".to_owned()));
        }
        // One at a time: what the engine does for it, such as a seek, holds for the next.
        Ok(log.poll().into_iter().collect())
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        self.0.borrow_mut().begin();
        Ok(())
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        self.0.borrow_mut().produce(outgoing);
        Ok(())
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        self.0.borrow_mut().commit(positions)
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        self.0.borrow_mut().abort();
        Ok(())
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        Ok(self.0.borrow_mut().recover())
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.0.borrow_mut().seek(to);
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.0.borrow_mut().pause(partitions, true);
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.0.borrow_mut().pause(partitions, false);
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.0.borrow_mut().release(partitions);
        Ok(())
    }

    fn replay(&mut self, from: &[Replay]) -> Result<(), TransportError> {
        self.0.borrow_mut().replay(from);
        Ok(())
    }

    fn stop_replay(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.0.borrow_mut().stop_replay(partitions);
        Ok(())
    }

    fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.0.borrow_mut().purge(before);
        Ok(())
    }
}
