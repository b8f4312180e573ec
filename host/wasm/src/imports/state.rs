//! `weir:plugin/state`: the node's stores. A handle is the store's number at its node, so the host keeps nothing for it. In
//! wit/state.wit.

use std::ops::Bound;

use wasmtime::component::Resource;
use weir_core::ports::KeyRange;
use weir_core::record::Column;
use weir_core::state::keys;

use crate::bindings::weir::plugin::state::{
    self, Entries, HostKeyValueStore, HostSessionStore, HostWindowStore, KeyValueStore, SessionStore, Spans,
    WindowStore,
};
use crate::bindings::weir::plugin::types::ColumnResult;
use crate::columns::{column_bytes, owned};
use crate::guest::Guest;
use crate::store_access::{Keys, Page, column, end_of_data, same_length, times};

impl state::Host for Guest {
    fn open_key_value(&mut self, name: String) -> wasmtime::Result<Resource<KeyValueStore>> {
        self.open(&name, "key-value").map(Resource::new_own)
    }

    fn open_window(&mut self, name: String) -> wasmtime::Result<Resource<WindowStore>> {
        self.open(&name, "window").map(Resource::new_own)
    }

    fn open_session(&mut self, name: String) -> wasmtime::Result<Resource<SessionStore>> {
        self.open(&name, "session").map(Resource::new_own)
    }

    fn mark(&mut self) -> wasmtime::Result<u32> {
        self.meter.charge(0)?;
        self.access("state.mark", |state| Ok(state.mark()))
    }

    fn undo(&mut self, mark: u32) -> wasmtime::Result<()> {
        self.meter.charge(0)?;
        self.access("state.undo", |state| state.undo(mark))
    }
}

impl HostKeyValueStore for Guest {
    fn get(&mut self, store: Resource<KeyValueStore>, key: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        self.meter.charge(key.len())?;
        self.get_one("key-value-store.get", store.rep(), &keys::key_value(&key))
    }

    fn get_many(&mut self, store: Resource<KeyValueStore>, keys: ColumnResult) -> wasmtime::Result<ColumnResult> {
        const SELF: &str = "key-value-store.get-many";
        self.meter.charge(column_bytes(&keys))?;
        let keys = Keys::key_value(SELF, &column(SELF, "keys", keys)?)?;
        self.get_all(SELF, store.rep(), &keys)
    }

    fn put(&mut self, store: Resource<KeyValueStore>, key: Vec<u8>, value: Vec<u8>) -> wasmtime::Result<()> {
        self.meter.charge(key.len() + value.len())?;
        self.put_one("key-value-store.put", store.rep(), &keys::key_value(&key), Some(&value))
    }

    fn put_many(&mut self, store: Resource<KeyValueStore>, changes: Entries) -> wasmtime::Result<()> {
        const SELF: &str = "key-value-store.put-many";
        let (users, values) = self.changes(SELF, changes)?;
        self.put_all(SELF, store.rep(), &Keys::key_value(SELF, &users)?, &values)
    }

    fn delete(&mut self, store: Resource<KeyValueStore>, key: Vec<u8>) -> wasmtime::Result<()> {
        self.meter.charge(key.len())?;
        self.put_one("key-value-store.delete", store.rep(), &keys::key_value(&key), None)
    }

    fn range(
        &mut self,
        store: Resource<KeyValueStore>,
        lower: Option<Vec<u8>>,
        upper: Option<Vec<u8>>,
        limit: u32,
        backward: bool,
    ) -> wasmtime::Result<Entries> {
        self.meter.charge(lower.as_ref().map_or(0, Vec::len) + upper.as_ref().map_or(0, Vec::len))?;
        let lower = keys::key_value(&lower.unwrap_or_default());
        let upper = upper.map_or_else(end_of_data, |upper| keys::key_value(&upper));
        let range = KeyRange::between(lower, upper);
        self.page("key-value-store.range", store.rep(), range, (limit, backward), |_| true).map(entries)
    }

