use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use weir_core::ports::{Checkpoint, StateStore, StateSupplier, StoreError};
use weir_core::task::TaskId;
use weir_core::topology::{StoreIndex, Topology};

use crate::disk::Disk;
use crate::error;
use crate::family::Family;
use crate::options::{RocksOptions, Shared};
use crate::task::TaskStores;

/// The stores of all tasks that this host runs. Clones are handles of the same.
#[derive(Clone)]
pub struct RocksStores {
    host: Arc<Host>,
}

struct Host {
    dir: PathBuf,
    topology: Arc<Topology>,
    shared: Arc<Shared>,
    /// Open ones. A task's thread holds them; who only reads must not keep them open.
    open: Mutex<BTreeMap<TaskId, Weak<TaskStores>>>,
}

impl RocksStores {
    /// The stores of `topology`'s tasks below `dir`. Nothing is opened yet.
    #[must_use]
    pub fn open(options: RocksOptions, topology: Arc<Topology>, dir: &Path) -> Self {
        let dir = dir.join(&topology.application);
        let (shared, open) = (Arc::new(Shared::new(options)), Mutex::default());
        Self { host: Arc::new(Host { dir, topology, shared, open }) }
    }

    /// The stores that are open now, by task: committed state, to be read by any thread. To be let go of soon: while one
    /// is held, its files stay open.
    #[must_use]
    pub fn readers(&self) -> Vec<(TaskId, Arc<dyn StateStore>)> {
        let open = self.host.open();
        let readers = open.iter().filter_map(|(task, stores)| Some((*task, stores.upgrade()?)));
        readers.map(|(task, stores)| (task, stores as Arc<dyn StateStore>)).collect()
    }
}

impl StateSupplier for RocksStores {
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        let mut open = self.host.open();
        open.retain(|_, stores| stores.strong_count() > 0);
        if let Some(stores) = open.get(&task).and_then(Weak::upgrade) {
            // A reader still has it. What it holds was committed, so it is as good as opened anew.
            if stores.is_sound() {
                return Ok(stores);
            }
            stores.close();
        }
        let stores = Arc::new(self.host.open_task(task)?);
        open.insert(task, Arc::downgrade(&stores));
        Ok(stores)
    }
}

impl Host {
    fn open(&self) -> MutexGuard<'_, BTreeMap<TaskId, Weak<TaskStores>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_task(&self, task: TaskId) -> Result<TaskStores, StoreError> {
        let families = || self.families(task.subtopology);
        if families().is_empty() {
            return Ok(TaskStores::new(None, Checkpoint::default()));
        }
        let dir = self.dir.join(task.to_string());
        let opened = match Disk::open(dir.clone(), families(), Arc::clone(&self.shared)) {
            Err(StoreError::Corrupt(what)) => {
                check_replaceable(&families(), &dir, &what)?;
                tracing::warn!(%task, "{what}");
                fs::remove_dir_all(&dir).map_err(|cause| error::io("delete", &dir, &cause))?;
                Disk::open(dir, families(), Arc::clone(&self.shared))
            }
            opened => opened,
        };
        let (disk, checkpoint) = opened?;
        Ok(TaskStores::new(Some(disk), checkpoint))
    }

    /// What a task of this part of the topology has on disk.
    fn families(&self, subtopology: usize) -> Vec<Family> {
        let stores = self.topology.stores.iter().enumerate();
        let on_disk = stores.filter(|(_, store)| store.subtopology == subtopology && !store.in_memory);
        on_disk.map(|(index, store)| Family::new(StoreIndex(index), store)).collect()
    }
}

/// Fails where a store has no changelog: nobody else has what it held, so a person decides.
fn check_replaceable(families: &[Family], dir: &Path, what: &str) -> Result<(), StoreError> {
    let Some(family) = families.iter().find(|family| !family.has_changelog) else { return Ok(()) };
    Err(StoreError::Corrupt(format!(
        "{what}; but `{}` has no changelog to be made anew from. Put {} back from a copy, or delete it to begin with \
         that store empty",
        family.store,
        dir.display()
    )))
}
