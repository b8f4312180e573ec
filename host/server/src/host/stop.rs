use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::problem::Problem;

/// Why a host stops.
#[derive(Clone, Debug)]
pub enum Cause {
    /// It was told to.
    Asked,
    /// It cannot go on.
    Fault(Problem),
}

/// Set once; everybody who waits wakes up.
#[derive(Debug, Default)]
pub struct Stop {
    cause: Mutex<Option<Cause>>,
    changed: Condvar,
}

impl Stop {
    /// Stops the host; the first cause stands.
    pub fn set(&self, cause: Cause) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
        self.changed.notify_all();
    }

    /// Whether the host is to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits for `wait`, or less where the host is to stop: then true.
    pub fn wait(&self, wait: Duration) -> bool {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(cause, wait, |cause| cause.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }

    /// Waits until the host is to stop, and says why.
    pub fn cause(&self) -> Cause {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = self.changed.wait_while(cause, |cause| cause.is_none()).unwrap_or_else(PoisonError::into_inner);
        cause.clone().unwrap_or(Cause::Asked)
    }
}
