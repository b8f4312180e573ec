//! A row for each item of a list.

use crate::expression::ExpressionError;
use crate::record::{Cells, Column, Rows};
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{FlatMap, NodeIndex};

/// The most bytes that the rows made of one row may have, keys and values: an expression can put all of a row into each.
const BYTES_OF_ROW_MAX: usize = 16 << 20;

/// The bytes of made rows from which on a step takes no more rows: the next one does.
const BYTES_OF_STEP_MAX: usize = 32 << 20;

/// In the place of what is wrong with a row: nothing is, but the step is full before it.
const FULL: &str = "weir.step-full";

/// What a row costs beside its key and value, in bytes.
const BYTES_BESIDE: usize = 16;

/// Keys and values; an item without a key has that of its row.
type Made = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

impl Step<'_> {
    /// What `flat_map` makes of `rows`: of a row all or, where one of its items has no answer, nothing.
    pub(crate) fn flat_map(&mut self, index: NodeIndex, flat_map: &FlatMap, rows: &Rows) -> Result<Rows, Poison> {
        let (mut keys, mut values) = (Column::default(), Column::default());
        let mut chosen = Vec::with_capacity(rows.len());
        let (mut made, mut bytes) = (Made::new(), 0);
        for row in 0..rows.len() {
            if bytes > BYTES_OF_STEP_MAX && self.can_end_before(rows.origins[row]) {
                return Err(Poison::full(index, rows.origins[row]));
            }
            made.clear();
            match make(flat_map, rows, row, &mut made) {
                Ok(of_row) => {
                    bytes += of_row;
                    for (key, value) in &made {
                        keys.push(key.as_deref());
                        values.push(value.as_deref());
                        chosen.push(row as u32);
                    }
                }
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        let mut made = rows.select(&chosen);
        made.olds = None;
        if flat_map.items.has_key() {
            made.keys = Cells::from(keys);
        }
        made.values = Cells::from(values);
        Ok(made)
    }
}

impl Step<'_> {
    /// Whether the step could be run without the row that it took as number `origin`, and those after it.
    fn can_end_before(&self, origin: u32) -> bool {
        let of_record = self.scope.taken.offsets.get(origin as usize).is_some_and(|offset| *offset >= 0);
        origin > 0 && of_record
    }
}

impl Poison {
    /// No poison: what the rows before `origin` make fills the step.
    fn full(node: NodeIndex, origin: u32) -> Self {
        let problem = Problem { reason: FULL.to_owned(), ..Problem::default() };
        Self { origin, node, problem }
    }

    /// Whether the step is to be run again with the rows before, and nothing is wrong with this one.
    pub(super) fn is_full(&self) -> bool {
        self.problem.reason == FULL
    }
}

/// Their bytes.
fn make(flat_map: &FlatMap, rows: &Rows, row: usize, made: &mut Made) -> Result<usize, ExpressionError> {
    let mut bytes = 0;
    flat_map.items.each(rows, row, |key, value| {
        let key = key.and_then(|key| key.encode(flat_map.key_format));
        let value = value.encode(flat_map.value_format);
        bytes += key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len) + BYTES_BESIDE;
        if bytes > BYTES_OF_ROW_MAX {
            let message = format!("its items make rows of more than {BYTES_OF_ROW_MAX} bytes");
            return Err(ExpressionError { code: "weir.too-large", message });
        }
        made.push((key, value));
        Ok(())
    })?;
    Ok(bytes)
}
