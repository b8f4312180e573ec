//! What a table holds for a row's turn, although all changes of the step are in its store already.

use super::aggregate::stored;
use crate::ports::StoreError;
use crate::record::Rows;
use crate::state::{TaskState, keys};
use crate::topology::StoreIndex;

/// A value of a table and its timestamp, in milliseconds since 1970 UTC.
pub(super) type Held<'r> = Option<(i64, &'r [u8])>;

/// The changes of a table in a step, by key.
pub(super) struct Changes<'r> {
    table: StoreIndex,
    rows: &'r Rows,
    /// By key, then in order.
    order: Vec<usize>,
    /// A change comes before a row of the same origin.
    first: bool,
}

impl<'r> Changes<'r> {
    pub(super) fn new(table: StoreIndex, rows: &'r Rows, first: bool) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| rows.keys.get(row));
        Self { table, rows, order, first }
    }

    /// What the table held for `key` when the row of `origin` came.
    pub(super) fn find<'s>(
        &self,
        state: &'s mut TaskState,
        place: &mut Vec<u8>,
        key: &[u8],
        origin: u32,
    ) -> Result<Held<'s>, StoreError>
    where
        'r: 's,
    {
        match self.before(key, origin) {
            Some(held) => Ok(held),
            None => {
                write_place(place, key);
                Ok(state.get(self.table, place)?.and_then(stored))
            }
        }
    }

    /// The same; none: nothing of it changed in this step.
    fn before(&self, key: &[u8], origin: u32) -> Option<Held<'r>> {
        let start = self.order.partition_point(|&row| self.rows.keys.get(row) < Some(key));
        let changes = &self.order[start..];
        let changes = &changes[..changes.partition_point(|&row| self.rows.keys.get(row) == Some(key))];
        let first = *changes.first()?;
        let is_before = |&change: &usize| (self.rows.origins[change], !self.first) < (origin, true);
        match changes.partition_point(is_before).checked_sub(1) {
            Some(last) => {
                let last = changes[last];
                Some(self.rows.values.get(last).map(|value| (self.rows.timestamps[last], value)))
            }
            None => Some(self.rows.olds.as_ref().and_then(|olds| olds.get(first)).and_then(stored)),
        }
    }
}

/// Where a table keeps the row of `key`.
pub(super) fn write_place(place: &mut Vec<u8>, key: &[u8]) {
    place.clear();
    place.push(keys::DATA);
    place.extend_from_slice(key);
}

/// Reads the rows of `table` for the keys of `rows` together.
pub(super) fn prefetch(state: &mut TaskState, table: StoreIndex, rows: &Rows) -> Result<(), StoreError> {
    let places: Vec<Vec<u8>> = rows.keys.iter().flatten().map(keys::key_value).collect();
    state.prefetch(table, places.iter().map(Vec::as_slice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Column, RecordBatch};
    use crate::task::aggregate::write_stored;

    #[test]
    fn a_row_sees_the_changes_before_its_turn_and_else_what_was_there_before_the_step() {
        let mut batch = RecordBatch::default();
        for (at, key, value) in [(10, b"k", Some(&b"b"[..])), (11, b"l", Some(b"x")), (9, b"k", None)] {
            batch.push(0, at, Some(key), value, &[]);
        }
        let mut old = Vec::new();
        write_stored(&mut old, 5, b"a");
        let olds: Column = [Some(&old[..]), None, None].into_iter().collect();
        let rows = Rows { origins: vec![3, 4, 6], olds: Some(olds.into()), ..Rows::from_batch(batch) };
        let changes = Changes::new(StoreIndex(0), &rows, false);
        let held = |origin| changes.before(b"k", origin);
        assert_eq!([held(0), held(3)], [Some(Some((5, &b"a"[..]))); 2]);
        assert_eq!([held(4), held(6)], [Some(Some((10, &b"b"[..]))); 2]);
        assert_eq!(held(7), Some(None));
        assert_eq!(changes.before(b"l", 4), Some(None));
        assert_eq!(changes.before(b"m", 9), None);
        assert_eq!(Changes::new(StoreIndex(0), &rows, true).before(b"k", 3), Some(Some((10, &b"b"[..]))));
    }
}
