use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, IngestExternalFileOptions, Options, ReadOptions,
    WriteBatch, WriteOptions,
};
use weir_core::ports::{Checkpoint, Entries, KeyRange, StoreError};
use weir_core::topology::StoreIndex;

use crate::family::{Family, POSITIONS, split_name};
use crate::filling::{FILE_ROWS_MIN, Filling, Last, write_file};
use crate::options::Shared;
use crate::{checkpoint, error, manifest};

/// Its being there says that what lies beside it is damaged.
const DAMAGED: &str = "DAMAGED";

/// Above all rows of Weir's own encodings: from here on keys are deleted one by one when a store is cleared.
const CLEARED_BELOW: [u8; 4] = [u8::MAX; 4];

/// Where files are written that RocksDB is to take in: what lies there when a database is opened is of no use.
const FILLING: &str = "filling";

/// Rows for a family, `None` deletes.
pub(crate) type Write<'a> = (&'a Family, &'a [u8], Option<&'a [u8]>);

/// The stores of a task that lie on disk.
pub(crate) struct Disk {
    dir: PathBuf,
    families: Vec<Family>,
    shared: Arc<Shared>,
    /// None: closed.
    open: RwLock<Option<DB>>,
    /// Held by whoever writes: one at a time, so that the checkpoints on disk are in order.
    writer: Mutex<Filling>,
    /// There are rows in `writer` that reads would miss.
    is_filling: AtomicBool,
    /// A write failed or damage was seen: to be opened anew before it is used by another owner.
    has_failed: AtomicBool,
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
        drop_filling(&dir)?;
        let open = RwLock::new(Some(open_database(&dir, &families, &shared)?));
        let (writer, is_filling, has_failed) = (Mutex::default(), AtomicBool::new(false), AtomicBool::new(false));
        let disk = Self { dir, families, shared, open, writer, is_filling, has_failed };
        let checkpoint = disk.read_checkpoint()?;
        disk.clear_strays(&checkpoint)?;
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
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
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
        self.reading(|db| self.scan(db, family, range, limit, backward))
    }

    fn scan(
        &self,
        db: &DB,
        family: &Family,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, StoreError> {
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
    }

    /// Writes all of it or nothing. `is_replay`: it is gathered first, since nobody reads before there is much of it.
    pub(crate) fn write(
        &self,
        writes: &[Write<'_>],
        checkpoint: &Checkpoint,
        is_replay: bool,
    ) -> Result<(), StoreError> {
        let mut filling = self.writer();
        if is_replay {
            writes.iter().for_each(|(family, key, value)| filling.push(family.index, key, *value));
            filling.reaches(checkpoint);
            self.is_filling.store(true, Ordering::Release);
            let is_full = filling.bytes() >= self.shared.filling_bytes_max();
            return if is_full { self.settle(&mut filling) } else { Ok(()) };
        }
        self.settle(&mut filling)?;
        self.with(|db| self.write_batch(db, writes.iter().copied(), checkpoint))
    }

    fn write_batch<'a>(
        &self,
        db: &DB,
        writes: impl Iterator<Item = Write<'a>> + Clone,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let row_bytes = |(_, key, value): Write<'_>| key.len() + value.map_or(0, <[u8]>::len) + ROW_BYTES;
        let mut batch = WriteBatch::with_capacity_bytes(writes.clone().map(row_bytes).sum());
        let mut last: Option<(StoreIndex, &ColumnFamily)> = None;
        for (family, key, value) in writes {
            let handle = match last {
                Some((index, handle)) if index == family.index => handle,
                _ => self.handle(db, &family.name)?,
            };
            last = Some((family.index, handle));
            match value {
                Some(value) => batch.put_cf(handle, key, value),
                None => batch.delete_cf(handle, key),
            }
        }
        self.commit(db, batch, checkpoint)
    }

    /// Writes what is gathered of a replay.
    fn settle(&self, filling: &mut Filling) -> Result<(), StoreError> {
        let Some(checkpoint) = filling.checkpoint().cloned() else { return Ok(()) };
        let makes_files = filling.rows() >= FILE_ROWS_MIN;
        let rows = filling.sorted();
        self.with(|db| {
            if makes_files {
                return self.take_in_files(db, &rows, &checkpoint);
            }
            let family = |store| self.families.iter().find(|family| family.index == store);
            let writes = rows.iter().filter_map(|(store, key, value)| Some((family(*store)?, *key, *value)));
            self.write_batch(db, writes, &checkpoint)
        })?;
        filling.clear();
        self.is_filling.store(false, Ordering::Release);
        Ok(())
    }

    /// A file for each family, and then the checkpoint, which has to be on disk like them.
    fn take_in_files(&self, db: &DB, rows: &[Last<'_>], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let folder = self.dir.join(FILLING);
        fs::create_dir_all(&folder).map_err(|cause| error::io("make the folder", &folder, &cause))?;
        let mut how = IngestExternalFileOptions::default();
        how.set_move_files(true);
        for rows in rows.chunk_by(|(a, ..), (b, ..)| a == b) {
            let Some(family) = rows.first().and_then(|row| self.families.iter().find(|family| family.index == row.0))
            else {
                continue;
            };
            let file = folder.join(format!("{}.sst", family.index.0));
            let options = self.shared.family(family.expired_before.as_ref());
            self.checked(write_file(&file, &options, rows))?;
            let handle = self.handle(db, &family.name)?;
            self.checked(db.ingest_external_file_cf_opts(handle, &how, vec![&file]))?;
        }
        self.commit(db, WriteBatch::default(), checkpoint)?;
        self.checked(db.flush_cf(self.handle(db, POSITIONS)?))
    }

    /// For whoever writes or needs all that was written.
    fn writer(&self) -> MutexGuard<'_, Filling> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties a family, together with the checkpoint that no longer names it.
    pub(crate) fn clear(&self, family: &Family, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut filling = self.writer();
        self.settle(&mut filling)?;
        self.with(|db| {
            let mut batch = WriteBatch::default();
            // A deletion of nothing still costs: a buffer that has one of a range cannot use its filter.
            if !self.scan(db, family, &KeyRange::prefix(b""), 1, false)?.is_empty() {
                let handle = self.handle(db, &family.name)?;
                let range = KeyRange { lower: Bound::Included(CLEARED_BELOW.to_vec()), upper: Bound::Unbounded };
                let above = self.scan(db, family, &range, usize::MAX, false)?;
                batch.delete_range_cf(handle, &b""[..], &CLEARED_BELOW[..]);
                above.iter().for_each(|(key, _)| batch.delete_cf(handle, key));
            }
            self.commit(db, batch, checkpoint)
        })
    }

    /// Everything that was written is on disk when this returns.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.settle(&mut self.writer())?;
        self.with(|db| {
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
        if self.is_filling.load(Ordering::Acquire) {
            self.settle(&mut self.writer())?;
        }
        self.with(read)
    }

    /// Does something with the database.
    fn with<T>(&self, act: impl FnOnce(&DB) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            Some(db) => act(db),
            None => Err(self.closed()),
        }
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

/// Deletes what a kill has left of files on their way in.
fn drop_filling(dir: &Path) -> Result<(), StoreError> {
    let folder = dir.join(FILLING);
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(&folder).map_err(|cause| error::io("remove", &folder, &cause))
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

fn open_database(dir: &Path, families: &[Family], shared: &Shared) -> Result<DB, StoreError> {
    let known = known_families(dir)?;
    let mut descriptors: Vec<ColumnFamilyDescriptor> = families
        .iter()
        .map(|family| ColumnFamilyDescriptor::new(&family.name, shared.family(family.expired_before.as_ref())))
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
    manifest::check(dir)?;
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
