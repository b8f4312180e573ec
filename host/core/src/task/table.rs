//! Tables: the last value of each key, and streams that are joined with them.
//!
//! As in Kafka Streams a record of a table that comes out of order takes the place of a later one, and is a change like all
//! others; a stream's record is joined with what the table holds when it comes, whatever the timestamps.

use std::collections::HashMap;

use super::aggregate::{stored, write_stored};
use crate::expression::{Datum, ExpressionError};
use crate::ports::StoreError;
use crate::record::{Cells, Column, Rows};
use crate::state::{TaskState, keys};
use crate::task::step::{Arrived, Poison, Problem, Step};
use crate::topology::{Format, Join, JoinHow, Joined, NodeIndex, Olds, StoreIndex, Table};

impl Step<'_> {
    /// Keeps `rows` and hands them on as changes. A row without a key is dropped.
    pub(crate) fn to_table(&mut self, index: NodeIndex, table: Table, rows: &Rows) -> Result<Rows, Poison> {
        let keyed: Vec<u32> = (0..rows.len() as u32).filter(|&row| rows.keys.get(row as usize).is_some()).collect();
        self.metrics(index).drop_rows("null-key", (rows.len() - keyed.len()) as u64);
        let mut changes = if keyed.len() == rows.len() { rows.clone() } else { rows.select(&keyed) };
        if changes.is_empty() {
            return Ok(changes);
        }
        let shared = self.state(index, &changes)?;
        let mut state = shared.borrow_mut();
        let at_store =
            |error: StoreError| Poison { origin: changes.origins[0], node: index, problem: Problem::of_store(&error) };
        let is_asked = match table.olds {
            Olds::Never => false,
            Olds::OfMixedSteps => self.scope.taken.partitions.len() > 1,
            Olds::Always => true,
        };
        if is_asked {
            prefetch(&mut state, table.store, &changes).map_err(at_store)?;
        }
        let mut olds = is_asked.then(Column::default);
        let (mut place, mut value) = (Vec::new(), Vec::new());
        for (row, key) in changes.keys.iter().enumerate() {
            write_place(&mut place, key.unwrap_or_default());
            if let Some(olds) = &mut olds {
                olds.push(state.get(table.store, &place).map_err(at_store)?);
            }
            match changes.values.get(row) {
                None => state.put(table.store, &place, None),
                Some(new) => {
                    write_stored(&mut value, changes.timestamps[row], new);
                    state.put(table.store, &place, Some(&value));
                }
            }
        }
        changes.olds = olds.map(Cells::from);
        Ok(changes)
    }

    /// The rows of the left side with what the table has for their keys. A null value is dropped, and a null key finds nothing.
    pub(crate) fn join(&mut self, index: NodeIndex, join: &Join, arrived: Arrived) -> Result<Rows, Poison> {
        let last = self.scope.topology.node(index).inputs.len() - 1;
        let (right, left): (Arrived, Arrived) = arrived.into_iter().partition(|(input, _)| *input == last);
        let [rows, changes] =
            [left, right].map(|part| Rows::interleave(part.into_iter().map(|(_, rows)| rows).collect()));
        if rows.is_empty() {
            return Ok(Rows::default());
        }
        let shared = self.state(index, &rows)?;
        let mut state = shared.borrow_mut();
        let at_store =
            |error: StoreError| Poison { origin: rows.origins[0], node: index, problem: Problem::of_store(&error) };
        prefetch(&mut state, join.table, &rows).map_err(at_store)?;
        let changes = Changes::new(&changes, join.right_first);
        let (mut chosen, mut values) = (Vec::with_capacity(rows.len()), Column::default());
        let (mut place, mut nulls) = (Vec::new(), 0);
        for row in 0..rows.len() {
            let key = rows.keys.get(row);
            if rows.values.get(row).is_none() || (key.is_none() && join.how == JoinHow::Inner) {
                nulls += 1;
                continue;
            }
            let found = match key.map(|key| (key, changes.before(key, rows.origins[row]))) {
                None => None,
                Some((_, Some(value))) => value,
                Some((key, None)) => {
                    write_place(&mut place, key);
                    state.get(join.table, &place).map_err(at_store)?.and_then(stored).map(|(_, value)| value)
                }
            };
            if found.is_none() && join.how == JoinHow::Inner {
                continue;
            }
            match joined(&join.value, &rows, row, found) {
                Ok(value) => {
                    values.push(value.as_deref());
                    chosen.push(row as u32);
                }
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        self.metrics(index).drop_rows("null-key-or-value", nulls);
        let mut joined = if chosen.len() == rows.len() { rows.clone() } else { rows.select(&chosen) };
        joined.values = values.into();
        joined.olds = None;
        Ok(joined)
    }
}

/// The changes of a table in a step, by which what it held at a row's turn is known although they are all in its store.
struct Changes<'r> {
    rows: &'r Rows,
    /// Those of each key, in order.
    by_key: HashMap<&'r [u8], Vec<usize>>,
    /// A change comes before a row of the same origin.
    first: bool,
}

