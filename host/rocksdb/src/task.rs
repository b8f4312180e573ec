use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use weir_core::ports::{Changes, Checkpoint, Entries, KeyRange, StateStore, StoreError};
use weir_core::state::MemoryStore;
use weir_core::topology::StoreIndex;

use crate::disk::{Disk, Write};
use crate::family::Family;

/// All stores of one task: on disk, and those beside that the topology keeps in memory.
pub(crate) struct TaskStores {
    /// None: all are in memory.
    disk: Option<Disk>,
    memory: MemoryStore,
    /// Of both. What is said of stores in memory is not on disk, and so is not taken as kept after a restart.
    checkpoint: RwLock<Checkpoint>,
}

impl TaskStores {
    pub(crate) fn new(disk: Option<Disk>, checkpoint: Checkpoint) -> Self {
        Self { disk, memory: MemoryStore::default(), checkpoint: RwLock::new(checkpoint) }
    }

    /// Whether it can go on being used by a next owner.
    pub(crate) fn is_sound(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| !disk.has_failed())
    }

    pub(crate) fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close();
        }
    }

    /// Where `store` lies on disk; none: in memory.
    fn on_disk(&self, store: StoreIndex) -> Option<(&Disk, &Family)> {
        let disk = self.disk.as_ref()?;
        Some((disk, disk.families().iter().find(|family| family.index == store)?))
    }

    fn known_checkpoint(&self) -> RwLockReadGuard<'_, Checkpoint> {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_checkpoint(&self, checkpoint: Checkpoint) {
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint;
    }

    /// Writes what goes to disk, and returns what is for the memory.
    fn write(&self, disk: &Disk, changes: &Changes, checkpoint: &Checkpoint) -> Result<Changes, StoreError> {
        let mut writes: Vec<Write<'_>> = Vec::with_capacity(changes.writes.len());
        let mut in_memory = Changes::default();
        let mut last: Option<(StoreIndex, Option<&Family>)> = None;
        for (store, key, value) in &changes.writes {
            let family = match last {
                Some((index, family)) if index == *store => family,
                _ => self.on_disk(*store).map(|(_, family)| family),
            };
            last = Some((*store, family));
            match family {
                Some(family) => writes.push((family, key, value.as_deref())),
                None => in_memory.writes.push((*store, key.clone(), value.clone())),
            }
        }
        let is_replay = changes.checkpoint.positions.is_empty() && !changes.checkpoint.changelogs.is_empty();
        if !is_replay {
            // Each row then goes in beside the one before: the same way down the list, still in the processor's cache.
            writes.sort_by_key(|(family, key, _)| (family.index, *key));
        }
        disk.write(&writes, checkpoint, is_replay)?;
        Ok(in_memory)
    }
}

impl StateStore for TaskStores {
    fn get(&self, store: StoreIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.on_disk(store) {
            Some((disk, family)) => disk.get(family, key),
            None => self.memory.get(store, key),
        }
    }

    fn get_many(&self, store: StoreIndex, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        match self.on_disk(store) {
            Some((disk, family)) => disk.get_many(family, keys),
            None => self.memory.get_many(store, keys),
        }
    }

    fn range(&self, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) -> Result<Entries, StoreError> {
        match self.on_disk(store) {
            Some((disk, family)) => disk.range(family, range, limit, backward),
            None => self.memory.range(store, range, limit, backward),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(self.known_checkpoint().clone())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut checkpoint = self.known_checkpoint().clone();
        checkpoint.take_in(&changes.checkpoint);
        match &self.disk {
            // The disk may refuse, the memory cannot: so nothing is half there.
            Some(disk) => self.memory.apply(&self.write(disk, changes, &checkpoint)?)?,
            None => self.memory.apply(changes)?,
        }
        self.set_checkpoint(checkpoint);
        Ok(())
    }

    fn clear(&self, store: StoreIndex) -> Result<(), StoreError> {
        let mut checkpoint = self.known_checkpoint().clone();
        checkpoint.changelogs.remove(&store);
        match self.on_disk(store) {
            Some((disk, family)) => disk.clear(family, &checkpoint)?,
            None => self.memory.clear(store)?,
        }
        self.set_checkpoint(checkpoint);
        Ok(())
    }

    fn expire(&self, store: StoreIndex, before: i64) {
        match self.on_disk(store) {
            Some((_, family)) => family.expire(before),
            None => self.memory.expire(store, before),
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.disk.as_ref().map_or(Ok(()), Disk::flush)
    }
}
