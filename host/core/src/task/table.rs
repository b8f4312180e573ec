//! Tables: the last value of each key. A row of a table is a change: the new value, null where there is none any more.
//!
//! As in Kafka Streams a record that comes out of order takes the place of a later one, and is a change like all others.

use super::aggregate::{stored, write_stored};
use super::changes::{prefetch, write_place};
use crate::expression::Expression;
use crate::ports::StoreError;
use crate::record::{Cells, Column, Rows};
use crate::task::map::evaluate;
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{Map, NodeIndex, Table};

impl Step<'_> {
    /// Keeps `rows` and hands them on as changes. A row without a key is dropped.
    pub(crate) fn keep(&mut self, index: NodeIndex, table: Table, rows: &Rows) -> Result<Rows, Poison> {
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
        if table.olds {
            prefetch(&mut state, table.store, &changes).map_err(at_store)?;
        }
        let mut olds = table.olds.then(Column::default);
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

    /// The changes of a table of which those rows alone are kept that `expression` accepts: others are gone from it.
    pub(crate) fn filter_table(
        &mut self,
        index: NodeIndex,
        expression: &dyn Expression,
        rows: &Rows,
    ) -> Result<Rows, Poison> {
        let before = olds_of(rows);
        let (mut chosen, mut values) = (Vec::with_capacity(rows.len()), Column::default());
        for (row, new) in rows.values.iter().enumerate() {
            let new = match new.map(|value| Ok((value, expression.matches(rows, row)?))).transpose() {
                Ok(new) => new.filter(|(_, accepted)| *accepted).map(|(value, _)| value),
                Err(error) => {
                    let error: crate::expression::ExpressionError = error;
                    self.refuse(index, rows.origins[row], error.into())?;
                    continue;
                }
            };
            // A row that could not be judged left the one before it in the table.
            let was_there = before.values.get(row).is_some() && expression.matches(&before, row).unwrap_or(true);
            if new.is_some() || was_there {
                values.push(new);
                chosen.push(row as u32);
            }
        }
        Ok(Rows { values: values.into(), olds: None, ..rows.select(&chosen) })
    }

    /// The changes of a table with new values; what is gone stays gone.
    pub(crate) fn map_table(&mut self, index: NodeIndex, map: &Map, rows: &Rows) -> Result<Rows, Poison> {
        self.with_values(index, rows, |row| match rows.values.get(row) {
            None => Ok(None),
            Some(_) => evaluate(map.value.as_deref(), map.value_format, rows, row),
        })
    }
}

/// The rows as the table had them before: their values and timestamps; null where there was none.
fn olds_of(rows: &Rows) -> Rows {
    let olds = |row: usize| rows.olds.as_ref().and_then(|olds| olds.get(row)).and_then(stored);
    let values: Column = (0..rows.len()).map(|row| olds(row).map(|(_, value)| value)).collect();
    let timestamps = rows.timestamps.iter().enumerate().map(|(row, &at)| olds(row).map_or(at, |(old, _)| old));
    Rows { values: values.into(), timestamps: timestamps.collect(), olds: None, ..rows.clone() }
}
