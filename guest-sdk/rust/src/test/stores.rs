//! Stores and timers in ordered maps, in place of the host's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use crate::Column;
use crate::abi::weir::plugin::state::{Entries, Spans};
use crate::column::i64_at;

/// What a node keeps: entries by store, key, start and end (0 where the kind has none), and timers by name.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    entries: BTreeMap<String, BTreeMap<At, Vec<u8>>>,
    pub(crate) timers: BTreeMap<Vec<u8>, i64>,
    /// The host's clock.
    pub(crate) now_ms: i64,
}

type At = (Vec<u8>, i64, i64);

thread_local! {
    /// Of the driver that calls its plugin.
    static CURRENT: RefCell<Rc<RefCell<Kept>>> = RefCell::default();
}

/// Calls of this thread use `kept` from here on.
pub(crate) fn enter(kept: &Rc<RefCell<Kept>>) {
    CURRENT.set(kept.clone());
}

fn current() -> Rc<RefCell<Kept>> {
    CURRENT.with_borrow(Rc::clone)
}

pub(crate) fn schedule(_: u32, name: &[u8], at: i64) {
    current().borrow_mut().timers.insert(name.to_vec(), at);
}

pub(crate) fn schedule_after(row: u32, name: &[u8], delay_ms: u64) {
    let now_ms = current().borrow().now_ms;
    schedule(row, name, now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX)));
}

pub(crate) fn cancel(name: &[u8]) {
    current().borrow_mut().timers.remove(name);
}

/// A store of any kind.
#[derive(Debug)]
struct Map {
    kept: Rc<RefCell<Kept>>,
    name: String,
}

impl Map {
    fn open(name: &str) -> Self {
        Self { kept: current(), name: name.to_owned() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<At, Vec<u8>>) -> T) -> T {
        work(self.kept.borrow_mut().entries.entry(self.name.clone()).or_default())
    }

    fn get(&self, at: &At) -> Option<Vec<u8>> {
        self.with(|entries| entries.get(at).cloned())
    }

    fn put(&self, at: At, value: Option<&[u8]>) {
        self.with(|entries| match value {
            Some(value) => _ = entries.insert(at, value.to_vec()),
            None => _ = entries.remove(&at),
        });
    }

    fn page(
        &self,
        lower: Bound<At>,
        upper: Bound<At>,
        backward: bool,
        limit: u32,
        wanted: impl Fn(&At) -> bool,
    ) -> Spans {
        let (mut keys, mut values) = (Column::with_capacity(0, 0), Column::with_capacity(0, 0));
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        self.with(|entries| {
            let within = |at: &At| {
                (match &lower {
                    Bound::Included(lower) => at >= lower,
                    Bound::Excluded(lower) => at > lower,
                    Bound::Unbounded => true,
                }) && (match &upper {
                    Bound::Included(upper) => at <= upper,
                    Bound::Excluded(upper) => at < upper,
                    Bound::Unbounded => true,
                }) && wanted(at)
            };
            let mut found: Vec<_> = entries.iter().filter(|(at, _)| within(at)).collect();
            if backward {
                found.reverse();
            }
            for ((key, start, end), value) in found.into_iter().take(limit as usize) {
                keys.push(Some(key));
                values.push(Some(value));
                starts.extend_from_slice(&start.to_le_bytes());
                ends.extend_from_slice(&end.to_le_bytes());
            }
        });
        Spans { keys, starts, ends, values }
    }
}

/// As the contract's.
#[derive(Debug)]
pub(crate) struct KeyValueStore(Map);

pub(crate) fn open_key_value(name: &str) -> KeyValueStore {
    KeyValueStore(Map::open(name))
}

