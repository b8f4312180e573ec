//! Rows for people: a few of each step, and nothing that an application does depends on them.

use super::shown;
use crate::expression::Mapping;
use crate::record::Rows;
use crate::task::step::Step;
use crate::thread::ReportKind;
use crate::topology::NodeIndex;

/// The most rows of a step that a node shows; the others are counted.
const ROWS_OF_STEP_MAX: usize = 10;

/// The most characters that are shown of a key, a value, or what an expression makes.
const CHARS_MAX: usize = 500;

impl Step<'_> {
    /// Shows the first of `rows`. What a row has no answer to is shown instead: looking on changes nothing.
    pub(crate) fn peek(&mut self, index: NodeIndex, mapping: Option<&dyn Mapping>, rows: &Rows) {
        for row in 0..rows.len().min(ROWS_OF_STEP_MAX) {
            let shown = match mapping.map(|mapping| mapping.evaluate(rows, row)) {
                None => of_row(rows, row),
                Some(Ok(datum)) => shown::datum(&datum, CHARS_MAX),
                Some(Err(error)) => shown::text(&format!("({error})"), CHARS_MAX),
            };
            let is_last = row + 1 == ROWS_OF_STEP_MAX;
            let unshown = if is_last { rows.len() - ROWS_OF_STEP_MAX } else { 0 };
            self.report(index, Some(rows.origins[row]), ReportKind::Peeked { shown, unshown: unshown as u64 });
        }
    }
}

fn of_row(rows: &Rows, row: usize) -> String {
    let (key, value) = (rows.keys.get(row), rows.values.get(row));
    let (key, value) = (shown::bytes(key, CHARS_MAX), shown::bytes(value, CHARS_MAX));
    let window = rows.windows.as_ref().map(|windows| windows[row]);
    let window = window.map_or_else(String::new, |(start, end)| format!(" window={start}..{end}"));
    format!("key={key} value={value} timestamp={}{window}", rows.timestamps[row])
}
