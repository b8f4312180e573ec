//! Sliding windows, `[start, start + difference]` with both ends in it, made by the rows: one that ends at each row, and one
//! that starts just after it. The way of Kafka Streams' `KStreamSlidingWindowAggregate`, in its order.

use std::collections::BTreeSet;

use super::results::stored;
use super::{Fault, Work};
use crate::ports::KeyRange;
use crate::state::keys;

/// Windows of one key that a row may meet. Their rows lie within three differences, so as many rows as this, of one key,
/// would have to lie there; a row that meets more is a fault of the topology's window.
const WINDOWS_MAX: usize = 1_000_000;

/// A window as the store has it: the timestamp of its last row, and its accumulator.
#[derive(Clone, Debug)]
struct Found {
    start: i64,
    at: i64,
    accumulator: Vec<u8>,
}

/// A row on its way through its windows.
#[derive(Clone, Copy)]
struct Incoming<'k> {
    row: usize,
    key: &'k [u8],
    at: i64,
    difference: i64,
    close_time: i64,
}

impl Work<'_> {
    pub(super) fn sliding(&mut self, row: usize, key: &[u8], at: i64, difference: i64) -> Result<(), Fault> {
        let close_time = self.clock.stream.saturating_sub(self.grace());
        let incoming = Incoming { row, key, at, difference, close_time };
        if at.saturating_add(difference) < close_time {
            self.dropped += 1; // too late even for the window that starts at it
            return Ok(());
        }
        if at < difference {
            return self.early(incoming);
        }
        self.slide(incoming)?;
        self.emit_closed(row, close_time, close_time.saturating_sub(difference).saturating_sub(1), difference)
    }

    fn slide(&mut self, incoming: Incoming<'_>) -> Result<(), Fault> {
        let Incoming { key, at, difference, .. } = incoming;
        let mut starts = BTreeSet::new();
        let (mut left, mut right, mut previous) = (None, None, None);
        let (mut has_left, mut has_right) = (false, false);
        let from = at.saturating_sub(difference.saturating_mul(2)).max(0);
        for found in self.windows(key, from, at + 1)?.into_iter().rev() {
            starts.insert(found.start);
            let end = found.start.saturating_add(difference);
            if found.start == at + 1 {
                has_right = true;
            } else if end > at {
                right.get_or_insert_with(|| found.clone());
                self.slide_into(incoming, found.start, Some(&found))?;
            } else if end == at {
                has_left = true;
                self.slide_into(incoming, found.start, Some(&found))?;
                if found.at >= at {
                    return Ok(()); // a row of this time was here: all its windows are there
                }
                previous = Some(found.at); // made by another row's right window
            } else {
                previous = Some(found.at);
                left = Some(found);
                break;
            }
        }
        if let Some(previous) = previous
            && !starts.contains(&(previous + 1))
            && previous.saturating_add(1).saturating_add(difference) >= at
        {
            self.slide_into(incoming, previous + 1, None)?;
        }
        if !has_left {
            let holds_previous = previous.is_some_and(|previous| at - difference <= previous);
            let left = left.filter(|_| holds_previous).map(|left| Found { at, ..left });
            self.slide_into(incoming, at - difference, left.as_ref())?;
        }
        if let Some(right) = right.filter(|right| !has_right && right.at > at) {
            self.own_right(incoming, &right);
        }
        Ok(())
    }

    /// Near 1970 no window starts below 0: `[0, difference]` stands for all that would.
    fn early(&mut self, incoming: Incoming<'_>) -> Result<(), Fault> {
        let Incoming { key, at, .. } = incoming;
        let mut starts = BTreeSet::new();
        let (mut combined, mut right): (Option<Found>, Option<Found>) = (None, None);
        let mut has_right = false;
        for found in self.windows(key, 0, at + 1)? {
            starts.insert(found.start);
            if found.start == 0 {
                combined = Some(found);
            } else if found.start <= at {
                self.slide_into(incoming, found.start, Some(&found))?;
                right = Some(found);
            } else {
                has_right = true;
            }
        }
        let previous = combined.as_ref().map(|combined| combined.at).filter(|&previous| previous < at);
        let right = right.or_else(|| combined.clone().filter(|combined| combined.at > at));
        if let Some(right) = right.filter(|right| !has_right && right.at > at) {
            self.own_right(incoming, &right);
        }
        if let Some(previous) = previous.filter(|previous| !starts.contains(&(previous + 1))) {
            self.slide_into(incoming, previous + 1, None)?;
        }
        self.slide_into(incoming, 0, combined.as_ref())
    }

    /// The windows of `key` that start between `earliest` and `latest`, both in it, and are not too old to be seen.
    fn windows(&mut self, key: &[u8], earliest: i64, latest: i64) -> Result<Vec<Found>, Fault> {
        let earliest = earliest.max(self.oldest());
        let range = KeyRange::between(keys::window(key, earliest), keys::window(key, latest.saturating_add(1)));
        let entries = self.state.range(self.aggregate.store, &range, WINDOWS_MAX, false)?;
        let found = entries.iter().filter_map(|(place, value)| {
            let (_, start) = keys::split_window(place)?;
            let (at, accumulator) = stored(value)?;
            Some(Found { start, at, accumulator: accumulator.to_vec() })
        });
        Ok(found.collect())
    }

    /// Folds the row into the window that starts at `start`, of which `before` is known; none: it is new.
    fn slide_into(&mut self, incoming: Incoming<'_>, start: i64, before: Option<&Found>) -> Result<(), Fault> {
        let Incoming { row, key, at, difference, close_time } = incoming;
        let end = start.saturating_add(difference);
        if end < close_time {
            self.dropped += 1;
            return Ok(());
        }
        let window = Some((start, end));
        let folded = self.fold.add(row, key, window, before.map(|found| &found.accumulator[..]))?;
        let latest = before.map_or(at, |found| found.at.max(at));
        self.place(incoming, start, latest, folded.as_deref());
        if before.is_none_or(|found| found.start != start) {
            self.opened(start, key);
        }
        self.taken += 1;
        Ok(())
    }

    /// The window just after the row: it holds what `right` holds, and not the row.
    fn own_right(&mut self, incoming: Incoming<'_>, right: &Found) {
        self.place(incoming, incoming.at + 1, right.at, Some(&right.accumulator));
        self.opened(incoming.at + 1, incoming.key);
    }

    fn place(&mut self, incoming: Incoming<'_>, start: i64, at: i64, accumulator: Option<&[u8]>) {
        let window = Some((start, start.saturating_add(incoming.difference)));
        self.put(incoming.row, &keys::window(incoming.key, start), at, accumulator, window);
        self.wrote(start);
    }
}
