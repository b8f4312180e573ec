//! New keys, values and headers by expressions, and event time at a source.

use crate::expression::{Datum, ExpressionError, Mapping};
use crate::record::{Cells, Column, HeaderCells, Headers, RecordBatch, Rows};
use crate::task::step::{Poison, Step};
use crate::topology::{EventTime, Format, Map, NodeIndex, Source};

impl Step<'_> {
    /// The rows that the expressions of `map` make of `rows`.
    pub(crate) fn map(&mut self, index: NodeIndex, map: &Map, rows: &Rows) -> Result<Rows, Poison> {
        let (mut keys, mut values) = (Column::default(), Column::default());
        let mut headers = Headers::default();
        let mut chosen = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            match made(map, rows, row) {
                Ok((key, value, written)) => {
                    keys.push(key.as_deref());
                    values.push(value.as_deref());
                    push_headers(map, rows, row, &written, &mut headers);
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
        if !map.headers.is_empty() {
            mapped.headers = Some(HeaderCells::all(headers.into()));
        }
        Ok(mapped)
    }
}

/// The bytes of a key, a value or a header; none: null.
type Bytes = Option<Vec<u8>>;

/// The key, the value and the headers that are made of a row.
fn made(map: &Map, rows: &Rows, row: usize) -> Result<(Bytes, Bytes, Vec<Bytes>), ExpressionError> {
    let key = evaluate(map.key.as_deref(), map.key_format, rows, row)?;
    let value = evaluate(map.value.as_deref(), map.value_format, rows, row)?;
    // Text and bytes as they are, the rest as JSON writes it.
    let header = |(_, mapping): &(_, Option<std::sync::Arc<dyn Mapping>>)| {
        evaluate(mapping.as_deref(), Format::Bytes, rows, row)
    };
    let headers = map.headers.iter().map(header).collect::<Result<_, _>>()?;
    Ok((key, value, headers))
}

/// The row's headers but those that are written, and then these; what is null is removed.
fn push_headers(map: &Map, rows: &Rows, row: usize, written: &[Bytes], headers: &mut Headers) {
    if map.headers.is_empty() {
        return;
    }
    let stays = |(name, _): &(&[u8], _)| map.headers.iter().all(|(new, _)| new.as_bytes() != *name);
    let staying = rows.headers.iter().flat_map(|headers| headers.row(row)).filter(stays);
    let new = map.headers.iter().zip(written);
    let new = new.filter_map(|((name, _), value)| Some((name.as_bytes(), Some(value.as_deref()?))));
    headers.push_row(staying.chain(new));
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
pub(crate) const NO_TIME: i64 = i64::MIN;

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
