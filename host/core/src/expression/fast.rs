//! `value.field op literal` on JSON, and such joined by `&&` and `||`: a pass each, and no tree.
//!
//! Skipped fields are read as strictly as kept ones: what is not JSON must not pass here and fail there. Whatever is
//! not plainly true or false is left to [`Cel`], which then words the error.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::cel::Cel;
use super::{Expression, ExpressionError};
use crate::record::Rows;

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    String(String),
}

/// `value.path[0].path[1]… operator literal`; the path has one name at least.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub path: Vec<String>,
    pub operator: Operator,
    pub literal: Literal,
}

/// Comparisons, and how they are joined.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    One(Comparison),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
}

impl Test {
    /// Whether the JSON text `value` passes; `None`: the general way has to tell.
    pub(super) fn matches(&self, value: &[u8]) -> Option<bool> {
        match self {
            Self::One(comparison) => comparison.matches(value),
            Self::And(left, right) => Some(left.matches(value)? && right.matches(value)?),
            Self::Or(left, right) => Some(left.matches(value)? || right.matches(value)?),
        }
    }
}

/// A test, and the general way for rows on which it has no answer.
#[derive(Debug)]
pub(super) struct Fast {
    test: Test,
    general: Cel,
}

impl Fast {
    pub(super) fn new(test: Test, general: Cel) -> Self {
        Self { test, general }
    }
}

impl Expression for Fast {
    fn source(&self) -> &str {
        self.general.source()
    }

    fn matches(&self, rows: &Rows, row: usize) -> Result<bool, ExpressionError> {
        match rows.values.get(row).and_then(|value| self.test.matches(value)) {
            Some(passes) => Ok(passes),
            None => self.general.matches(rows, row),
        }
    }
}

impl Comparison {
    /// `None`: not JSON, no such field, or types without an order.
    fn matches(&self, value: &[u8]) -> Option<bool> {
        let text = std::str::from_utf8(value).ok()?;
        let mut json = serde_json::Deserializer::from_str(text);
        let answer = Seek { path: &self.path, comparison: self }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        answer
    }

    /// The answer where the order of field and literal is known; `None`: there is none between their types.
    fn answer(&self, ordering: Option<Ordering>) -> Option<bool> {
        match self.operator {
            Operator::Equal => Some(ordering == Some(Ordering::Equal)),
            Operator::NotEqual => Some(ordering != Some(Ordering::Equal)),
            Operator::Less => ordering.map(Ordering::is_lt),
            Operator::LessEqual => ordering.map(Ordering::is_le),
            Operator::Greater => ordering.map(Ordering::is_gt),
            Operator::GreaterEqual => ordering.map(Ordering::is_ge),
        }
    }

    fn null(&self) -> Option<bool> {
        let equal = self.literal == Literal::Null;
        match self.operator {
            Operator::Equal => Some(equal),
            Operator::NotEqual => Some(!equal),
            _ => None,
        }
    }

    fn bool(&self, field: bool) -> Option<bool> {
        self.answer(if let Literal::Bool(literal) = &self.literal { Some(field.cmp(literal)) } else { None })
    }

    fn string(&self, field: &str) -> Option<bool> {
        self.answer(if let Literal::String(literal) = &self.literal { Some(field.cmp(literal)) } else { None })
    }

    fn int(&self, field: i64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(literal) => Some(field.cmp(&literal)),
            Literal::UInt(literal) => Some(i128::from(field).cmp(&i128::from(literal))),
            Literal::Double(literal) => (field as f64).partial_cmp(&literal),
            _ => None,
        })
    }

    /// `field` is beyond the greatest int: smaller ones come as ints, so that `10` is one number.
    fn uint(&self, field: u64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(_) => Some(Ordering::Greater),
            Literal::UInt(literal) => Some(field.cmp(&literal)),
            Literal::Double(literal) => (field as f64).partial_cmp(&literal),
            _ => None,
        })
    }

    fn double(&self, field: f64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(literal) => field.partial_cmp(&(literal as f64)),
            Literal::UInt(literal) => field.partial_cmp(&(literal as f64)),
            Literal::Double(literal) => field.partial_cmp(&literal),
            _ => None,
        })
    }
}

/// Reads a value to its end and answers for the field at `path` in it.
#[derive(Clone, Copy)]
struct Seek<'a> {
    path: &'a [String],
    comparison: &'a Comparison,
}

impl Seek<'_> {
    fn scalar<E>(&self, answer: impl FnOnce(&Comparison) -> Option<bool>) -> Result<Option<bool>, E> {
        Ok(if self.path.is_empty() { answer(self.comparison) } else { None })
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.scalar(Comparison::null)
    }

    fn visit_bool<E: Error>(self, field: bool) -> Result<Self::Value, E> {
        self.scalar(|comparison| comparison.bool(field))
    }

    fn visit_i64<E: Error>(self, field: i64) -> Result<Self::Value, E> {
        self.scalar(|comparison| comparison.int(field))
    }

    fn visit_u64<E: Error>(self, field: u64) -> Result<Self::Value, E> {
        self.scalar(|comparison| match i64::try_from(field) {
            Ok(field) => comparison.int(field),
            Err(_) => comparison.uint(field),
        })
    }

    fn visit_f64<E: Error>(self, field: f64) -> Result<Self::Value, E> {
        self.scalar(|comparison| comparison.double(field))
    }

    fn visit_str<E: Error>(self, field: &str) -> Result<Self::Value, E> {
        self.scalar(|comparison| comparison.string(field))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element_seed(Skip)?.is_some() {}
        self.scalar(|comparison| comparison.answer(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Some((name, path)) = self.path.split_first() else {
            while fields.next_key_seed(Skip)?.is_some() {
                fields.next_value_seed(Skip)?;
            }
            return self.scalar(|comparison| comparison.answer(None));
        };
        // Of a field given twice the last counts, so an answer may be taken back.
        let mut answer = None;
        while let Some(found) = fields.next_key_seed(IsName(name))? {
            if found {
                answer = fields.next_value_seed(Seek { path, ..self })?;
            } else {
                fields.next_value_seed(Skip)?;
            }
        }
        Ok(answer)
    }
}

/// Whether a field's name is this one.
struct IsName<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// Reads a value and forgets it. Not serde's `IgnoredAny`: with that, serde_json accepts numbers, escapes and depths that
/// it refuses in a value that is kept.
struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Skip)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key_seed(Skip)?.is_some() {
            fields.next_value_seed(Skip)?;
        }
        Ok(())
    }
}
