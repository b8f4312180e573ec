//! Expressions of filters and branches, behind a trait of ours: the language is CEL, the crate behind it may change.

use std::fmt;

use thiserror::Error;

use crate::record::Rows;

/// A compiled predicate over a row's `key`, `value`, `timestamp` and `headers`.
pub trait Expression: fmt::Debug + Send + Sync {
    /// The text as the file has it.
    fn source(&self) -> &str;

    /// Whether row `row` of `rows` passes.
    ///
    /// # Errors
    /// [`ExpressionError`]: the row's business, its node's policy decides.
    fn matches(&self, rows: &Rows, row: usize) -> Result<bool, ExpressionError>;
}

/// Why an expression has no answer for a row. The message names no value of the row: it goes to the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message}")]
pub struct ExpressionError {
    /// Such as `weir.decode` (not what the topic's format says) or `weir.expression` (no such field, types that do not fit).
    pub code: &'static str,
    /// For people.
    pub message: String,
}
