//! The stores of this host's tasks: made for its stream threads, and found again by those who read them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use weir_core::ports::{StateStore, StateSupplier, StoreError};
use weir_core::state::MemoryStores;
use weir_core::task::TaskId;

/// Stores that are open now. A task's thread holds them; who reads lets go of them soon.
#[derive(Default)]
pub struct OpenStores {
    open: Arc<Mutex<BTreeMap<TaskId, Weak<dyn StateStore>>>>,
}

impl OpenStores {
    /// Opens the stores of one stream thread's tasks.
    #[must_use]
    pub fn supplier(&self) -> Box<dyn StateSupplier> {
        Box::new(Registering { inner: Box::new(MemoryStores), open: self.open.clone() })
    }

    /// The stores of a task: committed state, to be read by any thread; none: it does not run here.
    #[must_use]
    pub fn of(&self, task: TaskId) -> Option<Arc<dyn StateStore>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&task).and_then(Weak::upgrade)
    }
}

/// Notes what it opens.
struct Registering {
    inner: Box<dyn StateSupplier>,
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
        let (stores, task) = (OpenStores::default(), TaskId { subtopology: 1, partition: 2 });
        let held = stores.supplier().open(task).unwrap();
        assert!(stores.of(task).is_some());
        assert!(stores.of(TaskId { subtopology: 0, ..task }).is_none());
        drop(held);
        assert!(stores.of(task).is_none());
    }
}
