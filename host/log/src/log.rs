use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::config::LogConfig;
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::lock::Lock;
use crate::state::State;
use crate::writer::{Queue, Writer};

/// A durable partitioned log in this process, shared by its threads. Closed when the last owner lets go of it.
pub struct EmbeddedLog {
    pub(crate) disk: Arc<dyn Disk>,
    /// The directory of the segments.
    pub(crate) dir: PathBuf,
    pub(crate) config: LogConfig,
    pub(crate) log_id: u64,
    pub(crate) state: Mutex<State>,
    /// Something was committed, or a group has changed.
    pub(crate) changed: Condvar,
    pub(crate) queue: Mutex<Queue>,
    /// Transactions have been written, or could not be.
    pub(crate) settled: Condvar,
    /// Locked before `state` where both are.
    pub(crate) writer: Mutex<Writer>,
    pub(crate) lock: Option<Lock>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, made where there is none. No other process can have it open.
    ///
    /// # Errors
    /// [`OpenError`] says who must act.
    pub fn open(dir: &Path, config: LogConfig) -> Result<Arc<Self>, OpenError> {
        let lock = Lock::take(dir)?;
        // A random number without a crate for it: the standard library's hash maps are seeded with one.
        let log_id = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), dir);
        let mut log = crate::open::open(Arc::new(RealDisk), dir, config, log_id)?;
        log.lock = Some(lock);
        Ok(Arc::new(log))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Locks even after a panic elsewhere: what these mutexes guard is changed in one piece, or the log is marked as failed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
