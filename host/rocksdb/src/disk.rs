use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions};
use weir_core::ports::{Checkpoint, Entries, KeyRange, StoreError};

use crate::family::{Family, POSITIONS, split_name};
use crate::options::{Mode, Shared};
use crate::{checkpoint, error};

/// Its being there says that what lies beside it is damaged.
const DAMAGED: &str = "DAMAGED";

/// Above all rows of Weir's own encodings: from here on keys are deleted one by one when a store is cleared.
const CLEARED_BELOW: [u8; 4] = [u8::MAX; 4];

/// Once so many rows of a changelog have come it is worth to open the database anew, for writing alone.
const FILL_ROWS_MIN: usize = 10_000;

/// Rows for a family, `None` deletes.
pub(crate) type Write<'a> = (&'a Family, &'a [u8], Option<&'a [u8]>);

/// The stores of a task that lie on disk.
pub(crate) struct Disk {
    dir: PathBuf,
    families: Vec<Family>,
    shared: Arc<Shared>,
    /// None: closed, or it could not be opened again.
    open: RwLock<Option<Open>>,
    /// Held by whoever writes: one at a time, so that the checkpoints on disk are in order. Rows replayed since it is open.
    writer: Mutex<usize>,
    /// It was read since it is open: what comes now is no longer the filling of a new store.
    was_read: AtomicBool,
    /// A write failed or damage was seen: to be opened anew before it is used by another owner.
    has_failed: AtomicBool,
}

struct Open {
    db: DB,
    mode: Mode,
}

impl Disk {
    /// Opens what lies in `dir`, or makes it, and tells its checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: what is there cannot be read, and was left as it is.
    pub(crate) fn open(
        dir: PathBuf,
        families: Vec<Family>,
        shared: Arc<Shared>,
    ) -> Result<(Self, Checkpoint), StoreError> {
        fs::create_dir_all(&dir).map_err(|cause| error::io("make the folder", &dir, &cause))?;
        check_before_open(&dir)?;
        let db = open_database(&dir, &families, &shared, Mode::Serving)?;
        let open = RwLock::new(Some(Open { db, mode: Mode::Serving }));
        let (writer, was_read, has_failed) = (Mutex::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let disk = Self { dir, families, shared, open, writer, was_read, has_failed };
        let checkpoint = disk.read_checkpoint()?;
        disk.clear_strays(&checkpoint)?;
        disk.was_read.store(false, Ordering::Relaxed);
        Ok((disk, checkpoint))
    }

    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Lets go of the files. Whoever still has it gets errors.
    pub(crate) fn close(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
        *write(&self.open) = None;
    }

    pub(crate) fn get(&self, family: &Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|db| self.checked(db.get_cf(self.handle(db, &family.name)?, key)))
    }

