//! Expressions of filters and branches, behind a trait of ours: the language is CEL, the crate behind it may change.
//!
//! Variables are `key`, `value`, `timestamp` (milliseconds since 1970 UTC) and `headers`.
//! - Format `json`: numbers are int where they are whole and fit, else double, and compare across types (`10 == 10.0`).
//!   Of a field given twice the last counts. Format `string` is a string, `bytes` is bytes. A null key or value is `null`.
//! - `headers.NAME` is a string where it is UTF-8, else bytes; of a header given twice the last counts.
//! - A field that is not there, or types that do not fit (`null < 3`), is an error, and the node's policy decides;
//!   `has(value.x)` asks first, and `false && …` does not look further. `==` of different types is false.
//! - Only the parts that are named are decoded; what is decoded must be whole: one JSON value, or UTF-8.
//!
//! The way of most filters, comparisons of fields with literals, never builds a tree of the value (`fast.rs`).

mod cel;
mod fast;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::record::Rows;
use crate::topology::Format;

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;

/// The most dots, opening brackets and operators of an expression. They bound its depth, and so its stack: less than 1 MiB.
const OPERATORS_MAX: usize = 400;

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

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CompileError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// How many bytes are meant; 0 where only the place is known.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty where there is no telling.
    pub help: String,
}

/// Compiles `source` for rows whose keys and values have these formats.
///
/// # Errors
/// [`CompileError`]: not the language, a variable or function that does not exist, fields of what has none.
pub fn compile(source: &str, key: Format, value: Format) -> Result<Arc<dyn Expression>, CompileError> {
    if source.len() > EXPRESSION_BYTES_MAX {
        let message = format!("this expression has {} bytes; {EXPRESSION_BYTES_MAX} are the most", source.len());
        return Err(CompileError { offset: 0, length: 0, message, help: "move it into a plugin".to_owned() });
    }
    // Parser and evaluation descend by recursion, and each of these may be a level.
    let signs = source.bytes().filter(|byte| b".([{?!+-*/%=<>&|".contains(byte)).count();
    if signs + source.matches("in").count() > OPERATORS_MAX {
        let message = format!("this expression has more than {OPERATORS_MAX} dots, brackets and operators");
        return Err(CompileError { offset: 0, length: 0, message, help: "move it into a plugin".to_owned() });
    }
    let general = cel::Cel::compile(source, key, value)?;
    Ok(match general.test() {
        Some(test) => Arc::new(fast::Fast::new(test, general)),
        None => Arc::new(general),
    })
}

#[cfg(test)]
mod tests;
