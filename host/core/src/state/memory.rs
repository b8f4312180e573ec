use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::keys;
use crate::ports::{Changes, Checkpoint, Entries, KeyRange, StateStore, StateSupplier, StoreError};
use crate::task::TaskId;
use crate::topology::StoreIndex;

/// One in so many rows must be new before expired rows are looked for.
const PUTS_PER_SWEEP: usize = 4;

/// A task's stores in memory: nothing outlives it, so all of it comes from the changelogs.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    stores: BTreeMap<StoreIndex, Store>,
    checkpoint: Checkpoint,
}

#[derive(Debug, Default)]
struct Store {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Rows put since expired ones were last looked for.
    puts: usize,
}

impl MemoryStore {
    // No write below can panic half-way, so what a poisoned lock guards is whole.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    fn get(&self, store: StoreIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().stores.get(&store).and_then(|store| store.rows.get(key)).cloned())
    }

    fn get_many(&self, store: StoreIndex, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let state = self.read();
        let Some(store) = state.stores.get(&store) else { return Ok(vec![None; keys.len()]) };
        Ok(keys.iter().map(|key| store.rows.get(*key).cloned()).collect())
    }

    fn range(&self, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) -> Result<Entries, StoreError> {
        let state = self.read();
        let Some(store) = state.stores.get(&store).filter(|_| !range.is_empty()) else { return Ok(Entries::new()) };
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) =
            (range.lower.as_ref().map(Vec::as_slice), range.upper.as_ref().map(Vec::as_slice));
        let rows = store.rows.range::<[u8], _>(bounds);
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(if backward { rows.rev().take(limit).map(owned).collect() } else { rows.take(limit).map(owned).collect() })
    }

    fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(self.read().checkpoint.clone())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut state = self.write();
        for (store, key, value) in &changes.writes {
            let store = state.stores.entry(*store).or_default();
            match value {
                Some(value) => {
                    store.puts += 1;
                    store.rows.insert(key.clone(), value.clone());
                }
                None => {
                    store.rows.remove(key);
                }
            }
        }
        state.checkpoint.take_in(&changes.checkpoint);
        Ok(())
    }

    fn clear(&self, store: StoreIndex) -> Result<(), StoreError> {
        let mut state = self.write();
        state.stores.remove(&store);
        state.checkpoint.changelogs.remove(&store);
        Ok(())
    }

    fn expire(&self, store: StoreIndex, before: i64) {
        let mut state = self.write();
        let Some(store) = state.stores.get_mut(&store) else { return };
        // Looking at every row at every commit would cost more than what the rows are for. So they are looked at once
        // a part of them is new: expired rows never fill more than that part, and a put pays for few looks.
        if store.puts * PUTS_PER_SWEEP >= store.rows.len() {
            store.puts = 0;
            store.rows.retain(|key, _| keys::last_time(key).is_none_or(|time| time >= before));
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Opens a new and empty [`MemoryStore`] for each task, each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStores;

impl StateSupplier for MemoryStores {
    fn open(&mut self, _task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        Ok(Arc::new(MemoryStore::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreIndex = StoreIndex(0);

    fn put(store: &MemoryStore, key: Vec<u8>) {
        let changes = Changes { writes: vec![(STORE, key, Some(Vec::new()))], ..Changes::default() };
        store.apply(&changes).unwrap();
    }

    fn rows(store: &MemoryStore) -> usize {
        store.range(STORE, &KeyRange::prefix(b""), usize::MAX, false).unwrap().len()
    }

    #[test]
    fn expired_rows_go_and_what_has_no_time_stays() {
        let store = MemoryStore::default();
        for start in 0..10 {
            put(&store, keys::window(b"key", start));
        }
        put(&store, keys::own("stream-time-of-the-node"));
        put(&store, keys::by_time(1, b"key", b"detail"));
        store.expire(STORE, 4);
        assert_eq!(rows(&store), 6 + 2);
        assert!(store.get(STORE, &keys::window(b"key", 4)).unwrap().is_some());
    }

    #[test]
    fn expired_rows_are_never_more_than_a_part_of_all() {
        let store = MemoryStore::default();
        for start in 0..10_000 {
            put(&store, keys::window(b"key", start));
            store.expire(STORE, start - 99);
            assert!(rows(&store) <= 100 + 100 / (PUTS_PER_SWEEP - 1) + 1, "at {start}");
        }
    }
}