    fn prefix(
        &mut self,
        store: Resource<KeyValueStore>,
        head: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> wasmtime::Result<Entries> {
        self.meter.charge(head.len() + after.as_ref().map_or(0, Vec::len))?;
        let mut range = KeyRange::prefix(&keys::key_value(&head));
        if let Some(after) = after.filter(|after| *after >= head) {
            range.lower = Bound::Excluded(keys::key_value(&after));
        }
        self.page("key-value-store.prefix", store.rep(), range, (limit, false), |_| true).map(entries)
    }

    fn drop(&mut self, _: Resource<KeyValueStore>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl HostWindowStore for Guest {
    fn get(&mut self, store: Resource<WindowStore>, key: Vec<u8>, start: i64) -> wasmtime::Result<Option<Vec<u8>>> {
        self.meter.charge(key.len())?;
        self.get_one("window-store.get", store.rep(), &keys::window(&key, start))
    }

    fn get_many(
        &mut self,
        store: Resource<WindowStore>,
        keys: ColumnResult,
        starts: Vec<u8>,
    ) -> wasmtime::Result<ColumnResult> {
        const SELF: &str = "window-store.get-many";
        self.meter.charge(column_bytes(&keys) + starts.len())?;
        let keys = Keys::window(SELF, &column(SELF, "keys", keys)?, &times(SELF, "starts", &starts)?)?;
        self.get_all(SELF, store.rep(), &keys)
    }

    fn put(&mut self, store: Resource<WindowStore>, key: Vec<u8>, start: i64, value: Vec<u8>) -> wasmtime::Result<()> {
        self.meter.charge(key.len() + value.len())?;
        self.put_one("window-store.put", store.rep(), &keys::window(&key, start), Some(&value))
    }

    fn put_many(&mut self, store: Resource<WindowStore>, changes: Entries, starts: Vec<u8>) -> wasmtime::Result<()> {
        const SELF: &str = "window-store.put-many";
        let (users, values) = self.changes(SELF, changes)?;
        self.meter.charge_bytes(starts.len())?;
        let keys = Keys::window(SELF, &users, &times(SELF, "starts", &starts)?)?;
        self.put_all(SELF, store.rep(), &keys, &values)
    }

    fn delete(&mut self, store: Resource<WindowStore>, key: Vec<u8>, start: i64) -> wasmtime::Result<()> {
        self.meter.charge(key.len())?;
        self.put_one("window-store.delete", store.rep(), &keys::window(&key, start), None)
    }

    fn fetch(
        &mut self,
        store: Resource<WindowStore>,
        key: Vec<u8>,
        earliest: i64,
        latest: i64,
        limit: u32,
        backward: bool,
    ) -> wasmtime::Result<Spans> {
        self.meter.charge(key.len())?;
        let (lower, upper) = (keys::window(&key, earliest), keys::window(&key, latest));
        let range = KeyRange { lower: Bound::Included(lower), upper: Bound::Included(upper) };
        self.page("window-store.fetch", store.rep(), range, (limit, backward), |_| true).map(windows)
    }

    fn range(
        &mut self,
        store: Resource<WindowStore>,
        lower: Option<Vec<u8>>,
        upper: Option<Vec<u8>>,
        earliest: i64,
        latest: i64,
        after: Option<i64>,
        limit: u32,
    ) -> wasmtime::Result<Spans> {
        self.meter.charge(lower.as_ref().map_or(0, Vec::len) + upper.as_ref().map_or(0, Vec::len))?;
        let from = match (&lower, after) {
            (Some(lower), Some(after)) => Bound::Excluded(keys::window(lower, after)),
            (Some(lower), None) => Bound::Included(keys::of_key(lower)),
            (None, _) => Bound::Included(vec![keys::DATA]),
        };
        let upper = upper.map_or_else(end_of_data, |upper| keys::of_key(&upper));
        let range = KeyRange { lower: from, upper: Bound::Excluded(upper) };
        let wanted = |row: &[u8]| keys::last_time(row).is_some_and(|start| (earliest..=latest).contains(&start));
        self.page("window-store.range", store.rep(), range, (limit, false), wanted).map(windows)
    }

    fn drop(&mut self, _: Resource<WindowStore>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl HostSessionStore for Guest {
    fn get(
        &mut self,
        store: Resource<SessionStore>,
        key: Vec<u8>,
        start: i64,
        end: i64,
    ) -> wasmtime::Result<Option<Vec<u8>>> {
        self.meter.charge(key.len())?;
        self.get_one("session-store.get", store.rep(), &keys::session(&key, start, end))
    }

    fn put(
        &mut self,
        store: Resource<SessionStore>,
        key: Vec<u8>,
        start: i64,
        end: i64,
        value: Vec<u8>,
    ) -> wasmtime::Result<()> {
        self.meter.charge(key.len() + value.len())?;
        self.put_one("session-store.put", store.rep(), &keys::session(&key, start, end), Some(&value))
    }

    fn put_many(&mut self, store: Resource<SessionStore>, changes: Spans) -> wasmtime::Result<()> {
        const SELF: &str = "session-store.put-many";
        let Spans { keys, starts, ends, values } = changes;
        let (users, values) = self.changes(SELF, Entries { keys, values })?;
        self.meter.charge_bytes(starts.len() + ends.len())?;
        let (starts, ends) = (times(SELF, "starts", &starts)?, times(SELF, "ends", &ends)?);
        self.put_all(SELF, store.rep(), &Keys::session(SELF, &users, &starts, &ends)?, &values)
    }

    fn delete(&mut self, store: Resource<SessionStore>, key: Vec<u8>, start: i64, end: i64) -> wasmtime::Result<()> {
        self.meter.charge(key.len())?;
        self.put_one("session-store.delete", store.rep(), &keys::session(&key, start, end), None)
    }

    fn fetch(
        &mut self,
        store: Resource<SessionStore>,
        key: Vec<u8>,
        earliest_end: i64,
        latest_start: i64,
        after: Option<(i64, i64)>,
        limit: u32,
        backward: bool,
    ) -> wasmtime::Result<Spans> {
        self.meter.charge(key.len())?;
        let mut range = KeyRange {
            lower: Bound::Included(keys::of_key(&key)),
            upper: Bound::Included(keys::session(&key, latest_start, i64::MAX)),
        };
        match after {
            Some(after) if backward => range.upper = beyond(&key, after.min((latest_start, i64::MAX))),
            Some(after) => range.lower = beyond(&key, after),
            None => {}
        }
        let wanted = |row: &[u8]| keys::last_time(row).is_some_and(|end| end >= earliest_end);
        self.page("session-store.fetch", store.rep(), range, (limit, backward), wanted).map(sessions)
    }

    fn drop(&mut self, _: Resource<SessionStore>) -> wasmtime::Result<()> {
        self.close()
    }
}

impl Guest {
    fn changes(&mut self, function: &str, changes: Entries) -> wasmtime::Result<(Column, Column)> {
        self.meter.charge(column_bytes(&changes.keys) + column_bytes(&changes.values))?;
        let (keys, values) = (column(function, "keys", changes.keys)?, column(function, "values", changes.values)?);
        same_length(function, keys.len(), values.len())?;
        Ok((keys, values))
    }

    fn close(&mut self) -> wasmtime::Result<()> {
        self.meter.charge(0)?;
        self.meter.close_handle();
        Ok(())
    }
}

/// Rows of a key-value store as the contract has them. A row that is no such row is none of the user's.
fn entries(page: Page) -> Entries {
    let rows = || page.iter().filter_map(|(row, value)| Some((keys::split_key_value(row)?, value)));
    Entries {
        keys: owned(&rows().map(|(key, _)| Some(key)).collect()),
        values: owned(&rows().map(|(_, value)| Some(value.as_slice())).collect()),
    }
}

fn windows(page: Page) -> Spans {
    spans(page.iter().filter_map(|(row, value)| {
        let (key, start) = keys::split_window(row)?;
        Some((key, start, start, value.as_slice()))
    }))
}

fn sessions(page: Page) -> Spans {
    spans(page.iter().filter_map(|(row, value)| {
        let (key, start, end) = keys::split_session(row)?;
        Some((key, start, end, value.as_slice()))
    }))
}

fn spans<'a>(rows: impl Iterator<Item = (Vec<u8>, i64, i64, &'a [u8])>) -> Spans {
    let (mut keys, mut values) = (Column::default(), Column::default());
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for (key, start, end, value) in rows {
        keys.push(Some(&key));
        values.push(Some(value));
        starts.extend_from_slice(&start.to_le_bytes());
        ends.extend_from_slice(&end.to_le_bytes());
    }
    Spans { keys: owned(&keys), starts, ends, values: owned(&values) }
}

fn beyond(key: &[u8], (start, end): (i64, i64)) -> Bound<Vec<u8>> {
    Bound::Excluded(keys::session(key, start, end))
}
