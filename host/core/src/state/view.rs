//! The committed contents of a store as people know them: keys and windows decoded, accumulators as the results that they
//! stand for, what has expired left out.

use super::{keys, ttl};
use crate::ports::{Entries, KeyRange, StateStore, StoreError};
use crate::task::aggregate::{NodeClock, accumulator, retention, stored, write_stored};
use crate::topology::{Aggregate, Builtin, Emit, Function, Store, StoreIndex, StoreKind, Topology, WindowKind};

/// An entry of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreEntry {
    /// The user's key.
    pub key: Vec<u8>,
    /// Start and end of the window, in milliseconds since 1970 UTC; none: the store has no windows. The end of a window
    /// that a plugin put is its start: only the plugin knows its size.
    pub window: Option<(i64, i64)>,
    /// The value: of an aggregate's store, its result.
    pub value: Option<Vec<u8>>,
    /// The timestamp that an aggregate's result or a table's row has, or at which an entry with a time to live was written.
    pub timestamp: Option<i64>,
}

/// A row of a store as its changelog has it: key and value; without a value it is deleted.
pub type StoreRow = (Vec<u8>, Option<Vec<u8>>);

/// A store of a topology, with what is needed to read its rows.
#[derive(Clone, Copy, Debug)]
pub struct StoreView<'t> {
    pub(super) index: StoreIndex,
    pub(super) store: &'t Store,
    /// The aggregate that keeps its accumulators there.
    aggregate: Option<&'t Aggregate>,
    /// It is a table's: values have their timestamps.
    is_table: bool,
}

/// Which rows are still there for a reader.
#[derive(Clone, Copy)]
pub(super) struct Horizon {
    /// Window starts, or session ends, below this have expired.
    oldest: i64,
    stream_time: i64,
}

impl<'t> StoreView<'t> {
    /// A view of store `index` of `topology`.
    #[must_use]
    pub fn new(topology: &'t Topology, index: StoreIndex) -> Self {
        let (aggregate, is_table) = (topology.aggregate_of(index), topology.table_of(index).is_some());
        Self { index, store: topology.store(index), aggregate, is_table }
    }

