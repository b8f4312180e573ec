//! Emit on close: an index by time holds the windows that are not emitted yet.

use super::results::stored;
use super::{Fault, Work};
use crate::state::keys;

/// Windows that one page of the index brings.
const PAGE_WINDOWS: usize = 1_000;

impl Work<'_> {
    /// A window of `key` that starts at `start` is there now, to be emitted when it closes.
    pub(super) fn opened(&mut self, start: i64, key: &[u8]) {
        if self.emits_on_close() {
            self.state.put(self.aggregate.store, &keys::by_time(start, key, b""), Some(b""));
        }
    }

    /// Emits the windows that start at `latest` or before and are not emitted yet, oldest first.
    pub(super) fn emit_closed(&mut self, row: usize, close_time: i64, latest: i64, size: i64) -> Result<(), Fault> {
        self.emit_until(row, close_time, latest, |index| {
            let (start, key, _) = keys::split_by_time(index)?;
            Some(Closed { place: keys::window(&key, start), window: (start, start.saturating_add(size)), key })
        })
    }

    /// Emits what lies in the index at `latest` or before, if more has closed since the last time; `read` tells what a row of
    /// the index stands for.
    pub(super) fn emit_until(
        &mut self,
        row: usize,
        close_time: i64,
        latest: i64,
        read: impl Fn(&[u8]) -> Option<Closed>,
    ) -> Result<(), Fault> {
        if !self.emits_on_close() || self.clock.emitted >= close_time || latest < 0 {
            return Ok(());
        }
        self.clock.emitted = close_time;
        let store = self.aggregate.store;
        let range = keys::until(keys::BY_TIME, latest);
        loop {
            // What was emitted is not in the index any more, so each page begins at its beginning.
            let page = self.state.range(store, &range, PAGE_WINDOWS, false)?;
            let is_last = page.len() < PAGE_WINDOWS;
            for (index, _) in page {
                self.state.put(store, &index, None);
                let Some(Closed { place, key, window }) = read(&index) else { continue };
                let Some((at, accumulator)) = self.state.get(store, &place)?.and_then(stored) else { continue };
                let value = self.fold.result(accumulator);
                self.results.last(row, &key, value, at, window);
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// A window or session that takes no more rows.
pub(super) struct Closed {
    /// Its row in the store.
    pub(super) place: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// Start and end.
    pub(super) window: (i64, i64),
}
