//! Rows that have found no partner yet, and the time by which they stop waiting.
//!
//! As in Kafka Streams, rows leave when stream time, over both sides, is past their window and grace, but not before a row
//! comes that is not behind it, and not before it is past the window of `min_time`. That is roughly the earliest time of the
//! rows that wait; where it differs, rows leave later than they could.

use std::ops::Bound;

use super::side::NONE;
use crate::ports::{KeyRange, StoreError};
use crate::state::{TaskState, keys};
use crate::task::sides::Side;
use crate::topology::{StoreIndex, Within};

/// The name of the row that holds a [`Tracker`].
const ROW: &str = "time";
/// Rows that a first look brings; each further one brings twice as many, at most [`PAGE_ROWS_MAX`].
const PAGE_ROWS: usize = 16;
/// Rows that one look brings at most.
const PAGE_ROWS_MAX: usize = 512;

/// What a join knows of time; a row of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tracker {
    /// Stream time: the highest timestamp of all rows of both sides, in milliseconds since 1970 UTC.
    time: i64,
    /// Roughly the earliest time of the rows that wait.
    min_time: i64,
    /// No row that waits is earlier.
    floor: i64,
    /// How many rows wait, of the left and of the right side.
    rows: [i64; 2],
}

/// The rows that wait.
pub(super) struct Waiting {
    store: StoreIndex,
    tracker: Tracker,
    saved: Tracker,
    /// Buffer for a key of the store.
    place: Vec<u8>,
}

/// What tells a row from all others: time, side, key and the number that its side gives it.
pub(super) type Place<'a> = (i64, Side, &'a [u8], u64);

/// As the store has it: of one time the right side comes first.
fn byte(side: Side) -> u8 {
    u8::from(side == Side::Left)
}

impl Tracker {
    const NEW: Self = Self { time: NONE, min_time: i64::MAX, floor: i64::MAX, rows: [0; 2] };

    fn read(row: &[u8]) -> Self {
        let mut numbers = row.chunks_exact(keys::TIME_BYTES).filter_map(keys::time);
        let mut next = |missing: i64| numbers.next().unwrap_or(missing);
        let new = Self::NEW;
        Self { time: next(new.time), min_time: next(new.min_time), floor: next(new.floor), rows: [next(0), next(0)] }
    }

    fn write(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(5 * keys::TIME_BYTES);
        let numbers = [self.time, self.min_time, self.floor, self.rows[0], self.rows[1]];
        numbers.into_iter().for_each(|number| keys::push_time(&mut row, number));
        row
    }
}

impl Waiting {
    pub(super) fn load(state: &mut TaskState, store: StoreIndex) -> Result<Self, StoreError> {
        let tracker = state.get(store, &keys::own(ROW))?.map_or(Tracker::NEW, Tracker::read);
        Ok(Self { store, tracker, saved: tracker, place: Vec::new() })
    }

    pub(super) fn save(&self, state: &mut TaskState) {
        if self.tracker != self.saved {
            state.put(self.store, &keys::own(ROW), Some(&self.tracker.write()));
        }
    }

    /// Stream time, once a row of time `at` is there.
    pub(super) fn moved(&mut self, at: i64) -> i64 {
        self.tracker.time = self.tracker.time.max(at);
        self.tracker.time
    }

    pub(super) fn add(&mut self, state: &mut TaskState, (at, side, key, sequence): Place<'_>, value: &[u8]) {
        self.tracker.min_time = self.tracker.min_time.min(at);
        self.tracker.floor = self.tracker.floor.min(at);
        self.tracker.rows[side.place()] += 1;
        keys::write_waiting(&mut self.place, at, byte(side), key, sequence);
        state.put(self.store, &self.place, Some(value));
    }

