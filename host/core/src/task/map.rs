//! New keys and values by expressions, and event time at a source.

use crate::expression::{Datum, ExpressionError, Mapping};
use crate::record::{Cells, Column, RecordBatch, Rows};
use crate::task::step::{Poison, Step};
use crate::topology::{EventTime, Format, Map, NodeIndex, Source};

impl Step<'_> {
    /// The rows that the expressions of `map` make of `rows`.
    pub(crate) fn map(&mut self, index: NodeIndex, map: &Map, rows: &Rows) -> Result<Rows, Poison> {
        let (mut keys, mut values) = (Column::default(), Column::default());
        let mut chosen = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            let made = evaluate(map.key.as_deref(), map.key_format, rows, row)
                .and_then(|key| Ok((key, evaluate(map.value.as_deref(), map.value_format, rows, row)?)));
            match made {
                Ok((key, value)) => {
                    keys.push(key.as_deref());
                    values.push(value.as_deref());
                    chosen.push(row as u32);
                }
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        let mut mapped = if chosen.len() == rows.len() { rows.clone() } else { rows.select(&chosen) };
        mapped.olds = None;
        if map.key.is_some() {
            mapped.keys = Cells::from(keys);
        }
        if map.value.is_some() {
            mapped.values = Cells::from(values);
        }
        Ok(mapped)
    }
}

/// The cell that an expression makes; null too where there is no expression.
pub(crate) fn evaluate(
    mapping: Option<&dyn Mapping>,
    format: Format,
    rows: &Rows,
    row: usize,
) -> Result<Option<Vec<u8>>, ExpressionError> {
    let Some(mapping) = mapping else { return Ok(None) };
    Ok(mapping.evaluate(rows, row)?.encode(format))
}

/// In the place of a time that was not found: the source refuses the row when its turn has come.
pub(super) const NO_TIME: i64 = i64::MIN;

/// The rows with the times that `mapping` finds in them.
pub(crate) fn with_timestamps(mapping: &dyn Mapping, batch: RecordBatch) -> RecordBatch {
    let rows = Rows::from_batch(batch.clone());
    let timestamps = (0..rows.len()).map(|row| timestamp(mapping, &rows, row).unwrap_or(NO_TIME)).collect();
    RecordBatch { timestamps, ..batch }
}

impl Step<'_> {
    /// The rows of a source without those in which its expression found no time.
    pub(crate) fn timed(&mut self, index: NodeIndex, source: &Source, rows: Rows) -> Result<Rows, Poison> {
        let Some(EventTime::Expression(mapping)) = &source.timestamp else { return Ok(rows) };
        if !rows.timestamps.contains(&NO_TIME) {
            return Ok(rows);
        }
        let mut chosen = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            match timestamp(mapping.as_ref(), &rows, row) {
                Ok(_) => chosen.push(row as u32),
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        Ok(rows.select(&chosen))
    }
}

/// The time, in milliseconds since 1970 UTC, that `mapping` finds in a row.
fn timestamp(mapping: &dyn Mapping, rows: &Rows, row: usize) -> Result<i64, ExpressionError> {
    match mapping.evaluate(rows, row)? {
        Datum::Int(at) if at >= 0 => Ok(at),
        _ => {
            let message = format!("`{}` is no time: whole milliseconds since 1970 are", mapping.source());
            Err(ExpressionError { code: "weir.timestamp", message })
        }
    }
}
