//! What a node that counts is to have made of the rows of one task, told plainly: no batches, no stores, no faults.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::topology::{Window, WindowKind};

use crate::broker::StoredRow;

/// A key, and the start of its window where there are windows.
pub(super) type Place = (Vec<u8>, Option<i64>);

/// A count of a window that takes no more rows: its place, the count, and the highest timestamp of its rows.
pub(super) type Final = (Place, i64, i64);

/// Counts by key, or by key and tumbling window. Fed with the rows of one task in their order.
#[derive(Debug)]
pub(super) struct Model {
    /// Size and grace.
    window: Option<(i64, i64)>,
    /// Stream time; none: no row yet.
    stream: Option<i64>,
    counts: BTreeMap<Place, i64>,
    latest: BTreeMap<Place, i64>,
    open: BTreeSet<(i64, Vec<u8>)>,
    finals: Vec<Final>,
}

/// The start of the tumbling window that `at` is in.
pub(super) fn start_of(at: i64, size: i64) -> i64 {
    at - at.rem_euclid(size)
}

/// The size of tumbling windows.
pub(super) fn size_of(window: Window) -> i64 {
    match window.kind {
        WindowKind::Hopping { size_ms: size, .. } => size,
        WindowKind::Sliding { difference_ms: size } | WindowKind::Session { gap_ms: size } => size,
    }
}

impl Model {
    pub(super) fn new(window: Option<Window>) -> Self {
        Self {
            window: window.map(|window| (size_of(window), window.grace_ms)),
            stream: None,
            counts: BTreeMap::new(),
            latest: BTreeMap::new(),
            open: BTreeSet::new(),
            finals: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, row: &StoredRow) {
        let (Some(key), Some(_)) = (&row.key, &row.value) else { return };
        let Some((size, grace)) = self.window else {
            *self.counts.entry((key.clone(), None)).or_default() += 1;
            return;
        };
        let stream = self.stream.map_or(row.timestamp, |stream| stream.max(row.timestamp));
        self.stream = Some(stream);
        let closed = |start: i64| start + size <= stream - grace;
        let start = start_of(row.timestamp, size);
        if !closed(start) {
            let place = (key.clone(), Some(start));
            let latest = self.latest.entry(place.clone()).or_insert(row.timestamp);
            *latest = row.timestamp.max(*latest);
            *self.counts.entry(place).or_default() += 1;
            self.open.insert((start, key.clone()));
        }
        while let Some((start, key)) = self.open.pop_first() {
            if !closed(start) {
                self.open.insert((start, key));
                break;
            }
            let place = (key, Some(start));
            let (count, latest) = (self.counts[&place], self.latest[&place]);
            self.finals.push((place, count, latest));
        }
    }

    pub(super) fn is_windowed(&self) -> bool {
        self.window.is_some()
    }

    pub(super) fn counts(&self) -> &BTreeMap<Place, i64> {
        &self.counts
    }

    /// In the order in which the windows close.
    pub(super) fn finals(&self) -> &[Final] {
        &self.finals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, timestamp: i64) -> StoredRow {
        StoredRow { timestamp, key: Some(key.into()), value: Some(Vec::new()), headers: Vec::new() }
    }

    #[test]
    fn a_window_closes_once_its_grace_is_past_and_takes_no_more() {
        let window = Window { kind: WindowKind::Hopping { size_ms: 10, advance_ms: 10 }, grace_ms: 5 };
        let mut model = Model::new(Some(window));
        [row("a", 3), row("b", 9), row("a", 14), row("a", 1)].iter().for_each(|row| model.take(row));
        assert_eq!(model.finals(), []);
        model.take(&row("c", 15));
        let closed = [((b"a".to_vec(), Some(0)), 2, 3), ((b"b".to_vec(), Some(0)), 1, 9)];
        assert_eq!(model.finals(), closed);
        model.take(&row("a", 9));
        assert_eq!(model.finals(), closed, "it came too late");
        assert_eq!(model.counts()[&(b"a".to_vec(), Some(0))], 2);
    }
}
