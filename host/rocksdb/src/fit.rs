//! Whether what was kept on disk fits a topology that may have changed since.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use weir_core::ports::StoreError;
use weir_core::task::TaskId;
use weir_core::topology::Topology;

use crate::family::{POSITIONS, split_name};
use crate::{checkpoint, disk, error};

/// What one task has on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptTask {
    /// The task.
    pub task: TaskId,
    /// Its stores. None: it is damaged, and will be made anew when it is opened.
    pub stores: Vec<KeptStore>,
}

/// A store on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptStore {
    /// Its name in the topology that wrote it.
    pub name: String,
    /// Its kind, as topologies call it.
    pub kind: String,
}

/// What becomes of the stores on disk under a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Go on as they are.
    pub kept: BTreeSet<String>,
    /// New: nothing of them is on disk.
    pub added: BTreeSet<String>,
    /// The topology keeps them with other tasks or in memory now: they are replayed from their changelogs.
    pub moved: BTreeSet<String>,
    /// Nobody would read them again.
    pub lost: BTreeSet<Lost>,
}

/// A store on disk that the topology has no use for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// Its name.
    pub store: String,
    /// Why, as the rest of a sentence.
    pub why: String,
}

impl Difference {
    /// Whether a host may start without being told to drop state.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.lost.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &BTreeSet<String>| match names.is_empty() {
            true => "none".to_owned(),
            false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        write!(f, "kept: {}; added: {}; moved: {}; lost: ", list(&self.kept), list(&self.added), list(&self.moved))?;
        let lost = self.lost.iter().map(|lost| format!("{} ({})", lost.store, lost.why));
        f.write_str(&list(&lost.collect()))
    }
}

/// What the tasks of `application` have below `dir`. To be called before any of it is opened.
///
/// # Errors
/// The folder cannot be read.
pub fn inspect(dir: &Path, application: &str) -> Result<Vec<KeptTask>, StoreError> {
    let mut tasks = Vec::new();
    for (task, dir) in task_folders(&dir.join(application))? {
        let families = match disk::known_families(&dir) {
            Err(StoreError::Corrupt(_)) => Vec::new(),
            families => families?,
        };
        let store = |(kind, name): (&str, &str)| KeptStore { name: name.to_owned(), kind: kind.to_owned() };
        let stores = families.iter().filter_map(|family| split_name(family).map(store)).collect();
        tasks.push(KeptTask { task, stores });
    }
    Ok(tasks)
}

/// What becomes of `kept` under `topology`.
#[must_use]
pub fn compare(kept: &[KeptTask], topology: &Topology) -> Difference {
    let mut difference = Difference::default();
    for KeptTask { task, stores } in kept {
        for store in stores {
            match fate(*task, store, topology) {
                Fate::Kept => difference.kept.insert(store.name.clone()),
                Fate::Moved => difference.moved.insert(store.name.clone()),
                Fate::Lost(why) => difference.lost.insert(Lost { store: store.name.clone(), why }),
            };
        }
    }
    let names = topology.stores.iter().filter(|store| !store.in_memory).map(|store| &store.name);
    let is_new = |name: &&String| !difference.kept.contains(*name) && !difference.moved.contains(*name);
    difference.added = names.filter(is_new).cloned().collect();
    difference
}

enum Fate {
    Kept,
    Moved,
    Lost(String),
}

fn fate(task: TaskId, kept: &KeptStore, topology: &Topology) -> Fate {
    let Some(store) = topology.stores.iter().find(|store| store.name == kept.name) else {
        return Fate::Lost("the topology has no such store".to_owned());
    };
    if store.kind.as_str() != kept.kind {
        return Fate::Lost(format!("it was {} and is {} now", kept.kind, store.kind));
    }
    if store.subtopology == task.subtopology && !store.in_memory {
        return Fate::Kept;
    }
    match store.restored_from() {
        Some(_) => Fate::Moved,
        None => Fate::Lost("it is kept elsewhere now, and has no changelog to be made anew from".to_owned()),
    }
}

/// Deletes what `topology` does not keep of what lies below `dir`: what [`Difference`] calls moved or lost.
/// To be called before any of it is opened.
///
/// # Errors
/// The disk refuses, or another process has it.
pub fn drop_lost(dir: &Path, topology: &Topology) -> Result<(), StoreError> {
    for (task, dir) in task_folders(&dir.join(&topology.application))? {
        let families = match disk::known_families(&dir) {
            // Nothing of it is kept: it is made anew when it is opened.
            Err(StoreError::Corrupt(_)) => continue,
            families => families?,
        };
        let is_kept = |(kind, name): (&str, &str)| {
            let store = KeptStore { name: name.to_owned(), kind: kind.to_owned() };
            matches!(fate(task, &store, topology), Fate::Kept)
        };
        let stores = families.iter().filter_map(|family| Some((family.as_str(), split_name(family)?)));
        let (kept, dropped): (Vec<_>, Vec<_>) = stores.partition(|(_, store)| is_kept(*store));
        if kept.is_empty() {
            fs::remove_dir_all(&dir).map_err(|cause| error::io("delete", &dir, &cause))?;
        } else if !dropped.is_empty() {
            drop_families(&dir, &families, &dropped).map_err(|cause| error::at_open(&dir, &cause))?;
        }
    }
    Ok(())
}

fn drop_families(dir: &Path, all: &[String], dropped: &[(&str, (&str, &str))]) -> Result<(), rocksdb::Error> {
    let mut options = Options::default();
    options.set_atomic_flush(true);
    let mut db = DB::open_cf(&options, dir, all)?;
    for (family, (_, store)) in dropped {
        // First the position, for good: rows without one are never taken for a store's, a position without rows would be.
        if let Some(positions) = db.cf_handle(POSITIONS)
            && let Some(row) = db.get_cf(positions, checkpoint::KEY)?
            && let Ok(row) = checkpoint::without(&row, store)
        {
            let (mut batch, mut unlogged) = (WriteBatch::default(), WriteOptions::default());
            unlogged.disable_wal(true);
            batch.put_cf(positions, checkpoint::KEY, row);
            db.write_opt(batch, &unlogged)?;
            db.flush_cf(positions)?;
        }
        db.drop_cf(family)?;
        tracing::info!(store, dir = %dir.display(), "dropped what the topology does not keep any more");
    }
    Ok(())
}

/// The folders of tasks, in order. None: nothing was ever kept.
fn task_folders(dir: &Path) -> Result<Vec<(TaskId, PathBuf)>, StoreError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir).map_err(|cause| error::io("read", dir, &cause))?;
    let task = |name: &str| {
        let (subtopology, partition) = name.split_once('_')?;
        Some(TaskId { subtopology: subtopology.parse().ok()?, partition: partition.parse().ok()? })
    };
    let folders = entries.flatten().filter_map(|entry| Some((task(entry.file_name().to_str()?)?, entry.path())));
    let mut folders: Vec<_> = folders.filter(|(_, path)| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}