    /// What the store is.
    #[must_use]
    pub fn store(&self) -> &'t Store {
        self.store
    }

    /// The entry of `key`, and of the window or session where the store has them; of a window the start alone counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get(
        &self,
        rows: &dyn StateStore,
        key: &[u8],
        window: Option<(i64, i64)>,
        stream_time: Option<i64>,
    ) -> Result<Option<StoreEntry>, StoreError> {
        let horizon = self.horizon(rows, stream_time)?;
        let row = self.row(key, window);
        Ok(rows.get(self.index, &row)?.and_then(|value| self.decode(&row, &value, horizon)))
    }

    /// All entries, ordered by key, then window. `stream_time` is the task's as of its last commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all(&self, rows: &dyn StateStore, stream_time: Option<i64>) -> Result<Vec<StoreEntry>, StoreError> {
        let horizon = self.horizon(rows, stream_time)?;
        let range = KeyRange::prefix(&[keys::DATA]);
        let found: Entries = rows.range(self.index, &range, usize::MAX, false)?;
        Ok(found.iter().filter_map(|(row, value)| self.decode(row, value, horizon)).collect())
    }

    pub(super) fn horizon(&self, rows: &dyn StateStore, stream_time: Option<i64>) -> Result<Horizon, StoreError> {
        let stream_time = stream_time.unwrap_or(i64::MIN);
        let retention_ms = retention(self.store.kind);
        let oldest = match self.aggregate {
            Some(aggregate) if aggregate.window.is_some() => {
                let clock = NodeClock::read(rows.get(self.index, &NodeClock::row())?.as_deref());
                let expired = clock.expired(aggregate, retention_ms);
                expired.saturating_add(i64::from(aggregate.emit != Emit::Close))
            }
            _ => stream_time.saturating_sub(retention_ms),
        };
        Ok(Horizon { oldest, stream_time })
    }

    fn row(&self, key: &[u8], window: Option<(i64, i64)>) -> Vec<u8> {
        let (start, end) = window.unwrap_or_default();
        match self.store.kind {
            StoreKind::Window { .. } => keys::window(key, start),
            StoreKind::Session { .. } => keys::session(key, start, end),
            _ => keys::key_value(key),
        }
    }

    pub(super) fn decode(&self, row: &[u8], value: &[u8], horizon: Horizon) -> Option<StoreEntry> {
        let (key, window) = match self.store.kind {
            StoreKind::Window { .. } => {
                let (key, start) = keys::split_window(row)?;
                (key, Some((start, start.saturating_add(self.size()))))
            }
            StoreKind::Session { .. } => {
                let (key, start, end) = keys::split_session(row)?;
                (key, Some((start, end)))
            }
            _ => (keys::split_key_value(row)?.to_vec(), None),
        };
        if window.is_some() && keys::last_time(row)? < horizon.oldest {
            return None;
        }
        let (value, timestamp) = match (self.aggregate, self.store.kind) {
            (Some(aggregate), _) => {
                let (at, accumulator) = stored(value)?;
                (accumulator::result(aggregate, accumulator), Some(at))
            }
            (None, _) if self.is_table => {
                let (at, value) = stored(value)?;
                (Some(value.to_vec()), Some(at))
            }
            (None, StoreKind::KeyValue { ttl_ms: Some(ttl) }) => {
                let (at, value) = ttl::split(value)?;
                if horizon.stream_time >= at.saturating_add(ttl) {
                    return None;
                }
                (Some(value.to_vec()), Some(at))
            }
            _ => (Some(value.to_vec()), None),
        };
        Some(StoreEntry { key, window, value, timestamp })
    }

    fn size(&self) -> i64 {
        match self.aggregate.and_then(|aggregate| aggregate.window).map(|window| window.kind) {
            Some(WindowKind::Hopping { size_ms: size, .. } | WindowKind::Sliding { difference_ms: size }) => size,
            _ => 0,
        }
    }

    /// The rows that put `entry` there, or that delete it where it has no value.
    ///
    /// # Errors
    /// Why nobody but the topology can write such an entry.
    pub fn encode(&self, entry: &StoreEntry) -> Result<Vec<StoreRow>, String> {
        let at = entry.timestamp.unwrap_or_default();
        let row = self.row(&entry.key, entry.window);
        let Some(value) = &entry.value else { return Ok(vec![(row, None)]) };
        let mut out = Vec::new();
        match (self.aggregate, self.store.kind) {
            (Some(aggregate), _) => write_stored(&mut out, at, &self.accumulator(aggregate, value)?),
            (None, _) if self.is_table => write_stored(&mut out, at, value),
            (None, StoreKind::KeyValue { ttl_ms: Some(_) }) => {
                let index = keys::by_time(at, &row, b"");
                keys::push_time(&mut out, at);
                out.extend_from_slice(value);
                return Ok(vec![(row, Some(out)), (index, Some(Vec::new()))]);
            }
            (None, StoreKind::KeyValue { .. } | StoreKind::Window { .. } | StoreKind::Session { .. }) => {
                out.clone_from(value);
            }
            (None, kind) => return Err(format!("`{}` is a {kind} store, which only its node writes", self.store.name)),
        }
        Ok(vec![(row, Some(out))])
    }

    fn accumulator(&self, aggregate: &Aggregate, value: &[u8]) -> Result<Vec<u8>, String> {
        let name = &self.store.name;
        if aggregate.emit == Emit::Close {
            return Err(format!("`{name}` holds windows that wait for their close, which only its aggregate writes"));
        }
        accumulator::of_result(&aggregate.function, value).ok_or_else(|| {
            let function = match &aggregate.function {
                Function::One(Builtin::Count) => "a count is a whole number",
                _ => "of this function a result does not tell what it was made of; pipe the rows in instead",
            };
            format!("{:?} cannot be put into `{name}`: {function}", String::from_utf8_lossy(value))
        })
    }
}