impl KeyValueStore {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(&(key.to_vec(), 0, 0))
    }

    pub(crate) fn get_many(&self, keys: &Column) -> Column {
        let found: Vec<_> = (0..keys.len()).map(|index| self.get(keys.get(index).unwrap_or_default())).collect();
        found.iter().map(Option::as_deref).collect()
    }

    pub(crate) fn put_many(&self, changes: &Entries) {
        for index in 0..changes.keys.len() {
            let key = changes.keys.get(index).unwrap_or_default().to_vec();
            self.0.put((key, 0, 0), changes.values.get(index));
        }
    }

    pub(crate) fn range(&self, lower: Option<&[u8]>, upper: Option<&[u8]>, limit: u32, backward: bool) -> Entries {
        let lower = lower.map_or(Bound::Unbounded, |lower| Bound::Included((lower.to_vec(), 0, 0)));
        let upper = upper.map_or(Bound::Unbounded, |upper| Bound::Excluded((upper.to_vec(), 0, 0)));
        let Spans { keys, values, .. } = self.0.page(lower, upper, backward, limit, |_| true);
        Entries { keys, values }
    }
}

/// As the contract's.
#[derive(Debug)]
pub(crate) struct WindowStore(Map);

pub(crate) fn open_window(name: &str) -> WindowStore {
    WindowStore(Map::open(name))
}

impl WindowStore {
    pub(crate) fn get(&self, key: &[u8], start: i64) -> Option<Vec<u8>> {
        self.0.get(&(key.to_vec(), start, 0))
    }

    pub(crate) fn put_many(&self, changes: &Entries, starts: &[u8]) {
        for index in 0..changes.keys.len() {
            let key = changes.keys.get(index).unwrap_or_default().to_vec();
            self.0.put((key, i64_at(starts, index), 0), changes.values.get(index));
        }
    }

    pub(crate) fn fetch(&self, key: &[u8], earliest: i64, latest: i64, limit: u32, backward: bool) -> Spans {
        let at = |start| Bound::Included((key.to_vec(), start, 0));
        self.0.page(at(earliest), at(latest), backward, limit, |_| true)
    }

    pub(crate) fn range(
        &self,
        lower: Option<&[u8]>,
        upper: Option<&[u8]>,
        earliest: i64,
        latest: i64,
        after: Option<i64>,
        limit: u32,
    ) -> Spans {
        let lower = match (lower, after) {
            (None, _) => Bound::Unbounded,
            (Some(lower), None) => Bound::Included((lower.to_vec(), i64::MIN, 0)),
            (Some(lower), Some(after)) => Bound::Excluded((lower.to_vec(), after, 0)),
        };
        let upper = upper.map_or(Bound::Unbounded, |upper| Bound::Excluded((upper.to_vec(), i64::MIN, 0)));
        self.0.page(lower, upper, false, limit, |(_, start, _)| (earliest..=latest).contains(start))
    }
}

/// As the contract's.
#[derive(Debug)]
pub(crate) struct SessionStore(Map);

pub(crate) fn open_session(name: &str) -> SessionStore {
    SessionStore(Map::open(name))
}

impl SessionStore {
    pub(crate) fn get(&self, key: &[u8], start: i64, end: i64) -> Option<Vec<u8>> {
        self.0.get(&(key.to_vec(), start, end))
    }

    pub(crate) fn put_many(&self, changes: &Spans) {
        for index in 0..changes.keys.len() {
            let key = changes.keys.get(index).unwrap_or_default().to_vec();
            let at = (key, i64_at(&changes.starts, index), i64_at(&changes.ends, index));
            self.0.put(at, changes.values.get(index));
        }
    }

    pub(crate) fn fetch(
        &self,
        key: &[u8],
        earliest_end: i64,
        latest_start: i64,
        after: Option<(i64, i64)>,
        limit: u32,
        backward: bool,
    ) -> Spans {
        let at = |(start, end)| (key.to_vec(), start, end);
        let mut lower = Bound::Included(at((i64::MIN, i64::MIN)));
        let mut upper = Bound::Included(at((latest_start, i64::MAX)));
        match after {
            Some(after) if backward => upper = Bound::Excluded(at(after)),
            Some(after) => lower = Bound::Excluded(at(after)),
            None => {}
        }
        self.0.page(lower, upper, backward, limit, |(_, _, end)| *end >= earliest_end)
    }
}