impl<'r> Changes<'r> {
    fn new(rows: &'r Rows, first: bool) -> Self {
        let mut by_key: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (row, key) in rows.keys.iter().enumerate() {
            by_key.entry(key.unwrap_or_default()).or_default().push(row);
        }
        Self { rows, by_key, first }
    }

    /// What the table held for `key` when the row of `origin` came; none: nothing of it changed in this step.
    fn before(&self, key: &[u8], origin: u32) -> Option<Option<&[u8]>> {
        let changes = self.by_key.get(key)?;
        let is_before = |&change: &usize| (self.rows.origins[change], !self.first) < (origin, true);
        match changes.partition_point(is_before).checked_sub(1) {
            Some(last) => Some(self.rows.values.get(changes[last])),
            None => {
                let old = self.rows.olds.as_ref().and_then(|olds| olds.get(changes[0]));
                Some(old.and_then(stored).map(|(_, value)| value))
            }
        }
    }
}

/// Where a table keeps the row of `key`.
fn write_place(place: &mut Vec<u8>, key: &[u8]) {
    place.clear();
    place.push(keys::DATA);
    place.extend_from_slice(key);
}

fn prefetch(state: &mut TaskState, table: StoreIndex, rows: &Rows) -> Result<(), StoreError> {
    let places: Vec<Vec<u8>> = rows.keys.iter().flatten().map(keys::key_value).collect();
    state.prefetch(table, places.iter().map(Vec::as_slice))
}

/// What a join makes of row `row` of the left side and `right`.
pub(super) fn joined(
    value: &Joined,
    rows: &Rows,
    row: usize,
    right: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ExpressionError> {
    match value {
        Joined::Expression { joiner, format } => Ok(joiner.join(rows, row, right)?.encode(*format)),
        Joined::Both { left: left_format, right: right_format } => {
            let left = as_json(rows.values.get(row), *left_format, "left")?;
            let right = as_json(right, *right_format, "right")?;
            Ok(Some(format!("{{\"left\":{left},\"right\":{right}}}").into_bytes()))
        }
    }
}

/// A value as part of a JSON object.
fn as_json(value: Option<&[u8]>, format: Format, side: &str) -> Result<String, ExpressionError> {
    let unfit = |what: &str| ExpressionError { code: "weir.decode", message: format!("the {side} value {what}") };
    let Some(value) = value else { return Ok("null".to_owned()) };
    let text = std::str::from_utf8(value).map_err(|_| unfit("is no UTF-8"))?;
    if format != Format::Json {
        return Ok(Datum::Text(text.to_owned())
            .encode(Format::Json)
            .map_or_else(String::new, |json| String::from_utf8(json).unwrap_or_default()));
    }
    serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| unfit("is no JSON"))?;
    Ok(text.to_owned())
}