    /// The row has found a partner: if it still waits, it does no longer.
    pub(super) fn remove(
        &mut self,
        state: &mut TaskState,
        (at, side, key, sequence): Place<'_>,
    ) -> Result<(), StoreError> {
        if self.tracker.rows[side.place()] == 0 || at < self.tracker.floor {
            return Ok(());
        }
        keys::write_waiting(&mut self.place, at, byte(side), key, sequence);
        let slot = state.slot(self.store, &self.place)?;
        if state.value(slot).is_some() {
            state.put_at(slot, None);
            self.tracker.rows[side.place()] -= 1;
        }
        Ok(())
    }

    /// Gives `each` the rows that have waited long enough: side, key, value, time. `after`: how much later a partner of a row
    /// of the side may be whose row has come.
    pub(super) fn close(
        &mut self,
        state: &mut TaskState,
        within: Within,
        after: i64,
        mut each: impl FnMut(Side, &[u8], &[u8], i64),
    ) -> Result<(), StoreError> {
        let time = self.tracker.time;
        // The sum wraps round where nothing waits, as in Kafka Streams.
        if self.tracker.min_time.wrapping_add(after).wrapping_add(within.grace_ms) >= time {
            return Ok(());
        }
        let open_ms = |side: Side| match side {
            Side::Left => within.after_ms.saturating_add(within.grace_ms),
            Side::Right => within.before_ms.saturating_add(within.grace_ms),
        };
        let (mut open, from) = ([false; 2], self.tracker.floor);
        (self.tracker.min_time, self.tracker.floor) = (i64::MAX, i64::MAX);
        let mut pages = Pages::new(from, self.tracker.rows != [0; 2]);
        while let Some((row, value)) = pages.next(state, self.store)? {
            let Some((at, side, key)) = keys::split_waiting(&row) else { continue };
            let side = if side == byte(Side::Left) { Side::Left } else { Side::Right };
            self.tracker.min_time = at;
            if open == [true; 2] {
                break;
            }
            if at.saturating_add(open_ms(side)) < time {
                each(side, &key, &value, at);
                state.put(self.store, &row, None);
                self.tracker.rows[side.place()] -= 1;
                continue;
            }
            self.tracker.floor = self.tracker.floor.min(at);
            open[side.place()] = true;
            // If those of one side only wait, all rows from here on are open as this one, and would be looked at in vain.
            if self.tracker.rows.contains(&0) {
                self.tracker.min_time = self.last(state)?.unwrap_or(at);
                break;
            }
        }
        Ok(())
    }

    /// The latest time of the rows that wait.
    fn last(&self, state: &mut TaskState) -> Result<Option<i64>, StoreError> {
        let rows = state.range(self.store, &KeyRange::prefix(&[keys::WAITING]), 1, true)?;
        Ok(rows.first().and_then(|(row, _)| keys::split_waiting(row)).map(|(at, ..)| at))
    }
}

/// A key of the store and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// The rows that wait, in order, read some at a time.
struct Pages {
    range: KeyRange,
    page: std::vec::IntoIter<Entry>,
    rows: usize,
    is_last: bool,
}

impl Pages {
    /// From time `from` on; `any`: there are some.
    fn new(from: i64, any: bool) -> Self {
        let lower = keys::from_time(keys::WAITING, from);
        let range = KeyRange { lower: Bound::Included(lower), ..KeyRange::prefix(&[keys::WAITING]) };
        Self { range, page: Vec::new().into_iter(), rows: PAGE_ROWS, is_last: !any }
    }

