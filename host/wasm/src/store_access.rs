//! From the contract's stores to the engine's: keys encoded, pages cut, everything charged before it is used.

use std::ops::Bound;

use weir_core::ports::{AccessError, KeyRange, StateAccess, StoreHandle};
use weir_core::record::Column;
use weir_core::state::keys;

use crate::bindings::weir::plugin::types::ColumnResult;
use crate::columns;
use crate::guest::Guest;
use crate::trap::Misuse;

/// What an entry is charged beside its bytes: what the store does to find it.
const ENTRY_BYTES: usize = 64;
/// Entries of the first read of a page; each further read of it may be twice as large.
const READ_ENTRIES_MIN: usize = 16;
/// Entries of one read of a page at most.
const READ_ENTRIES_MAX: usize = 1_024;
/// Once the entries of a page have been this large, its reads do not grow: a page of large values is read in small steps,
/// so that the guest meets its limit and not the host its own.
const READ_BYTES: usize = 1 << 20;

/// A page as it was read: rows of the store, in order.
pub(crate) type Page = Vec<(Vec<u8>, Vec<u8>)>;

impl Guest {
    /// The state of the call in progress.
    pub(crate) fn access<T>(
        &mut self,
        function: &str,
        work: impl FnOnce(&mut dyn StateAccess) -> Result<T, AccessError>,
    ) -> wasmtime::Result<T> {
        let Some(cell) = &self.state else {
            let why = "while no call with rows is in progress; `create` may open stores and nothing else";
            return Err(Misuse(format!("{function} is called {why}")).into());
        };
        // The engine lends it for the call and leaves it alone meanwhile.
        let mut state = cell.try_borrow_mut()?;
        Ok(work(&mut *state).map_err(|error| match error {
            AccessError::Misuse(message) => Misuse(format!("{function}: {message}")),
            // The engine was there when it happened, and stops the task: here it is only a way out of the guest.
            AccessError::Store(error) => Misuse(format!("{function}: the store cannot answer: {error}")),
        })?)
    }

    /// Opens a store: its handle.
    pub(crate) fn open(&mut self, name: &str, kind: &str) -> wasmtime::Result<u32> {
        self.meter.charge(name.len())?;
        let refused = |why: String| Err(Misuse(format!("state.open-{kind}: {why}")).into());
        if self.manifest.is_some() {
            return refused("it is called in `describe`; stores are opened in `create`".to_owned());
        }
        let binding = &self.place.binding;
        let Some(index) = binding.stores.iter().position(|(store, _)| store == name) else {
            let node = &self.place.node;
            return refused(format!("node `{node}` has no store `{name}` for its plugin{}", binding.declared()));
        };
        let found = &binding.stores[index].1;
        if found != kind {
            return refused(format!("`{name}` is a {found} store"));
        }
        self.meter.open_handle()?;
        Ok(index as u32)
    }

