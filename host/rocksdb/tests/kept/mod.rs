//! What the tests of kept state share: a folder for it, and what it should hold after so many transactions.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_core::ports::{Changes, Checkpoint, Entries, KeyRange, StateStore, StateSupplier, StoreError};
use weir_core::topology::{StoreIndex, Topology};
use weir_rocksdb::{RocksOptions, RocksStores};
use weir_testing::store_contract::{IN_MEMORY, Model, Operations, TASK, topology};

/// So small that every few transactions make a file.
pub const SMALL: RocksOptions = RocksOptions { block_cache_bytes: 64 << 10, write_buffer_bytes: 64 << 10 };

/// A folder for state, deleted with this.
pub struct Folder {
    dir: tempfile::TempDir,
    options: RocksOptions,
}

impl Folder {
    pub fn new(options: RocksOptions) -> Self {
        // In memory where there is such a folder: what is synced there is as safe from kill -9, and at once.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { dir: dir.unwrap(), options }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the suite's task lies.
    pub fn task(&self) -> PathBuf {
        self.path().join(topology().application).join(TASK.to_string())
    }

    /// A host's stores; another call is as another start of the host.
    pub fn stores(&self) -> RocksStores {
        self.stores_of(topology())
    }

    pub fn stores_of(&self, topology: Topology) -> RocksStores {
        RocksStores::open(self.options.clone(), Arc::new(topology), self.path())
    }

    pub fn open(&self) -> Result<Arc<dyn StateStore>, StoreError> {
        self.stores().open(TASK)
    }
}

/// Stores that keep their folder.
pub struct Owned(pub Arc<dyn StateStore>, pub Folder);

impl StateStore for Owned {
    fn get(&self, store: StoreIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(store, key)
    }

    fn get_many(&self, store: StoreIndex, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.get_many(store, keys)
    }

    fn range(&self, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) -> Result<Entries, StoreError> {
        self.0.range(store, range, limit, backward)
    }

    fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.0.checkpoint()
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.0.apply(changes)
    }

    fn clear(&self, store: StoreIndex) -> Result<(), StoreError> {
        self.0.clear(store)
    }

    fn expire(&self, store: StoreIndex, before: i64) {
        self.0.expire(store, before);
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.0.flush()
    }
}

/// What is to be found after the first `applied` transactions of `seed` and a restart.
pub fn after(seed: u64, applied: i64) -> Model {
    let (mut operations, mut model) = (Operations::new(seed), Model::default());
    for _ in 0..applied {
        model.apply(&operations.changes());
    }
    model.forget(IN_MEMORY);
    model
}
