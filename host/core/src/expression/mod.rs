//! Expressions of the topology file, behind traits of ours: the language is CEL, the crate behind it may change.
//!
//! Variables are `key`, `value`, `timestamp` (milliseconds since 1970 UTC) and `headers`; after a windowed aggregate
//! `window.start` and `window.end`, likewise in milliseconds; in a `reduce` `aggregate`, what there is so far; in a join
//! `left`, which is `value`, and `right`; in a flat map `item`, an item of its list.
//! - Format `json`: numbers are int where they are whole and fit, else double, and compare across types (`10 == 10.0`).
//!   Of a field given twice the last counts. Format `string` is a string, `bytes` is bytes. A null key or value is `null`.
//! - `headers.NAME` is a string where it is UTF-8, else bytes; of a header given twice the last counts.
//! - A field that is not there, or types that do not fit (`null < 3`), is an error, and the node's policy decides;
//!   `has(value.x)` asks first, and `false && …` does not look further. `==` of different types is false.
//! - Only the parts that are named are decoded; what is decoded must be whole: one JSON value, or UTF-8.
//!
//! - A map such as `{'price': value.price}` can be written where it is the result, or part of it: a JSON object with its
//!   fields in that order. Objects that come from a row have theirs in the order of their names.
//!
//! The way of most filters, comparisons of fields with literals, never builds a tree of the value (`fast.rs`); nor does
//! that of most mappings, fields and objects of fields (`plain.rs`).

mod cel;
mod fast;
mod items;
mod json;
mod plain;
mod seek;

use std::fmt;
use std::sync::Arc;

pub use items::Items;
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

/// A compiled expression that makes a value of a row.
pub trait Mapping: fmt::Debug + Send + Sync {
    /// The text as the file has it.
    fn source(&self) -> &str;

    /// The value of row `row` of `rows`.
    ///
    /// # Errors
    /// [`ExpressionError`]: the row's business, its node's policy decides.
    fn evaluate(&self, rows: &Rows, row: usize) -> Result<Datum, ExpressionError>;
}

/// A compiled expression over `aggregate`, what there is so far, and a row.
pub trait Reduction: fmt::Debug + Send + Sync {
    /// The text as the file has it.
    fn source(&self) -> &str;

    /// The new aggregate, in the format of the values; `aggregate` has that format too.
    ///
    /// # Errors
    /// [`ExpressionError`]: the row's business, its node's policy decides.
    fn reduce(&self, aggregate: &[u8], rows: &Rows, row: usize) -> Result<Datum, ExpressionError>;
}

/// A compiled expression over `left`, the value of a row, and `right`, what it is joined with.
pub trait Joiner: fmt::Debug + Send + Sync {
    /// The text as the file has it.
    fn source(&self) -> &str;

    /// The joined value; `right` has the format that it was compiled for, `None` is null.
    ///
    /// # Errors
    /// [`ExpressionError`]: the row's business, its node's policy decides.
    fn join(&self, rows: &Rows, row: usize, right: Option<&[u8]>) -> Result<Datum, ExpressionError>;
}

/// What an expression yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating number, never NaN nor infinite.
    Double(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list or a map as JSON text, or a whole number beyond [`Datum::Int`].
    Json(String),
}

impl Datum {
    pub(crate) fn from_u64(number: u64) -> Self {
        i64::try_from(number).map_or_else(|_| Self::Json(number.to_string()), Self::Int)
    }

    /// None: it is no number, or infinite.
    pub(crate) fn from_f64(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self::Double(number))
    }

    /// As a key or value of `format`; `None` is null. As `json` all but null is JSON text; as `string` and `bytes` a text is
    /// itself and the rest is as JSON would write it.
    #[must_use]
    pub fn encode(&self, format: Format) -> Option<Vec<u8>> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(truth) => truth.to_string().into_bytes(),
            Self::Int(number) => number.to_string().into_bytes(),
            Self::Double(number) => serde_json::to_string(number).unwrap_or_default().into_bytes(),
            Self::Text(text) if format == Format::Json => serde_json::to_string(text).unwrap_or_default().into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Json(text) => text.clone().into_bytes(),
        })
    }
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

/// What an expression can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// What keys are.
    pub key: Format,
    /// What values are.
    pub value: Format,
    /// Whether rows have windows.
    pub windowed: bool,
    /// What the aggregate is; none: there is no such variable.
    pub aggregate: Option<Format>,
    /// What the other side of a join is; none: there is no join.
    pub right: Option<Format>,
    /// Whether there is an `item` of a list.
    pub item: bool,
}

/// A predicate over rows whose keys and values have these formats; `windowed`: they have windows.
///
/// # Errors
/// [`CompileError`]: not the language, a variable or function that does not exist, fields of what has none.
pub fn compile(source: &str, key: Format, value: Format, windowed: bool) -> Result<Arc<dyn Expression>, CompileError> {
    check_size(source)?;
    let general =
        cel::Cel::predicate(source, Scope { key, value, windowed, aggregate: None, right: None, item: false })?;
    Ok(match general.test() {
        Some(test) => Arc::new(fast::Fast::new(test, general)),
        None => Arc::new(general),
    })
}

/// What makes a value of such rows.
///
/// # Errors
/// [`CompileError`], as for [`compile`].
pub fn compile_mapping(
    source: &str,
    key: Format,
    value: Format,
    windowed: bool,
) -> Result<Arc<dyn Mapping>, CompileError> {
    check_size(source)?;
    let general =
        cel::Maker::compile(source, Scope { key, value, windowed, aggregate: None, right: None, item: false })?;
    Ok(match general.plain() {
        Some(plain) => Arc::new(plain::PlainMapping::new(plain, general)),
        None => Arc::new(general),
    })
}

/// What makes a new aggregate of one of format `aggregate` and such rows.
///
/// # Errors
/// [`CompileError`], as for [`compile`].
pub fn compile_reduction(
    source: &str,
    key: Format,
    value: Format,
    aggregate: Format,
    windowed: bool,
) -> Result<Arc<dyn Reduction>, CompileError> {
    check_size(source)?;
    let scope = Scope { key, value, windowed, aggregate: Some(aggregate), right: None, item: false };
    Ok(Arc::new(cel::Maker::compile(source, scope)?))
}

/// What makes a value of such rows and what they are joined with, of format `right`.
///
/// # Errors
/// [`CompileError`], as for [`compile`].
pub fn compile_joiner(
    source: &str,
    key: Format,
    value: Format,
    right: Format,
    windowed: bool,
) -> Result<Arc<dyn Joiner>, CompileError> {
    check_size(source)?;
    let scope = Scope { key, value, windowed, aggregate: None, right: Some(right), item: false };
    Ok(Arc::new(cel::Maker::compile(source, scope)?))
}

fn check_size(source: &str) -> Result<(), CompileError> {
    let too_large =
        |message: String| CompileError { offset: 0, length: 0, message, help: "move it into a plugin".to_owned() };
    if source.len() > EXPRESSION_BYTES_MAX {
        let message = format!("this expression has {} bytes; {EXPRESSION_BYTES_MAX} are the most", source.len());
        return Err(too_large(message));
    }
    // Parser and evaluation descend by recursion, and each of these may be a level.
    let signs = source.bytes().filter(|byte| b".([{?!+-*/%=<>&|".contains(byte)).count();
    if signs + source.matches("in").count() > OPERATORS_MAX {
        return Err(too_large(format!("this expression has more than {OPERATORS_MAX} dots, brackets and operators")));
    }
    Ok(())
}

#[cfg(test)]
mod mapping_tests;
#[cfg(test)]
mod tests;
