//! `value.field op literal` on JSON, and such joined by `&&` and `||`: a pass each, and no tree.
//!
//! Whatever is not plainly true or false is left to [`Cel`], which then words the error.

use std::cmp::Ordering;

use super::cel::Cel;
use super::seek::{Question, seek};
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
    fn matches(&self, value: &[u8]) -> Option<bool> {
        seek(value, &self.path, self)
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
}

impl Question for &Comparison {
    type Answer = bool;

    fn null(self) -> Option<bool> {
        let equal = self.literal == Literal::Null;
        match self.operator {
            Operator::Equal => Some(equal),
            Operator::NotEqual => Some(!equal),
            _ => None,
        }
    }

    fn bool(self, field: bool) -> Option<bool> {
        self.answer(if let Literal::Bool(literal) = &self.literal { Some(field.cmp(literal)) } else { None })
    }

    fn string(self, field: &str) -> Option<bool> {
        self.answer(if let Literal::String(literal) = &self.literal { Some(field.cmp(literal)) } else { None })
    }

    fn int(self, field: i64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(literal) => Some(field.cmp(&literal)),
            Literal::UInt(literal) => Some(i128::from(field).cmp(&i128::from(literal))),
            Literal::Double(literal) => (field as f64).partial_cmp(&literal),
            _ => None,
        })
    }

    fn uint(self, field: u64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(_) => Some(Ordering::Greater),
            Literal::UInt(literal) => Some(field.cmp(&literal)),
            Literal::Double(literal) => (field as f64).partial_cmp(&literal),
            _ => None,
        })
    }

    fn double(self, field: f64) -> Option<bool> {
        self.answer(match self.literal {
            Literal::Int(literal) => field.partial_cmp(&(literal as f64)),
            Literal::UInt(literal) => field.partial_cmp(&(literal as f64)),
            Literal::Double(literal) => field.partial_cmp(&literal),
            _ => None,
        })
    }

    fn tree(self) -> Option<bool> {
        self.answer(None)
    }
}
