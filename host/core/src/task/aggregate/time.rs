//! Aggregates without windows, and over tumbling and hopping windows: one accumulator for each key and window start.

use super::fold::Span;
use super::results::{store, stored};
use super::{Fault, Work};
use crate::ports::StoreError;
use crate::state::keys;
use crate::topology::WindowKind;

impl Work<'_> {
    /// Reads together what the rows will ask for one by one.
    pub(super) fn prefetch(&mut self) -> Result<(), StoreError> {
        let mut wanted: Vec<u8> = Vec::new();
        let mut ends: Vec<usize> = Vec::new();
        let kind = self.kind();
        let mut key_of_row = Vec::new();
        for (row, key) in self.rows.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            match kind {
                None => {
                    wanted.push(keys::DATA);
                    wanted.extend_from_slice(key);
                    ends.push(wanted.len());
                }
                Some(WindowKind::Hopping { size_ms, advance_ms }) => {
                    for start in starts(self.rows.timestamps[row], size_ms, advance_ms) {
                        keys::write_window(&mut key_of_row, key, start);
                        wanted.extend_from_slice(&key_of_row);
                        ends.push(wanted.len());
                    }
                }
                // These look for ranges.
                Some(WindowKind::Sliding { .. } | WindowKind::Session { .. }) => return Ok(()),
            }
        }
        let mut from = 0;
        let each = ends.iter().map(|&end| &wanted[std::mem::replace(&mut from, end)..end]);
        self.state.prefetch(self.aggregate.store, each)
    }

    pub(super) fn unwindowed(&mut self, row: usize, key: &[u8], at: i64) -> Result<(), Fault> {
        let mut place = std::mem::take(&mut self.key);
        place.clear();
        place.push(keys::DATA);
        place.extend_from_slice(key);
        let done = self.fold_in(row, key, at, &place, None);
        self.key = place;
        self.taken += 1;
        done.map(|_| ())
    }

    pub(super) fn hopping(
        &mut self,
        row: usize,
        key: &[u8],
        at: i64,
        (size, advance): (i64, i64),
    ) -> Result<(), Fault> {
        let close_time = self.clock.stream.saturating_sub(self.grace());
        let mut place = std::mem::take(&mut self.key);
        for start in starts(at, size, advance) {
            let end = start.saturating_add(size);
            if end <= close_time {
                self.dropped += 1;
                continue;
            }
            keys::write_window(&mut place, key, start);
            if self.fold_in(row, key, at, &place, Some((start, end)))? {
                self.opened(start, key);
            }
            self.wrote(start);
            self.taken += 1;
        }
        self.key = place;
        // The end is beyond the window: one that ends at the close time is closed.
        self.emit_closed(row, close_time, close_time.saturating_sub(size), size)
    }

    /// Folds the row into what lies at `place`. True: nothing was there.
    fn fold_in(&mut self, row: usize, key: &[u8], at: i64, place: &[u8], window: Span) -> Result<bool, Fault> {
        let is_hidden = window.is_some_and(|(start, _)| start < self.oldest());
        let slot = self.state.slot(self.aggregate.store, place)?;
        let found = if is_hidden { None } else { self.state.value(slot).and_then(stored) };
        let is_new = found.is_none();
        let before = found.map(|(_, accumulator)| accumulator);
        let folded = self.fold.add(row, key, window, before)?;
        let at = found.map_or(at, |(stored, _)| stored.max(at));
        match folded.as_deref() {
            None => self.state.put_at(slot, None),
            Some(accumulator) => {
                store(&mut self.value, at, accumulator);
                self.state.put_at(slot, Some(&self.value));
            }
        }
        self.update(row, at, folded.as_deref(), window);
        Ok(is_new)
    }

    /// Keeps an accumulator and emits it if updates are wanted.
    pub(super) fn put(&mut self, row: usize, place: &[u8], at: i64, accumulator: Option<&[u8]>, window: Span) {
        match accumulator {
            None => self.state.put(self.aggregate.store, place, None),
            Some(accumulator) => {
                store(&mut self.value, at, accumulator);
                self.state.put(self.aggregate.store, place, Some(&self.value));
            }
        }
        self.update(row, at, accumulator, window);
    }

    fn update(&mut self, row: usize, at: i64, accumulator: Option<&[u8]>, window: Span) {
        if self.results.emits_updates() {
            let value = accumulator.and_then(|accumulator| self.fold.result(accumulator));
            self.results.update(row, value, at, window);
        }
    }

    /// The store has seen a window that starts (a session that ends) at `time`.
    pub(super) fn wrote(&mut self, time: i64) {
        self.clock.store = self.clock.store.max(time);
    }
}

/// The windows that `at` is in, by their starts, ascending. None begins before 1970.
pub(super) fn starts(at: i64, size: i64, advance: i64) -> impl Iterator<Item = i64> {
    let first = at.saturating_sub(size).saturating_add(advance).max(0) / advance * advance;
    std::iter::successors(Some(first), move |start| start.checked_add(advance)).take_while(move |&start| start <= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_every_window_that_it_is_not_beyond() {
        let all = |at, size, advance| starts(at, size, advance).collect::<Vec<_>>();
        assert_eq!(all(9, 10, 10), [0]);
        assert_eq!(all(10, 10, 10), [10]);
        assert_eq!(all(12, 10, 5), [5, 10]);
        assert_eq!(all(3, 10, 5), [0]);
        assert_eq!(all(12, 10, 4), [4, 8, 12]);
        assert_eq!(all(-1, 10, 5), [] as [i64; 0]);
    }
}
