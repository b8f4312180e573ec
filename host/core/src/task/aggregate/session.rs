//! Session windows, from the first row to the last: rows that are at most a gap apart are of one session, and a row between
//! two sessions merges them.

use std::ops::Bound;

use super::finals::Closed;
use super::results::stored;
use super::{Fault, Work};
use crate::ports::KeyRange;
use crate::state::keys;

/// Sessions of one key that are looked at first: a row seldom touches more than two.
const SESSIONS_FIRST: usize = 4;

struct Found {
    start: i64,
    end: i64,
    accumulator: Vec<u8>,
}

impl Work<'_> {
    pub(super) fn session(&mut self, row: usize, key: &[u8], at: i64, gap: i64) -> Result<(), Fault> {
        let close_time = self.clock.stream.saturating_sub(self.grace()).saturating_sub(gap);
        let found = self.sessions(key, at.saturating_sub(gap), at.saturating_add(gap))?;
        let start = found.iter().map(|found| found.start).fold(at, i64::min);
        let end = found.iter().map(|found| found.end).fold(at, i64::max);
        // The merged session decides whether the row is late.
        if end < close_time {
            self.dropped += 1;
        } else {
            self.extend(row, key, at, (start, end), &found)?;
            self.taken += 1;
        }
        self.emit_closed_sessions(row, close_time)
    }

    fn extend(
        &mut self,
        row: usize,
        key: &[u8],
        at: i64,
        (start, end): (i64, i64),
        found: &[Found],
    ) -> Result<(), Fault> {
        let mut merged: Option<Vec<u8>> = None;
        for one in found {
            merged = Some(match merged {
                None => one.accumulator.clone(),
                Some(left) => self.fold.merge(key, &left, &one.accumulator)?,
            });
        }
        // A lone row met by another of its time is overwritten; any other session found is removed, and said to be.
        if (start, end) != (at, at) {
            for one in found {
                self.wrote(one.end);
                self.put(row, &keys::session(key, one.start, one.end), one.end, None, Some((one.start, one.end)));
                if self.emits_on_close() {
                    let index = index(key, one.start, one.end);
                    self.state.put(self.aggregate.store, &index, None);
                }
            }
        }
        let window = Some((start, end));
        let folded = self.fold.add(row, key, window, merged.as_deref())?;
        self.put(row, &keys::session(key, start, end), end, folded.as_deref(), window);
        self.wrote(end);
        if self.emits_on_close() {
            self.state.put(self.aggregate.store, &index(key, start, end), Some(b""));
        }
        Ok(())
    }

    /// The sessions of `key` that end at `earliest` or later and start at `latest` or before, by end.
    fn sessions(&mut self, key: &[u8], earliest: i64, latest: i64) -> Result<Vec<Found>, Fault> {
        let oldest = self.oldest();
        let mut upper = keys::of_key(key);
        keys::push_time(&mut upper, latest.saturating_add(1));
        let range = KeyRange { lower: Bound::Included(keys::of_key(key)), upper: Bound::Excluded(upper) };
        let session = |(place, value): &(Vec<u8>, Vec<u8>)| {
            let (_, start, end) = keys::split_session(place)?;
            Some(Found { start, end, accumulator: stored(value)?.1.to_vec() })
        };
        let mut limit = SESSIONS_FIRST;
        loop {
            // From the latest back: sessions of a key do not overlap, so the first that ends too early is the last. But for
            // those that are past their retention: they may lie within later ones until the store has dropped them.
            let entries = self.state.range(self.aggregate.store, &range, limit, true)?;
            let mut seen = entries.iter().filter_map(session).filter(|found| found.end >= oldest).peekable();
            let mut found = Vec::new();
            while let Some(one) = seen.next_if(|one| one.end >= earliest) {
                found.push(one);
            }
            if entries.len() < limit || seen.peek().is_some() {
                found.reverse();
                return Ok(found);
            }
            limit *= 8;
        }
    }

    fn emit_closed_sessions(&mut self, row: usize, close_time: i64) -> Result<(), Fault> {
        self.emit_until(row, close_time, close_time.saturating_sub(1), |index| {
            let (key, start, end) = split_index(index)?;
            Some(Closed { place: keys::session(&key, start, end), key, window: (start, end) })
        })
    }
}

/// The row of the index for a session that is not emitted yet. In the order of Kafka Streams: by end, start and key.
fn index(key: &[u8], start: i64, end: i64) -> Vec<u8> {
    let mut start_and_key = Vec::with_capacity(keys::TIME_BYTES + key.len());
    keys::push_time(&mut start_and_key, start);
    start_and_key.extend_from_slice(key);
    keys::by_time(end, &start_and_key, b"")
}

/// Key, start and end of a row of the index.
fn split_index(row: &[u8]) -> Option<(Vec<u8>, i64, i64)> {
    let (end, start_and_key, _) = keys::split_by_time(row)?;
    let (start, key) = start_and_key.split_at_checked(keys::TIME_BYTES)?;
    Some((key.to_vec(), keys::time(start)?, end))
}