    pub(crate) fn get_many(&self, family: &Family, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        // RocksDB is at its best with keys in order; and a key that repeats is read once.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        if !keys.is_sorted() {
            order.sort_unstable_by_key(|&at| keys[at]);
        }
        let mut unique: Vec<&[u8]> = order.iter().map(|&at| keys[at]).collect();
        unique.dedup();
        self.reading(|db| {
            let handle = self.handle(db, &family.name)?;
            let found = db.batched_multi_get_cf_opt(handle, unique.iter().copied(), true, &ReadOptions::default());
            let mut values = vec![None; keys.len()];
            let mut order = order.iter().copied().peekable();
            for (key, value) in unique.iter().zip(found) {
                let value = self.checked(value)?;
                while let Some(at) = order.next_if(|&at| keys[at] == *key) {
                    values[at] = value.as_ref().map(|value| value.to_vec());
                }
            }
            Ok(values)
        })
    }

    pub(crate) fn range(
        &self,
        family: &Family,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, StoreError> {
        if range.is_empty() || limit == 0 {
            return Ok(Entries::new());
        }
        self.reading(|db| {
            let mut rows = db.raw_iterator_cf_opt(self.handle(db, &family.name)?, bounds(range));
            let mut entries = Entries::new();
            if backward {
                rows.seek_to_last()
            } else {
                rows.seek_to_first()
            };
            while let Some((key, value)) = rows.item() {
                entries.push((key.to_vec(), value.to_vec()));
                if entries.len() == limit {
                    break;
                }
                if backward {
                    rows.prev()
                } else {
                    rows.next()
                };
            }
            self.checked(rows.status())?;
            Ok(entries)
        })
    }

    /// Writes all of it or nothing. `is_replay`: nobody is to read before there is a write that is none.
    pub(crate) fn write(
        &self,
        writes: &[Write<'_>],
        checkpoint: &Checkpoint,
        is_replay: bool,
    ) -> Result<(), StoreError> {
        let mut replayed = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        *replayed += if is_replay { writes.len() } else { 0 };
        let is_filling = is_replay && *replayed >= FILL_ROWS_MIN && !self.was_read.load(Ordering::Relaxed);
        let mode = match (is_filling, is_replay) {
            (true, _) => Some(Mode::Filling),
            (_, false) => Some(Mode::Serving),
            // The rest of a changelog, or a first look at it: as it is open now.
            (false, true) => None,
        };
        self.with(mode, |db| {
            let bytes = writes.iter().map(|(_, key, value)| key.len() + value.map_or(0, <[u8]>::len) + ROW_BYTES).sum();
            let mut batch = WriteBatch::with_capacity_bytes(bytes);
            let mut last: Option<(&str, &ColumnFamily)> = None;
            for (family, key, value) in writes {
                let handle = match last {
                    Some((name, handle)) if name == family.name => handle,
                    _ => self.handle(db, &family.name)?,
                };
                last = Some((&family.name, handle));
                match value {
                    Some(value) => batch.put_cf(handle, key, value),
                    None => batch.delete_cf(handle, key),
                }
            }
            self.commit(db, batch, checkpoint)
        })
    }

    /// Empties a family, together with the checkpoint that no longer names it.
    pub(crate) fn clear(&self, family: &Family, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let range = KeyRange { lower: Bound::Included(CLEARED_BELOW.to_vec()), upper: Bound::Unbounded };
        let above = self.range(family, &range, usize::MAX, false)?;
        self.with(None, |db| {
            let handle = self.handle(db, &family.name)?;
            let mut batch = WriteBatch::default();
            batch.delete_range_cf(handle, &b""[..], &CLEARED_BELOW[..]);
            above.iter().for_each(|(key, _)| batch.delete_cf(handle, key));
            self.commit(db, batch, checkpoint)
        })
    }

    /// Everything that was written is on disk when this returns.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.with(None, |db| {
            let names = self.families.iter().map(|family| family.name.as_str()).chain([POSITIONS]);
            let handles = names.map(|name| self.handle(db, name)).collect::<Result<Vec<_>, _>>()?;
            self.checked(db.flush_cfs_opt(&handles, &FlushOptions::default()))
        })
    }

    fn commit(&self, db: &DB, mut batch: WriteBatch, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let row = checkpoint::encode(checkpoint, &self.families).map_err(|cause| {
            StoreError::Io(format!("the checkpoint of the stores in {} has no JSON: {cause}", self.dir.display()))
        })?;
        batch.put_cf(self.handle(db, POSITIONS)?, checkpoint::KEY, row);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.checked(db.write_opt(batch, &options))
    }

    fn read_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.reading(|db| match self.checked(db.get_cf(self.handle(db, POSITIONS)?, checkpoint::KEY))? {
            None => Ok(Checkpoint::default()),
            Some(row) => checkpoint::decode(&row, &self.families).map_err(|what| error::corrupt(&self.dir, &what)),
        })
    }

    /// A store that has rows, and a changelog, but no position in it comes from a topology that was in use before the
    /// last one. Replayed into, it would keep rows that have been deleted since.
    fn clear_strays(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        for family in &self.families {
            let has_position = checkpoint.changelogs.contains_key(&family.index);
            if family.has_changelog
                && !has_position
                && !self.range(family, &KeyRange::prefix(b""), 1, false)?.is_empty()
            {
                tracing::warn!(store = family.store, dir = %self.dir.display(), "rows without a position are dropped");
                self.clear(family, checkpoint)?;
            }
        }
        Ok(())
    }

    fn reading<T>(&self, read: impl FnOnce(&DB) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.was_read.store(true, Ordering::Relaxed);
        self.with(Some(Mode::Serving), read)
    }

    /// Does something with the database, open for `mode`; none: as it is.
    fn with<T>(&self, mode: Option<Mode>, act: impl FnOnce(&DB) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |open: &Open| mode.is_none_or(|mode| mode == open.mode);
        match &*open {
            Some(open) if fits(open) => return act(&open.db),
            None if self.has_failed() => return Err(self.closed()),
            _ => {}
        }
        drop(open);
        let open = self.reopen(mode.unwrap_or(Mode::Serving))?;
        match &*open {
            Some(open) => act(&open.db),
            None => Err(self.closed()),
        }
    }

    /// Opens it anew. Closing writes to disk what is only in buffers.
    fn reopen(&self, mode: Mode) -> Result<RwLockReadGuard<'_, Option<Open>>, StoreError> {
        let mut open = write(&self.open);
        if self.has_failed() {
            return Err(self.closed());
        }
        if open.as_ref().is_none_or(|open| open.mode != mode) {
            *open = None;
            let db = open_database(&self.dir, &self.families, &self.shared, mode);
            *open = Some(Open { db: db.inspect_err(|cause| self.note(cause))?, mode });
        }
        Ok(RwLockWriteGuard::downgrade(open))
    }

    fn handle<'a>(&self, db: &'a DB, family: &str) -> Result<&'a ColumnFamily, StoreError> {
        db.cf_handle(family).ok_or_else(|| {
            StoreError::Io(format!("the stores in {} have no family {family}: a fault of Weir", self.dir.display()))
        })
    }

    fn checked<T>(&self, result: Result<T, rocksdb::Error>) -> Result<T, StoreError> {
        result.map_err(|cause| error::in_use(&self.dir, &cause)).inspect_err(|cause| self.note(cause))
    }

    /// Remembers a failure, damage even beyond this process.
    fn note(&self, failure: &StoreError) {
        self.has_failed.store(true, Ordering::Relaxed);
        if let StoreError::Corrupt(what) = failure
            && let Err(cause) = fs::write(self.dir.join(DAMAGED), what)
        {
            tracing::warn!(dir = %self.dir.display(), %cause, "cannot mark the stores as damaged");
        }
    }

    fn closed(&self) -> StoreError {
        StoreError::Io(format!("the stores in {} failed before and are to be opened anew", self.dir.display()))
    }
}

