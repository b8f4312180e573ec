//! Streams joined with tables: a row is joined with what the table holds when it comes, whatever the timestamps.

use super::changes::{Changes, prefetch};
use crate::expression::{Datum, ExpressionError};
use crate::ports::StoreError;
use crate::record::{Column, Rows};
use crate::task::step::{Arrived, Poison, Problem, Step};
use crate::topology::{Format, Join, JoinHow, Joined, NodeIndex};

impl Step<'_> {
    /// The rows of the left side with what the table has for their keys. A null value is dropped, and a null key finds nothing.
    pub(crate) fn join(&mut self, index: NodeIndex, join: &Join, arrived: Arrived) -> Result<Rows, Poison> {
        let [rows, changes] = self.sides(index, arrived);
        if rows.is_empty() {
            return Ok(Rows::default());
        }
        let shared = self.state(index, &rows)?;
        let mut state = shared.borrow_mut();
        let at_store =
            |error: StoreError| Poison { origin: rows.origins[0], node: index, problem: Problem::of_store(&error) };
        prefetch(&mut state, join.table, &rows).map_err(at_store)?;
        let changes = Changes::new(join.table, &changes, join.right_first);
        let (mut chosen, mut values) = (Vec::with_capacity(rows.len()), Column::default());
        let (mut place, mut nulls) = (Vec::new(), 0);
        for row in 0..rows.len() {
            let key = rows.keys.get(row);
            if rows.values.get(row).is_none() || (key.is_none() && join.how == JoinHow::Inner) {
                nulls += 1;
                continue;
            }
            let found = match key {
                Some(key) => changes.find(&mut state, &mut place, key, rows.origins[row]).map_err(at_store)?,
                None => None,
            };
            let found = found.map(|(_, value)| value);
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

/// The value of the row `row` of the left side, joined with `right`.
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
