//! The stores of one host on a disk that forgets, at a crash, what it was not made to keep, and now and then all of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::ports::{Changes, Checkpoint, Entries, KeyRange, StateStore, StateSupplier, StoreError};
use weir_core::state::{MemoryStore, keys};
use weir_core::task::TaskId;
use weir_core::topology::StoreIndex;

use super::planted::Bug;
use crate::random::{PerMille, Random};

/// What was done to a store, in order.
#[derive(Clone, Debug)]
enum Act {
    Apply(Changes),
    Clear(StoreIndex),
}

/// What a disk holds of one task.
#[derive(Debug, Default)]
struct Kept {
    acts: Vec<Act>,
    /// Acts that survive a crash.
    durable: usize,
}

/// A host's disk; a host that is started again finds it as the last one left it.
#[derive(Clone, Default)]
pub struct Disk {
    tasks: Rc<RefCell<BTreeMap<TaskId, Arc<Mutex<Kept>>>>>,
    bug: Option<Bug>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(bug: Option<Bug>) -> Self {
        Self { bug, ..Self::default() }
    }

    /// The host is killed: of each task some acts since the last flush are lost, the latest first; or the files are damaged,
    /// and what opens them next finds nothing.
    pub fn crash(&self, random: &mut Random) {
        for kept in self.tasks.borrow().values() {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let left = random.within(kept.durable, kept.acts.len());
            let lost = kept.acts.split_off(left);
            if self.bug == Some(Bug::TearsAnApply)
                && let Some(Act::Apply(changes)) = lost.into_iter().next()
            {
                // The checkpoint reached the disk, and the rows did not.
                kept.acts.push(Act::Apply(Changes { writes: Vec::new(), ..changes }));
            }
            if random.chance(PerMille(100)) {
                kept.acts.clear();
            }
            kept.durable = kept.acts.len();
        }
    }
}

impl StateSupplier for Disk {
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        let kept = self.tasks.borrow_mut().entry(task).or_default().clone();
        let now = MemoryStore::default();
        for act in &kept.lock().unwrap_or_else(PoisonError::into_inner).acts {
            redo(&now, act)?;
        }
        Ok(Arc::new(DiskStore { now, kept, bug: self.bug }))
    }
}

fn redo(store: &MemoryStore, act: &Act) -> Result<(), StoreError> {
    match act {
        Act::Apply(changes) => store.apply(changes),
        Act::Clear(index) => store.clear(*index),
    }
}

struct DiskStore {
    now: MemoryStore,
    kept: Arc<Mutex<Kept>>,
    bug: Option<Bug>,
}

impl DiskStore {
    fn act(&self, act: Act) -> Result<(), StoreError> {
        redo(&self.now, &act)?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).acts.push(act);
        Ok(())
    }
}

impl StateStore for DiskStore {
    fn get(&self, store: StoreIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.now.get(store, key)
    }

    fn get_many(&self, store: StoreIndex, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.now.get_many(store, keys)
    }

    fn range(&self, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) -> Result<Entries, StoreError> {
        self.now.range(store, range, limit, backward)
    }

    fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.now.checkpoint()
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut changes = changes.clone();
        if self.bug == Some(Bug::LosesAWrite) {
            changes.writes.pop();
        }
        if self.bug == Some(Bug::ForgetsTimes) {
            changes.writes.retain(|(_, key, _)| key.first() != Some(&keys::OWN));
        }
        self.act(Act::Apply(changes))
    }

    fn clear(&self, store: StoreIndex) -> Result<(), StoreError> {
        self.act(Act::Clear(store))
    }

    fn expire(&self, _: StoreIndex, _: i64) {}

    fn flush(&self) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.durable = kept.acts.len();
        Ok(())
    }
}