    fn next(&mut self, state: &mut TaskState, store: StoreIndex) -> Result<Option<Entry>, StoreError> {
        if self.page.len() == 0 && !self.is_last {
            let page = state.range(store, &self.range, self.rows, false)?;
            self.is_last = page.len() < self.rows;
            if let Some((last, _)) = page.last() {
                self.range.lower = Bound::Excluded(last.clone());
            }
            self.page = page.into_iter();
            self.rows = (2 * self.rows).min(PAGE_ROWS_MAX);
        }
        Ok(self.page.next())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::state::MemoryStore;
    use crate::task::TaskId;
    use crate::topology::parse;

    /// A row that waits, by time, side and key, and then as it came: its value.
    type Rows = BTreeMap<(i64, u8, Vec<u8>, u64), Vec<u8>>;

    fn state() -> (TaskState, StoreIndex) {
        let text = "application: a\ntopics: { t: {} }\nnodes:\n  t: { source: t }\n  j: { from: t, join: t, within: 1s, how: outer }\n";
        let topology = parse("t.yaml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render()));
        let task = TaskId { subtopology: 0, partition: 0 };
        let state = TaskState::new(task, Arc::new(MemoryStore::default()), &topology, &BTreeMap::new());
        (state, topology.find_store("j-waiting").unwrap())
    }

    /// The loop of Kafka Streams' `emitNonJoinedOuterRecords`: what leaves, and the least time that it comes to.
    fn walk(rows: &mut Rows, time: i64, within: Within) -> (Vec<Vec<u8>>, i64) {
        let (mut min_time, mut open, mut left) = (i64::MAX, [false; 2], Vec::new());
        for ((at, side, key, sequence), value) in rows.clone() {
            min_time = at;
            if open == [true; 2] {
                break;
            }
            let until = at + if side == 1 { within.after_ms } else { within.before_ms } + within.grace_ms;
            if until >= time {
                open[usize::from(side)] = true;
                continue;
            }
            left.push(value);
            rows.remove(&(at, side, key, sequence));
        }
        (left, min_time)
    }

    /// Rows, each with whether others close what they can before it: steps in time, side, key.
    fn rows() -> impl Strategy<Value = Vec<(i64, bool, u8, bool)>> {
        proptest::collection::vec((-3_i64..5, any::<bool>(), 0_u8..2, any::<bool>()), 1..150)
    }

    proptest! {
        #[test]
        fn a_close_that_looks_at_few_rows_does_what_one_does_that_looks_at_all(
            steps in rows(),
            (before_ms, after_ms, grace_ms) in (0_i64..20, 0_i64..20, 0_i64..5),
            one_side: bool,
        ) {
            let (mut state, store) = state();
            let mut waiting = Waiting::load(&mut state, store).unwrap();
            let within = Within { before_ms, after_ms, grace_ms };
            let (mut model, mut min_time, mut at) = (Rows::new(), i64::MAX, 0);
            for (sequence, (step, is_left, key, closes)) in (0_u64..).zip(steps) {
                at = (at + step).max(0);
                let side = if is_left || one_side { Side::Left } else { Side::Right };
                let time = waiting.moved(at);
                if closes {
                    let after = if side == Side::Left { after_ms } else { before_ms };
                    let mut left = Vec::new();
                    waiting.close(&mut state, within, after, |_, _, value, _| left.push(value.to_vec())).unwrap();
                    if min_time.wrapping_add(after).wrapping_add(grace_ms) < time {
                        let expected;
                        (expected, min_time) = walk(&mut model, time, within);
                        prop_assert_eq!(left, expected);
                    } else {
                        prop_assert!(left.is_empty());
                    }
                    prop_assert_eq!(waiting.tracker.min_time, min_time);
                    waiting.save(&mut state);
                    waiting = Waiting::load(&mut state, store).unwrap();
                }
                let value = sequence.to_be_bytes().to_vec();
                waiting.add(&mut state, (at, side, &[key], sequence), &value);
                model.insert((at, byte(side), vec![key], sequence), value);
                min_time = min_time.min(at);
                if key == 1 && closes {
                    waiting.remove(&mut state, (at, side, &[key], sequence)).unwrap();
                    waiting.remove(&mut state, (at, side.other(), &[key], sequence)).unwrap();
                    model.remove(&(at, byte(side), vec![key], sequence));
                }
                prop_assert_eq!(waiting.tracker.rows.iter().sum::<i64>(), model.len() as i64);
            }
        }
    }
}
