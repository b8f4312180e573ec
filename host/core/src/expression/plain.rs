//! Fields, literals, and objects of them: a pass over the JSON for each field, and no tree.
//!
//! What is not there, or is a list or an object, is left to [`Maker`], which then makes the value or words the error.

use super::cel::Maker;
use super::json;
use super::seek::{Question, seek};
use super::{Datum, ExpressionError, Mapping};
use crate::record::Rows;
use crate::topology::Format;

/// An expression that is no more than this.
#[derive(Debug)]
pub(super) enum Plain {
    /// `value.a.b`, or all of it where there is no path.
    Field {
        part: Part,
        format: Format,
        path: Vec<String>,
    },
    Timestamp,
    WindowStart,
    WindowEnd,
    Literal(Datum),
    Object(Vec<(String, Plain)>),
}

/// Where a field is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Key,
    Value,
}

/// A plain expression, and the general way for rows on which it has no answer.
#[derive(Debug)]
pub(super) struct PlainMapping {
    plain: Plain,
    general: Maker,
}

impl PlainMapping {
    pub(super) fn new(plain: Plain, general: Maker) -> Self {
        Self { plain, general }
    }
}

impl Mapping for PlainMapping {
    fn source(&self) -> &str {
        self.general.source()
    }

    fn evaluate(&self, rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        match self.plain.datum(rows, row) {
            Some(datum) => Ok(datum),
            None => self.general.evaluate(rows, row),
        }
    }
}

impl Plain {
    fn datum(&self, rows: &Rows, row: usize) -> Option<Datum> {
        let window = || rows.windows.as_ref().map(|windows| windows[row]);
        Some(match self {
            Self::Field { part, format, path } => {
                let cells = match part {
                    Part::Key => &rows.keys,
                    Part::Value => &rows.values,
                };
                match (cells.get(row), format) {
                    (Some(bytes), Format::Json) => seek(bytes, path, AsDatum)?,
                    (Some(bytes), Format::String) => Datum::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
                    (Some(bytes), Format::Bytes) => Datum::Bytes(bytes.to_vec()),
                    (None, _) if path.is_empty() => Datum::Null,
                    (None, _) => return None,
                }
            }
            Self::Timestamp => Datum::Int(rows.timestamps[row]),
            Self::WindowStart => Datum::Int(window()?.0),
            Self::WindowEnd => Datum::Int(window()?.1),
            Self::Literal(datum) => datum.clone(),
            Self::Object(_) => {
                let mut text = String::new();
                self.write(rows, row, &mut text)?;
                Datum::Json(text)
            }
        })
    }

    fn write(&self, rows: &Rows, row: usize, out: &mut String) -> Option<()> {
        let Self::Object(fields) = self else { return json::datum(&self.datum(rows, row)?, out) };
        let fields = fields.iter().map(|(name, plain)| (name.as_str(), plain));
        json::object(out, fields, |plain, out| plain.write(rows, row, out).ok_or(())).ok()
    }
}

/// What stands there, as it is.
#[derive(Clone, Copy)]
struct AsDatum;

impl Question for AsDatum {
    type Answer = Datum;

    fn null(self) -> Option<Datum> {
        Some(Datum::Null)
    }

    fn bool(self, found: bool) -> Option<Datum> {
        Some(Datum::Bool(found))
    }

    fn int(self, found: i64) -> Option<Datum> {
        Some(Datum::Int(found))
    }

    fn uint(self, found: u64) -> Option<Datum> {
        Some(Datum::from_u64(found))
    }

    fn double(self, found: f64) -> Option<Datum> {
        Datum::from_f64(found)
    }

    fn string(self, found: &str) -> Option<Datum> {
        Some(Datum::Text(found.to_owned()))
    }

    fn tree(self) -> Option<Datum> {
        None
    }
}