    /// The value under a store's key; the guest was charged for the key.
    pub(crate) fn get_one(&mut self, function: &str, store: u32, key: &[u8]) -> wasmtime::Result<Option<Vec<u8>>> {
        let value = self.access(function, |state| state.get(StoreHandle(store), key))?;
        self.meter.charge_bytes(value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    /// Sets the value under a store's key; the guest was charged for both.
    pub(crate) fn put_one(
        &mut self,
        function: &str,
        store: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> wasmtime::Result<()> {
        self.access(function, |state| state.put(StoreHandle(store), key, value))
    }

    /// The values under many keys.
    pub(crate) fn get_all(&mut self, function: &str, store: u32, keys: &Keys) -> wasmtime::Result<ColumnResult> {
        self.meter.charge_bytes(keys.len() * ENTRY_BYTES)?;
        let keys: Vec<&[u8]> = keys.iter().collect();
        let values = self.access(function, |state| state.get_many(StoreHandle(store), &keys))?;
        let bytes = values.iter().flatten().map(Vec::len).sum();
        self.meter.charge_bytes(bytes)?;
        let mut column = Column::with_capacity(values.len(), bytes);
        values.iter().for_each(|value| column.push(value.as_deref()));
        Ok(columns::owned(&column))
    }

    /// Sets the values under many keys.
    pub(crate) fn put_all(&mut self, function: &str, store: u32, keys: &Keys, values: &Column) -> wasmtime::Result<()> {
        self.meter.charge_bytes(keys.len() * ENTRY_BYTES)?;
        self.access(function, |state| {
            keys.iter().zip(values.iter()).try_for_each(|(key, value)| state.put(StoreHandle(store), key, value))
        })
    }

    /// At most `limit` rows of `range` that `wanted` lets pass. All that is read is charged, wanted or not.
    pub(crate) fn page(
        &mut self,
        function: &str,
        store: u32,
        mut range: KeyRange,
        (limit, backward): (u32, bool),
        wanted: impl Fn(&[u8]) -> bool,
    ) -> wasmtime::Result<Page> {
        let (mut page, mut at_a_time) = (Vec::new(), READ_ENTRIES_MIN);
        while page.len() < limit as usize && !range.is_empty() {
            let read_max = at_a_time.min(limit as usize - page.len());
            let rows = self.access(function, |state| state.range(StoreHandle(store), &range, read_max, backward))?;
            let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
            self.meter.charge_bytes(bytes + rows.len() * ENTRY_BYTES)?;
            let Some((last, _)) = rows.last() else { break };
            let beyond = Bound::Excluded(last.clone());
            if backward {
                range.upper = beyond;
            } else {
                range.lower = beyond;
            }
            let whole = rows.len() == read_max;
            page.extend(rows.into_iter().filter(|(key, _)| wanted(key)));
            if !whole {
                break;
            }
            if bytes < READ_BYTES {
                at_a_time = (at_a_time * 2).min(READ_ENTRIES_MAX);
            }
        }
        Ok(page)
    }
}

/// Keys of a store, encoded one after the other.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    /// Of a key-value store.
    pub(crate) fn key_value(function: &str, users: &Column) -> Result<Self, Misuse> {
        let mut all = Self { data: Vec::with_capacity(users.data().len() + users.len()), ends: Vec::new() };
        for user in present(function, users) {
            all.data.push(keys::DATA);
            all.data.extend_from_slice(user?);
            all.ends.push(all.data.len());
        }
        Ok(all)
    }

    /// Of a window store.
    pub(crate) fn window(function: &str, users: &Column, starts: &[i64]) -> Result<Self, Misuse> {
        same_length(function, users.len(), starts.len())?;
        let (mut all, mut key) = (Self::default(), Vec::new());
        for (user, start) in present(function, users).zip(starts) {
            keys::write_window(&mut key, user?, *start);
            all.push(&key);
        }
        Ok(all)
    }

    /// Of a session store.
    pub(crate) fn session(function: &str, users: &Column, starts: &[i64], ends: &[i64]) -> Result<Self, Misuse> {
        same_length(function, users.len(), starts.len())?;
        same_length(function, users.len(), ends.len())?;
        let mut all = Self::default();
        for (user, (start, end)) in present(function, users).zip(starts.iter().zip(ends)) {
            all.push(&keys::session(user?, *start, *end));
        }
        Ok(all)
    }

    fn push(&mut self, key: &[u8]) {
        self.data.extend_from_slice(key);
        self.ends.push(self.data.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.data[start..*end])
    }
}

fn present<'a>(function: &'a str, keys: &'a Column) -> impl Iterator<Item = Result<&'a [u8], Misuse>> {
    let misuse = move |index| Misuse(format!("{function}: key {index} is null"));
    keys.iter().enumerate().map(move |(index, key)| key.ok_or_else(|| misuse(index)))
}

/// As many of the one as of the other.
pub(crate) fn same_length(function: &str, keys: usize, others: usize) -> Result<(), Misuse> {
    if keys == others {
        return Ok(());
    }
    Err(Misuse(format!("{function}: {keys} keys, but {others} cells beside them")))
}

/// A column that a guest gave.
pub(crate) fn column(function: &str, name: &str, part: ColumnResult) -> Result<Column, Misuse> {
    columns::column(name, part).map_err(|what| Misuse(format!("{function}: {what}")))
}

/// Times that a guest gave.
pub(crate) fn times(function: &str, name: &str, bytes: &[u8]) -> Result<Vec<i64>, Misuse> {
    columns::numbers(name, bytes).map_err(|what| Misuse(format!("{function}: {what}")))
}

/// Past every row that the user put.
pub(crate) fn end_of_data() -> Vec<u8> {
    vec![keys::DATA + 1]
}
