//! Tables: the last value of each key, and streams that are joined with them.
//!
//! As in Kafka Streams a record of a table that comes out of order takes the place of a later one, and is a change like all
//! others; a stream's record is joined with what the table holds when it comes, whatever the timestamps.

use super::aggregate::{stored, write_stored};
use crate::expression::{Datum, ExpressionError};
use crate::ports::StoreError;
use crate::record::{Column, Rows};
use crate::state::{TaskState, keys};
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{Format, Join, JoinHow, Joined, NodeIndex, StoreIndex};

impl Step<'_> {
    /// Keeps `rows` in `store` and hands them on. A row without a key is dropped.
    pub(crate) fn to_table(&mut self, index: NodeIndex, store: StoreIndex, rows: &Rows) -> Result<Rows, Poison> {
        let shared = self.state(index, rows)?;
        let mut state = shared.borrow_mut();
        let mut chosen = Vec::with_capacity(rows.len());
        let (mut place, mut value) = (Vec::new(), Vec::new());
        for (row, key) in rows.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            write_place(&mut place, key);
            match rows.values.get(row) {
                None => state.put(store, &place, None),
                Some(new) => {
                    write_stored(&mut value, rows.timestamps[row], new);
                    state.put(store, &place, Some(&value));
                }
            }
            chosen.push(row as u32);
        }
        self.metrics(index).drop_rows("null-key", (rows.len() - chosen.len()) as u64);
        Ok(if chosen.len() == rows.len() { rows.clone() } else { rows.select(&chosen) })
    }

    /// `rows` with what the table has for their keys. A null value is dropped, and a null key finds nothing.
    pub(crate) fn join(&mut self, index: NodeIndex, join: &Join, rows: &Rows) -> Result<Rows, Poison> {
        if rows.is_empty() {
            return Ok(Rows::default());
        }
        let shared = self.state(index, rows)?;
        let mut state = shared.borrow_mut();
        let at_store =
            |error: &StoreError| Poison { origin: rows.origins[0], node: index, problem: Problem::of_store(error) };
        prefetch(&mut state, join.table, rows).map_err(|error| at_store(&error))?;
        let (mut chosen, mut values) = (Vec::with_capacity(rows.len()), Column::default());
        let (mut place, mut nulls) = (Vec::new(), 0);
        for row in 0..rows.len() {
            let key = rows.keys.get(row);
            if rows.values.get(row).is_none() || (key.is_none() && join.how == JoinHow::Inner) {
                nulls += 1;
                continue;
            }
            let found = match key {
                None => None,
                Some(key) => {
                    write_place(&mut place, key);
                    state.get(join.table, &place).map_err(|error| at_store(&error))?.and_then(stored)
                }
            };
            if found.is_none() && join.how == JoinHow::Inner {
                continue;
            }
            match joined(&join.value, rows, row, found.map(|(_, right)| right)) {
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
        Ok(joined)
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

fn joined(value: &Joined, rows: &Rows, row: usize, right: Option<&[u8]>) -> Result<Option<Vec<u8>>, ExpressionError> {
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
