use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use weir_core::ports::{Changes, Checkpoint, KeyRange, StateStore, StateSupplier, StoreError};
use weir_core::state::{MemoryStore, StoreEntry};
use weir_core::task::TaskId;
use weir_core::topology::StoreIndex;

use super::{DriverError, Shared};

/// The stores of the tasks that run, for a test to look into.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) tasks: BTreeMap<TaskId, Arc<dyn StateStore>>,
    /// Stores without a changelog: a start takes them over as they are, as a start in peace does on a disk.
    pub(super) kept: BTreeSet<StoreIndex>,
}

/// Stores in memory that [`Opened`] knows.
pub(super) struct TestStores(pub(super) Rc<RefCell<Opened>>);

impl StateSupplier for TestStores {
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        let mut opened = self.0.borrow_mut();
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        if let Some(before) = opened.tasks.get(&task) {
            for &index in &opened.kept {
                let rows = before.range(index, &KeyRange::prefix(b""), usize::MAX, false)?;
                let writes = rows.into_iter().map(|(key, value)| (index, key, Some(value))).collect();
                store.apply(&Changes { writes, checkpoint: Checkpoint::default() })?;
            }
        }
        opened.tasks.insert(task, store.clone());
        Ok(store)
    }
}

/// A key-value store, or the store of an aggregate without windows, as of the last commit.
pub struct TestKeyValueStore {
    pub(super) shared: Shared,
    pub(super) name: String,
}

/// A store with a value for each key and window, as of the last commit.
pub struct TestWindowStore {
    pub(super) shared: Shared,
    pub(super) name: String,
}

/// A store with a value for each key and session, as of the last commit.
pub struct TestSessionStore {
    pub(super) shared: Shared,
    pub(super) name: String,
}

impl TestKeyValueStore {
    /// The value of `key`; of an aggregate, the result.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, DriverError> {
        let entries = self.shared.borrow_mut().entries(&self.name)?;
        Ok(entries.into_iter().find(|entry| entry.key == key.as_ref()).and_then(|entry| entry.value))
    }

    /// All entries, ordered by key.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn all(&self) -> Result<Vec<StoreEntry>, DriverError> {
        self.shared.borrow_mut().entries(&self.name)
    }

    /// Puts `value` there, in the store and its changelog, as if it had always been there; none deletes. What waits is
    /// committed before.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: Option<&[u8]>, timestamp: i64) -> Result<(), DriverError> {
        let entry = entry(key.as_ref(), None, value, timestamp);
        self.shared.borrow_mut().seed(&self.name, &entry)
    }
}

impl TestWindowStore {
    /// The value of `key` in the window that begins at `start`, in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn fetch(&self, key: impl AsRef<[u8]>, start: i64) -> Result<Option<Vec<u8>>, DriverError> {
        let entries = self.shared.borrow_mut().entries(&self.name)?;
        let is_it =
            |entry: &StoreEntry| entry.key == key.as_ref() && entry.window.is_some_and(|(begins, _)| begins == start);
        Ok(entries.into_iter().find(is_it).and_then(|entry| entry.value))
    }

    /// All entries, ordered by key and start.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn all(&self) -> Result<Vec<StoreEntry>, DriverError> {
        self.shared.borrow_mut().entries(&self.name)
    }

    /// As [`TestKeyValueStore::put`], for the window that begins at `start`.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn put(
        &self,
        key: impl AsRef<[u8]>,
        start: i64,
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Result<(), DriverError> {
        let entry = entry(key.as_ref(), Some((start, start)), value, timestamp);
        self.shared.borrow_mut().seed(&self.name, &entry)
    }
}

impl TestSessionStore {
    /// The value of `key` in the session from `start` to `end`, in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn fetch_session(&self, key: impl AsRef<[u8]>, start: i64, end: i64) -> Result<Option<Vec<u8>>, DriverError> {
        let entries = self.shared.borrow_mut().entries(&self.name)?;
        let is_it = |entry: &StoreEntry| entry.key == key.as_ref() && entry.window == Some((start, end));
        Ok(entries.into_iter().find(is_it).and_then(|entry| entry.value))
    }

    /// All entries, ordered by key, start and end.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn all(&self) -> Result<Vec<StoreEntry>, DriverError> {
        self.shared.borrow_mut().entries(&self.name)
    }

    /// As [`TestKeyValueStore::put`], for the session from `start` to `end`.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn put(
        &self,
        key: impl AsRef<[u8]>,
        (start, end): (i64, i64),
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Result<(), DriverError> {
        let entry = entry(key.as_ref(), Some((start, end)), value, timestamp);
        self.shared.borrow_mut().seed(&self.name, &entry)
    }
}

fn entry(key: &[u8], window: Option<(i64, i64)>, value: Option<&[u8]>, timestamp: i64) -> StoreEntry {
    StoreEntry { key: key.to_vec(), window, value: value.map(<[u8]>::to_vec), timestamp: Some(timestamp) }
}
