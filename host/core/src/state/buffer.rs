use std::collections::BTreeSet;
use std::ops::Bound;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::ports::{Entries, KeyRange, StateStore, StoreError};
use crate::topology::StoreIndex;

/// Most accumulators fit in here without a memory of their own.
type Bytes = SmallVec<[u8; 24]>;

/// What an entry costs beside its bytes, for bounds.
const ENTRY_BYTES: usize = 64;

/// Rows that a merged scan takes from the store at a time.
const PAGE_ROWS: usize = 512;

/// What a transaction writes to a task's stores, until it has committed; and what it has read of them, so that it is read
/// once. To abort is to forget it.
///
/// Entries stay in the order in which they were first met, so nothing here depends on hash order. An undo log takes single
/// steps and calls back.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    stores: Vec<StoreBuffer>,
    undo: Vec<Undo>,
    /// Of all entries, written or read.
    bytes: usize,
    written_bytes: usize,
}

#[derive(Debug, Default)]
struct StoreBuffer {
    entries: IndexMap<Box<[u8]>, Entry, FxBuildHasher>,
    /// Indices of the entries that the transaction wrote, in the order of their first writes.
    written: Vec<u32>,
    /// Keys written, sorted; made by the first scan.
    sorted: Option<BTreeSet<Box<[u8]>>>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Never asked for: the store knows.
    Unknown,
    Absent,
    Present(Bytes),
}

#[derive(Debug)]
struct Undo {
    store: usize,
    entry: u32,
    before: Value,
    first: bool,
}

/// An entry of the buffer, for as long as the transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    store: StoreIndex,
    index: usize,
}

/// A point to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Mark {
    /// Where the step began.
    pub(crate) const START: Self = Self(0);
}

/// A written entry: store, key, and its new value.
pub(crate) type Written<'a> = (StoreIndex, &'a [u8], Option<&'a [u8]>);

impl Value {
    fn of(value: Option<&[u8]>) -> Self {
        value.map_or(Self::Absent, |bytes| Self::Present(Bytes::from_slice(bytes)))
    }

    fn known(&self) -> Option<Option<&[u8]>> {
        match self {
            Self::Unknown => None,
            Self::Absent => Some(None),
            Self::Present(bytes) => Some(Some(bytes)),
        }
    }

    fn len(&self) -> usize {
        self.known().flatten().map_or(0, <[u8]>::len)
    }
}

impl WriteBuffer {
    pub(crate) fn new(stores: usize) -> Self {
        Self { stores: (0..stores).map(|_| StoreBuffer::default()).collect(), ..Self::default() }
    }

    /// The entry of `key`, if its value is known; none: ask the store.
    pub(crate) fn find(&self, store: StoreIndex, key: &[u8]) -> Option<Slot> {
        let (index, _, entry) = self.stores[store.0].entries.get_full(key)?;
        entry.value.known().map(|_| Slot { store, index })
    }

    /// What is known of an entry.
    pub(crate) fn value(&self, slot: Slot) -> Option<&[u8]> {
        self.stores[slot.store.0].entries[slot.index].value.known().flatten()
    }

    /// Notes what the store says of `key`; a value written meanwhile stays.
    pub(crate) fn note(&mut self, store: StoreIndex, key: &[u8], value: Option<&[u8]>) -> Slot {
        let slot = self.slot(store, key);
        let entry = &mut self.stores[store.0].entries[slot.index];
        if entry.value == Value::Unknown {
            entry.value = Value::of(value);
            self.bytes += value.map_or(0, <[u8]>::len);
        }
        slot
    }

    fn slot(&mut self, store: StoreIndex, key: &[u8]) -> Slot {
        let entries = &mut self.stores[store.0].entries;
        let index = entries.get_index_of(key).unwrap_or_else(|| {
            self.bytes += key.len() + ENTRY_BYTES;
            entries.insert_full(key.into(), Entry { value: Value::Unknown, written: false }).0
        });
        Slot { store, index }
    }

    /// Sets the value of `key`; none deletes it.
    pub(crate) fn put(&mut self, store: StoreIndex, key: &[u8], value: Option<&[u8]>) {
        let slot = self.slot(store, key);
        self.put_at(slot, value);
    }

    /// Sets the value of an entry; none deletes it.
    pub(crate) fn put_at(&mut self, slot: Slot, value: Option<&[u8]>) {
        let Slot { store, index } = slot;
        let buffer = &mut self.stores[store.0];
        let Some((key, entry)) = buffer.entries.get_index_mut(index) else { return };
        let before = std::mem::replace(&mut entry.value, Value::of(value));
        let (old, new) = (before.len(), entry.value.len());
        let first = !std::mem::replace(&mut entry.written, true);
        if first {
            buffer.written.push(index as u32);
            self.written_bytes += key.len() + ENTRY_BYTES;
            if let Some(sorted) = &mut buffer.sorted {
                sorted.insert(key.clone());
            }
        }
        self.undo.push(Undo { store: store.0, entry: index as u32, before, first });
        self.bytes = self.bytes + new - old.min(self.bytes);
        self.written_bytes += new;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back every write since `mark`.
    pub(crate) fn undo(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            let Some(Undo { store, entry, before, first }) = self.undo.pop() else { return };
            let buffer = &mut self.stores[store];
            let slot = &mut buffer.entries[entry as usize];
            slot.value = before;
            if first {
                slot.written = false;
                // The log goes backwards, so the last one written is the one.
                debug_assert_eq!(buffer.written.last(), Some(&entry));
                buffer.written.pop();
            }
        }
    }

