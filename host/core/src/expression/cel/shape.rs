//! What the result of an expression is made of: values of the language, in lists and maps that are written out.

use ::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use ::cel::common::types::CelBool;
use ::cel::{Context, ExecutionError, Value};

use super::values;
use crate::expression::{Datum, json};

/// A result. Maps stand in it alone: elsewhere they are refused.
#[derive(Debug)]
pub(super) enum Shape {
    Value(IdedExpr),
    Object(Vec<(String, Shape)>),
    List(Vec<Shape>),
    Choice(IdedExpr, Box<Shape>, Box<Shape>),
}

/// Why there is no result.
pub(super) enum Failure {
    Execution(ExecutionError),
    /// There is one, but nothing that a key or a value could be.
    NoValue(&'static str),
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Self::Execution(error)
    }
}

/// The parts of `condition ? a : b`.
pub(super) fn choice(call: &CallExpr) -> Option<[&IdedExpr; 3]> {
    match call.args.as_slice() {
        [condition, yes, no] if call.func_name == operators::CONDITIONAL => Some([condition, yes, no]),
        _ => None,
    }
}

/// The name and value of a field as it is written; none: its name is not.
pub(super) fn field(entry: &EntryExpr) -> Option<(&str, &IdedExpr)> {
    let EntryExpr::MapEntry(entry) = entry else { return None };
    match &entry.key.expr {
        Expr::Literal(LiteralValue::String(name)) => Some((name.inner(), &entry.value)),
        _ => None,
    }
}

/// Whether a map is written in `expression` where it is part of the result.
fn has_map(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Map(_) => true,
        Expr::List(list) => list.elements.iter().any(has_map),
        Expr::Call(call) => choice(call).is_some_and(|[_, yes, no]| has_map(yes) || has_map(no)),
        _ => false,
    }
}

impl Shape {
    /// Of an expression that was checked.
    pub(super) fn of(expression: &IdedExpr) -> Self {
        match &expression.expr {
            Expr::Map(map) => {
                let fields = map.entries.iter().filter_map(|entry| field(&entry.expr));
                Self::Object(fields.map(|(name, value)| (name.to_owned(), Self::of(value))).collect())
            }
            Expr::List(list) if has_map(expression) => Self::List(list.elements.iter().map(Self::of).collect()),
            Expr::Call(call) if has_map(expression) => match choice(call) {
                Some([condition, yes, no]) => {
                    Self::Choice(condition.clone(), Box::new(Self::of(yes)), Box::new(Self::of(no)))
                }
                None => Self::Value(expression.clone()),
            },
            _ => Self::Value(expression.clone()),
        }
    }

    pub(super) fn datum(&self, context: &Context<'_, '_>) -> Result<Datum, Failure> {
        match self {
            Self::Value(expression) => values::datum(Value::resolve_val(expression, context)?.as_ref()),
            Self::Choice(condition, yes, no) => self.chosen(condition, yes, no, context)?.datum(context),
            Self::Object(_) | Self::List(_) => {
                let mut text = String::new();
                self.write(context, &mut text)?;
                Ok(Datum::Json(text))
            }
        }
    }

    fn write(&self, context: &Context<'_, '_>, out: &mut String) -> Result<(), Failure> {
        match self {
            Self::Value(expression) => values::write(Value::resolve_val(expression, context)?.as_ref(), out),
            Self::Choice(condition, yes, no) => self.chosen(condition, yes, no, context)?.write(context, out),
            Self::Object(fields) => {
                json::object(out, fields.iter().map(|(name, shape)| (name.as_str(), shape)), |shape, out| {
                    shape.write(context, out)
                })
            }
            Self::List(items) => json::list(out, items, |shape, out| shape.write(context, out)),
        }
    }

    pub(super) fn chosen<'s>(
        &self,
        condition: &IdedExpr,
        yes: &'s Self,
        no: &'s Self,
        context: &Context<'_, '_>,
    ) -> Result<&'s Self, Failure> {
        let truth = Value::resolve_val(condition, context)?;
        match truth.downcast_ref::<CelBool>() {
            Some(truth) => Ok(if *truth.inner() { yes } else { no }),
            None => Err(Failure::NoValue("what stands before `?` is not true or false")),
        }
    }
}
