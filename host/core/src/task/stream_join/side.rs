//! The rows of one side of a join, as long as they can be joined.

use crate::ports::StoreError;
use crate::state::{TaskState, keys};
use crate::topology::StoreIndex;

/// The name of the row of a [`SideClock`].
const ROW: &str = "time";

/// No row yet, as Kafka Streams has it.
pub(super) const NONE: i64 = -1;

/// What one side knows of its rows; a row of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SideClock {
    /// The latest time of a row that was kept, in milliseconds since 1970 UTC: what is too old for it is not seen any more.
    pub(crate) time: i64,
    /// How many rows came, which gives each a number that none other has.
    sequence: u64,
}

/// The rows of one side.
pub(super) struct Kept {
    store: StoreIndex,
    retention_ms: i64,
    clock: SideClock,
    saved: SideClock,
}

impl SideClock {
    pub(crate) fn load(state: &mut TaskState, store: StoreIndex) -> Result<Self, StoreError> {
        let Some(row) = state.get(store, &keys::own(ROW))? else { return Ok(Self { time: NONE, sequence: 0 }) };
        let number = |at: usize| row.get(at..at + keys::TIME_BYTES).and_then(keys::time);
        Ok(Self { time: number(0).unwrap_or(NONE), sequence: number(keys::TIME_BYTES).map_or(0, i64::unsigned_abs) })
    }

    fn save(self, state: &mut TaskState, store: StoreIndex) {
        let mut row = Vec::with_capacity(2 * keys::TIME_BYTES);
        keys::push_time(&mut row, self.time);
        keys::push_time(&mut row, self.sequence as i64);
        state.put(store, &keys::own(ROW), Some(&row));
    }
}

impl Kept {
    pub(super) fn load(state: &mut TaskState, store: StoreIndex, retention_ms: i64) -> Result<Self, StoreError> {
        let clock = SideClock::load(state, store)?;
        Ok(Self { store, retention_ms, clock, saved: clock })
    }

    pub(super) fn save(&self, state: &mut TaskState) {
        if self.clock != self.saved {
            self.clock.save(state, self.store);
        }
    }

    /// The earliest time that is shown. What Kafka Streams has still on disk beyond it, it does not show either.
    fn oldest(&self) -> i64 {
        self.clock.time.saturating_sub(self.retention_ms).saturating_add(1)
    }

    /// The number that the next row will have.
    pub(super) fn next_sequence(&self) -> u64 {
        self.clock.sequence + 1
    }

    /// Keeps a row.
    pub(super) fn put(&mut self, state: &mut TaskState, key: &[u8], at: i64, value: &[u8]) {
        self.clock.sequence += 1;
        self.clock.time = self.clock.time.max(at);
        // Else nobody would ever see it.
        if at >= self.oldest() {
            state.put_joined(self.store, key, (at, self.clock.sequence), value);
        }
    }

    /// Gives `each` the rows of `key` in `from..=until` that are shown, in order of their times, then as they came: time,
    /// number and value.
    pub(super) fn find(
        &self,
        state: &mut TaskState,
        key: &[u8],
        (from, until): (i64, i64),
        each: impl FnMut(i64, u64, &[u8]),
    ) -> Result<(), StoreError> {
        // The next rows of the key are about as late as this one, and none is likely to be earlier by more than a window.
        let keep_from = from.saturating_sub(until.saturating_sub(from));
        let (from, until) = (from.max(self.oldest()), until.min(self.clock.time));
        // What is later than all rows need not be asked for.
        if from > until {
            return Ok(());
        }
        state.joined(self.store, key, (from, until), keep_from, each)
    }
}
