//! The times that an aggregate or suppress node goes by: its own, not its task's, and kept in its store.

use crate::ports::StoreError;
use crate::state::{TaskState, keys};
use crate::topology::{Aggregate, Emit, StoreIndex, WindowKind};

/// The name of the row.
const ROW: &str = "time";

/// No row yet: below every time, and far enough from the least number to subtract from.
pub(super) const NEVER: i64 = i64::MIN / 4;

/// What a node knows of time, in milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeClock {
    /// The highest timestamp of the rows that reached the node and were not dropped for a null.
    pub(crate) stream: i64,
    /// The highest window start, or session end, that was written or removed: what is too old for it is not seen any more.
    pub(crate) store: i64,
    /// The close time for which final results were emitted last.
    pub(crate) emitted: i64,
}

impl NodeClock {
    const NEW: Self = Self { stream: NEVER, store: NEVER, emitted: NEVER };

    pub(crate) fn load(state: &mut TaskState, store: StoreIndex) -> Result<Self, StoreError> {
        Ok(Self::read(state.get(store, &Self::row())?))
    }

    /// The key of the row that holds it.
    pub(crate) fn row() -> Vec<u8> {
        keys::own(ROW)
    }

    /// What the row says; none: no row yet.
    pub(crate) fn read(row: Option<&[u8]>) -> Self {
        let Some(row) = row else { return Self::NEW };
        let mut times = row.chunks_exact(keys::TIME_BYTES).map(|bytes| keys::time(bytes).unwrap_or(NEVER));
        let mut next = || times.next().unwrap_or(NEVER);
        Self { stream: next(), store: next(), emitted: next() }
    }

    /// Window starts, or session ends, below this are not needed any more: past the retention and, where windows are emitted
    /// when they close, emitted.
    pub(crate) fn expired(self, aggregate: &Aggregate, retention_ms: i64) -> i64 {
        let past = self.store.saturating_sub(retention_ms);
        let Some(window) = aggregate.window.filter(|_| aggregate.emit == Emit::Close) else { return past };
        let close_time = self.stream.saturating_sub(window.grace_ms);
        let open = match window.kind {
            WindowKind::Hopping { size_ms: size, .. } | WindowKind::Sliding { difference_ms: size } => size,
            WindowKind::Session { gap_ms } => gap_ms,
        };
        past.min(close_time.saturating_sub(open))
    }

    pub(crate) fn save(self, state: &mut TaskState, store: StoreIndex) {
        let mut row = Vec::with_capacity(3 * keys::TIME_BYTES);
        [self.stream, self.store, self.emitted].into_iter().for_each(|time| keys::push_time(&mut row, time));
        state.put(store, &Self::row(), Some(&row));
    }
}
