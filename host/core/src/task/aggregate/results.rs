//! What an aggregate emits, and how its store keeps an accumulator.

use crate::record::{Cells, Column, Rows};
use crate::state::{TaskState, keys};
use crate::topology::{Aggregate, Emit, WindowKind};

/// Results of one batch.
pub(super) struct Results {
    emit: Emit,
    windowed: bool,
    /// The input row that caused each.
    rows: Vec<u32>,
    /// Keys of final results: the row that closes a window is of another key. None: the key of the input row.
    keys: Column,
    values: Vec<Option<Vec<u8>>>,
    timestamps: Vec<i64>,
    windows: Vec<(i64, i64)>,
}

impl Results {
    pub(super) fn new(emit: Emit, windowed: bool) -> Self {
        Self {
            emit,
            windowed,
            rows: Vec::new(),
            keys: Column::default(),
            values: Vec::new(),
            timestamps: Vec::new(),
            windows: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn emits_updates(&self) -> bool {
        self.emit == Emit::Update
    }

    /// An update for the key of row `row`.
    pub(super) fn update(&mut self, row: usize, value: Option<Vec<u8>>, at: i64, window: Option<(i64, i64)>) {
        self.rows.push(row as u32);
        self.values.push(value);
        self.timestamps.push(at);
        self.windows.extend(window);
    }

    /// The final result of a window that row `row` has closed.
    pub(super) fn last(&mut self, row: usize, key: &[u8], value: Option<Vec<u8>>, at: i64, window: (i64, i64)) {
        self.keys.push(Some(key));
        self.update(row, value, at, Some(window));
    }

    /// Forgets all but the first `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        if self.emit == Emit::Close && length < self.len() {
            self.keys = self.keys.iter().take(length).collect();
        }
        self.rows.truncate(length);
        self.values.truncate(length);
        self.timestamps.truncate(length);
        self.windows.truncate(length);
    }

    pub(super) fn into_rows(self, input: &Rows) -> Rows {
        let keys = if self.emit == Emit::Close { Cells::from(self.keys) } else { input.keys.select(&self.rows) };
        let values: Column = self.values.iter().map(Option::as_deref).collect();
        Rows {
            keys,
            values: values.into(),
            timestamps: self.timestamps,
            headers: input.headers.as_ref().map(|headers| headers.select(&self.rows)),
            windows: self.windowed.then_some(self.windows),
            olds: None,
            origins: self.rows.iter().map(|&row| input.origins[row as usize]).collect(),
        }
    }
}

/// What a store keeps of a key and window: the timestamp of the result, and the accumulator.
pub(crate) fn stored(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (at, accumulator) = bytes.split_at_checked(keys::TIME_BYTES)?;
    Some((keys::time(at)?, accumulator))
}

/// Writes what [`stored`] reads.
pub(crate) fn store(out: &mut Vec<u8>, at: i64, accumulator: &[u8]) {
    out.clear();
    keys::push_time(out, at);
    out.extend_from_slice(accumulator);
}

/// The last result of each key and window that the transaction has changed, in the order of their first changes: what
/// leaves at a commit. Each is its own origin.
pub(crate) fn changed(aggregate: &Aggregate, state: &TaskState) -> Rows {
    let (mut row_keys, mut values) = (Column::default(), Column::default());
    let (mut timestamps, mut windows) = (Vec::new(), Vec::new());
    let kind = aggregate.window.map(|window| window.kind);
    for (_, key, value) in state.written_in(aggregate.store) {
        let found = match kind {
            None => keys::split_key_value(key).map(|key| (key.to_vec(), None)),
            Some(WindowKind::Session { .. }) => {
                keys::split_session(key).map(|(key, start, end)| (key, Some((start, end))))
            }
            Some(WindowKind::Hopping { size_ms: size, .. } | WindowKind::Sliding { difference_ms: size }) => {
                keys::split_window(key).map(|(key, start)| (key, Some((start, start.saturating_add(size)))))
            }
        };
        let Some((key, window)) = found else { continue };
        let found = value.and_then(stored);
        row_keys.push(Some(&key));
        values.push(found.and_then(|(_, bytes)| super::accumulator::result(aggregate, bytes)).as_deref());
        // A session that has gone into another is dated by its end, as its results were.
        timestamps.push(found.map(|(at, _)| at).or(window.map(|(_, end)| end)).unwrap_or_default());
        windows.extend(window);
    }
    Rows {
        keys: row_keys.into(),
        values: values.into(),
        olds: None,
        origins: (0..timestamps.len() as u32).collect(),
        timestamps,
        headers: None,
        windows: kind.is_some().then_some(windows),
    }
}
