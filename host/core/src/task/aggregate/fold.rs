//! What a row does to an accumulator: built-in functions here, plugins beside.

use super::Fault;
use super::accumulator::{self, Inputs};
use crate::expression::ExpressionError;
use crate::ports::Groups;
use crate::record::{Column, Rows};
use crate::task::step::Problem;
use crate::topology::{Aggregate, Builtin, Function};

/// The window of a fold, start and end in milliseconds since 1970 UTC.
pub(super) type Span = Option<(i64, i64)>;

pub(super) trait Fold {
    /// `row` is next; what its folds have in common is done once.
    fn begin(&mut self, row: usize) -> Result<(), Problem>;

    /// The accumulator of `key` and `window` with the row taken in; none deletes it.
    fn add(
        &mut self,
        row: usize,
        key: &[u8],
        window: Span,
        accumulator: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Fault>;

    /// What two sessions have together, the earlier on the left.
    fn merge(&mut self, key: &[u8], left: &[u8], right: &[u8]) -> Result<Vec<u8>, Fault>;

    /// The accumulators of whole groups, for a fold that has more of it than row by row; none: it has not, or cannot this
    /// time, and has left nothing.
    fn add_all(&mut self, groups: &Groups<'_>) -> Result<Option<Column>, Fault> {
        let _ = groups;
        Ok(None)
    }

    /// Whether [`Fold::add_all`] is worth asking.
    fn takes_groups(&self) -> bool {
        false
    }

    /// The value that leaves.
    fn result(&self, accumulator: &[u8]) -> Option<Vec<u8>>;
}

pub(super) struct BuiltinFold<'a> {
    aggregate: &'a Aggregate,
    rows: &'a Rows,
    inputs: Inputs,
}

impl<'a> BuiltinFold<'a> {
    pub(super) fn new(aggregate: &'a Aggregate, rows: &'a Rows) -> Self {
        Self { aggregate, rows, inputs: Inputs::default() }
    }
}

impl Fold for BuiltinFold<'_> {
    fn begin(&mut self, row: usize) -> Result<(), Problem> {
        // A null value has nothing that an expression could look at: `count` alone counts it.
        let counts = matches!(self.aggregate.function, Function::One(Builtin::Count));
        self.inputs = match self.rows.values.get(row) {
            None if !counts => Inputs::default(),
            _ => accumulator::inputs(&self.aggregate.function, self.rows, row)?,
        };
        Ok(())
    }

    fn add(&mut self, row: usize, _: &[u8], _: Span, accumulator: Option<&[u8]>) -> Result<Option<Vec<u8>>, Fault> {
        let folded = accumulator::add(self.aggregate, accumulator, &self.inputs, self.rows, row)
            .map_err(|error| Fault::Row(error.into()))?;
        // A reduction to null.
        let is_gone = folded.is_empty() && matches!(self.aggregate.function, Function::One(Builtin::Reduce(_)));
        Ok((!is_gone).then_some(folded))
    }

    fn merge(&mut self, _: &[u8], left: &[u8], right: &[u8]) -> Result<Vec<u8>, Fault> {
        accumulator::merge(self.aggregate, left, right).map_err(|error| Fault::Row(error.into()))
    }

    fn result(&self, accumulator: &[u8]) -> Option<Vec<u8>> {
        accumulator::result(self.aggregate, accumulator)
    }
}

impl From<ExpressionError> for Problem {
    fn from(error: ExpressionError) -> Self {
        Self { reason: error.code.to_owned(), message: error.message, ..Self::default() }
    }
}