    /// What was written since the step began stays; nothing before this can be taken back singly.
    pub(crate) fn end_step(&mut self) {
        self.undo.clear();
    }

    /// The entries that the transaction wrote, store by store, each in the order of its first write.
    pub(crate) fn written(&self) -> impl Iterator<Item = Written<'_>> {
        (0..self.stores.len()).flat_map(move |store| self.written_in(StoreIndex(store)))
    }

    /// The entries of one store that the transaction wrote, in the order of their first writes.
    pub(crate) fn written_in(&self, store: StoreIndex) -> impl Iterator<Item = Written<'_>> {
        let buffer = &self.stores[store.0];
        buffer.written.iter().filter_map(move |&index| {
            let (key, entry) = buffer.entries.get_index(index as usize)?;
            Some((store, &key[..], entry.value.known()?))
        })
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.stores.iter().any(|buffer| !buffer.written.is_empty())
    }

    /// About the bytes that the transaction will send to changelogs: never less.
    pub(crate) fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    /// What was written is in the stores now: entries stay as what is known of them, unless there are too many.
    pub(crate) fn committed(&mut self, bytes_max: usize) {
        if self.bytes > bytes_max {
            self.forget();
            return;
        }
        self.undo.clear();
        self.written_bytes = 0;
        for buffer in &mut self.stores {
            for index in std::mem::take(&mut buffer.written) {
                buffer.entries[index as usize].written = false;
            }
            buffer.sorted = None;
        }
    }

    /// Forgets all that was written and read.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.stores.len());
    }

    /// At most `limit` entries of `range`: those of `store` with the writes over them.
    pub(crate) fn range(
        &mut self,
        index: StoreIndex,
        store: &dyn StateStore,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let buffer = &mut self.stores[index.0];
        if buffer.written.is_empty() {
            return store.range(index, range, limit, backward);
        }
        let StoreBuffer { entries, written, sorted } = buffer;
        let key_of = |&at: &u32| entries.get_index(at as usize).map(|(key, _)| key.clone());
        let sorted = sorted.get_or_insert_with(|| written.iter().filter_map(key_of).collect());
        let bounds = (as_bytes(&range.lower), as_bytes(&range.upper));
        let written = sorted.range::<[u8], _>(bounds).filter_map(|key| {
            let entry = entries.get(key)?;
            // A key whose write was taken back is still in the set.
            entry.written.then(|| (&key[..], entry.value.known().flatten()))
        });
        let pages = Pages { store, index, range: range.clone(), backward, page: Vec::new().into_iter(), done: false };
        if backward {
            merge(written.rev(), pages, limit, |written, stored| written > stored)
        } else {
            merge(written, pages, limit, |written, stored| written < stored)
        }
    }
}

/// The writes over the stored: where both have a key the write counts, and a deletion hides it.
fn merge<'a>(
    written: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    mut pages: Pages<'_>,
    limit: usize,
    before: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<Entries, StoreError> {
    let mut merged = Entries::new();
    let mut written = written.peekable();
    let mut stored = pages.next()?;
    while merged.len() < limit {
        match (written.peek(), &stored) {
            (None, None) => break,
            (None, Some(_)) => {
                merged.extend(stored.take());
                stored = pages.next()?;
            }
            (Some(&(key, value)), other) => {
                if let Some((at, _)) = other
                    && !before(key, at)
                    && key != &at[..]
                {
                    merged.extend(stored.take());
                    stored = pages.next()?;
                    continue;
                }
                if other.as_ref().is_some_and(|(at, _)| at[..] == *key) {
                    stored = pages.next()?;
                }
                merged.extend(value.map(|value| (key.to_vec(), value.to_vec())));
                written.next();
            }
        }
    }
    Ok(merged)
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// The entries of a range of the store, read in pages.
struct Pages<'a> {
    store: &'a dyn StateStore,
    index: StoreIndex,
    /// What is still to be read.
    range: KeyRange,
    backward: bool,
    page: std::vec::IntoIter<Pair>,
    done: bool,
}

impl Pages<'_> {
    fn next(&mut self) -> Result<Option<Pair>, StoreError> {
        if self.page.len() == 0 && !self.done {
            let page = self.store.range(self.index, &self.range, PAGE_ROWS, self.backward)?;
            self.done = page.len() < PAGE_ROWS;
            if let Some((last, _)) = page.last() {
                let beyond = Bound::Excluded(last.clone());
                *(if self.backward { &mut self.range.upper } else { &mut self.range.lower }) = beyond;
            }
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

fn as_bytes(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests;