/// What a row takes in a batch beside its bytes, at most.
const ROW_BYTES: usize = 12;

fn write(lock: &RwLock<Option<Open>>) -> RwLockWriteGuard<'_, Option<Open>> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// RocksDB makes a new database, and deletes what else is there, where the file is gone that names the others.
fn check_before_open(dir: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(dir).map_err(|cause| error::io("read", dir, &cause))?;
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.iter().any(|name| name == DAMAGED) {
        return Err(error::corrupt(dir, &"they were found damaged when they were read"));
    }
    let has_rows = names.iter().any(|name| name.ends_with(".sst"));
    if has_rows && !names.iter().any(|name| name == "CURRENT") {
        return Err(error::corrupt(dir, &"the file CURRENT is missing"));
    }
    Ok(())
}

fn open_database(dir: &Path, families: &[Family], shared: &Shared, mode: Mode) -> Result<DB, StoreError> {
    let known = known_families(dir)?;
    let mut descriptors: Vec<ColumnFamilyDescriptor> = families
        .iter()
        .map(|family| ColumnFamilyDescriptor::new(&family.name, shared.family(family.expired_before.as_ref(), mode)))
        .collect();
    descriptors.push(ColumnFamilyDescriptor::new(POSITIONS, shared.small_family()));
    // RocksDB opens all families or none.
    let others = known.iter().filter(|name| *name != POSITIONS && families.iter().all(|family| family.name != **name));
    for name in others {
        if let Some((kind, store)) = split_name(name) {
            tracing::warn!(store, kind, dir = %dir.display(), "the topology has no such store any more: it is left alone");
        }
        descriptors.push(ColumnFamilyDescriptor::new(name, shared.small_family()));
    }
    DB::open_cf_descriptors(&shared.database(), dir, descriptors).map_err(|cause| error::at_open(dir, &cause))
}

/// The families of the database in `dir`; none: there is no database.
pub(crate) fn known_families(dir: &Path) -> Result<Vec<String>, StoreError> {
    if !dir.join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    DB::list_cf(&Options::default(), dir).map_err(|cause| error::at_open(dir, &cause))
}

fn bounds(range: &KeyRange) -> ReadOptions {
    let after = |key: &[u8]| [key, &[0]].concat();
    let mut options = ReadOptions::default();
    match &range.lower {
        Bound::Included(lower) => options.set_iterate_lower_bound(lower.clone()),
        Bound::Excluded(lower) => options.set_iterate_lower_bound(after(lower)),
        Bound::Unbounded => {}
    }
    match &range.upper {
        Bound::Included(upper) => options.set_iterate_upper_bound(after(upper)),
        Bound::Excluded(upper) => options.set_iterate_upper_bound(upper.clone()),
        Bound::Unbounded => {}
    }
    options
}
