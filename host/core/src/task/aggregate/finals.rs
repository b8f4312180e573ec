//! Emit on close: an index by time holds the windows that are not emitted yet.

use std::ops::Bound;

use super::results::stored;
use super::{Fault, Work};
use crate::ports::KeyRange;
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
        if !self.emits_on_close() || self.clock.emitted >= close_time || latest < 0 {
            return Ok(());
        }
        self.clock.emitted = close_time;
        let store = self.aggregate.store;
        let upper = Bound::Excluded(keys::from_time(keys::BY_TIME, latest.saturating_add(1)));
        let range = KeyRange { lower: Bound::Included(vec![keys::BY_TIME]), upper };
        loop {
            // What was emitted is not in the index any more, so each page begins at its beginning.
            let page = self.state.range(store, &range, PAGE_WINDOWS, false)?;
            let is_last = page.len() < PAGE_WINDOWS;
            for (index, _) in page {
                self.state.put(store, &index, None);
                let Some((start, key, _)) = keys::split_by_time(&index) else { continue };
                let place = keys::window(&key, start);
                let Some((at, accumulator)) = self.state.get(store, &place)?.and_then(stored) else { continue };
                let value = self.fold.result(accumulator);
                self.results.last(row, &key, value, at, (start, start.saturating_add(size)));
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
