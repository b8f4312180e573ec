//! The stores of this host's tasks: made for its stream threads, and found again by those who read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use weir_core::ports::{StateStore, StateSupplier, StoreError};
use weir_core::task::TaskId;
use weir_core::topology::Topology;

/// Where stores lie.
#[cfg(feature = "rocksdb")]
type Kept = weir_rocksdb::RocksStores;
/// Where stores lie: a build without RocksDB keeps all of them in memory, and their changelogs in the log.
#[cfg(not(feature = "rocksdb"))]
type Kept = weir_core::state::MemoryStores;

/// Stores that are open now. A task's thread holds them; who reads lets go of them soon.
pub struct OpenStores {
    kept: Kept,
    open: Arc<Mutex<BTreeMap<TaskId, Weak<dyn StateStore>>>>,
}

impl OpenStores {
    /// The stores of `topology`, of which those on disk lie below `dir`. Nothing is opened yet.
    #[must_use]
    pub fn new(topology: &Arc<Topology>, dir: &Path) -> Self {
        Self { kept: kept(topology, dir), open: Arc::default() }
    }

    /// Opens the stores of one stream thread's tasks.
    #[must_use]
    pub fn supplier(&self) -> Box<dyn StateSupplier> {
        Box::new(Registering { inner: Kept::clone(&self.kept), open: self.open.clone() })
    }

    /// The stores of a task: committed state, to be read by any thread; none: it does not run here.
    #[must_use]
    pub fn of(&self, task: TaskId) -> Option<Arc<dyn StateStore>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&task).and_then(Weak::upgrade)
    }
}

#[cfg(feature = "rocksdb")]
fn kept(topology: &Arc<Topology>, dir: &Path) -> Kept {
    weir_rocksdb::RocksStores::open(weir_rocksdb::RocksOptions::default(), topology.clone(), dir)
}

#[cfg(not(feature = "rocksdb"))]
fn kept(topology: &Arc<Topology>, _dir: &Path) -> Kept {
    if topology.stores.iter().any(|store| !store.in_memory) {
        tracing::info!("this build is without RocksDB: all stores are in memory, and replayed at each start");
    }
    weir_core::state::MemoryStores
}

/// Notes what it opens.
struct Registering {
    inner: Kept,
    open: Arc<Mutex<BTreeMap<TaskId, Weak<dyn StateStore>>>>,
}

impl StateSupplier for Registering {
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        let store = self.inner.open(task)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(task, Arc::downgrade(&store));
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_found_for_as_long_as_its_task_has_it() {
        let text = "application: a\ntopics: { t: { key: string, value: json } }\nnodes:\n  in: { source: t }\n  \
                    count: { from: in, aggregate: count }\n  out: { from: count, sink: t }\n";
        let topology = Arc::new(weir_core::topology::parse("t.yaml", text).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let (stores, task) = (OpenStores::new(&topology, dir.path()), TaskId { subtopology: 0, partition: 2 });
        let held = stores.supplier().open(task).unwrap();
        assert!(stores.of(task).is_some());
        assert!(stores.of(TaskId { partition: 0, ..task }).is_none());
        drop(held);
        assert!(stores.of(task).is_none());
    }
}
