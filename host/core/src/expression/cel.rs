//! The general way of an expression, by the crate `cel`: this folder alone names it.
//!
//! Maps have no order in that crate, and one run may not differ from the next. So JSON objects are a type of ours
//! ([`values`]), which is walked in the order of its names, and maps cannot be written in an expression.

mod check;
mod values;

use std::sync::{Arc, LazyLock};

use ::cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use ::cel::common::types::{CelBool, CelInt, CelNull};
use ::cel::common::value::Val;
use ::cel::{Context, Env, ExecutionError, Program, Value};

use super::fast::{Comparison, Literal, Operator, Test};
use super::{CompileError, Expression, ExpressionError};
use crate::record::Rows;
use crate::topology::Format;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A compiled expression, and which parts of a row it reads.
#[derive(Debug)]
pub(super) struct Cel {
    source: String,
    program: Program,
    key: Format,
    value: Format,
    reads: Reads,
}

/// The parts of a row that an expression names: only they are decoded.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    key: bool,
    value: bool,
    timestamp: bool,
    headers: bool,
}

impl Cel {
    pub(super) fn compile(source: &str, key: Format, value: Format) -> Result<Self, CompileError> {
        let program = ENV.compile(source).map_err(|errors| check::syntax_error(source, &errors))?;
        let reads = check::check(source, &program, key, value)?;
        Ok(Self { source: source.to_owned(), program, key, value, reads })
    }

    /// This as comparisons of fields with literals, where it is that and the value is JSON.
    pub(super) fn test(&self) -> Option<Test> {
        if self.value == Format::Json { test(self.program.expression()) } else { None }
    }

    fn decode(
        &self,
        part: &str,
        bytes: Option<&[u8]>,
        format: Format,
    ) -> Result<Box<dyn Val + 'static>, ExpressionError> {
        let Some(bytes) = bytes else { return Ok(Box::new(CelNull)) };
        let decoded = match format {
            Format::Bytes => Ok(values::bytes(bytes)),
            Format::String => values::string(bytes),
            Format::Json => values::json(bytes),
        };
        decoded.map_err(|reason| ExpressionError { code: "weir.decode", message: format!("the {part} {reason}") })
    }

    fn failed(&self, error: &ExecutionError) -> ExpressionError {
        let message = match error {
            // A name that the expression spells is no secret of the row; one that was computed may be.
            ExecutionError::NoSuchKey(name) if self.source.contains(name.as_str()) => {
                format!("there is no field `{name}`")
            }
            ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
            ExecutionError::NoSuchOverload(overload) => {
                let function = check::spelled(overload.function());
                format!("`{function}` does not take {}", overload.argument_types().join(" and "))
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
            ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
            ExecutionError::IndexOutOfBounds(_) => "a list is shorter than its index".to_owned(),
            _ => "its parts do not fit together".to_owned(),
        };
        ExpressionError { code: "weir.expression", message: format!("`{}`: {message}", self.source) }
    }
}

impl Expression for Cel {
    fn source(&self) -> &str {
        &self.source
    }

    fn matches(&self, rows: &Rows, row: usize) -> Result<bool, ExpressionError> {
        let mut context = Context::with_env(ENV.clone());
        if self.reads.key {
            context.add_variable_as_val("key", self.decode("key", rows.keys.get(row), self.key)?);
        }
        if self.reads.value {
            context.add_variable_as_val("value", self.decode("value", rows.values.get(row), self.value)?);
        }
        if self.reads.timestamp {
            context.add_variable_as_val("timestamp", Box::new(CelInt::from(rows.timestamps[row])));
        }
        if self.reads.headers {
            let headers = rows.headers.iter().flat_map(|headers| headers.row(row));
            context.add_variable_as_val("headers", values::headers(headers));
        }
        let result = Value::resolve_val(self.program.expression(), &context).map_err(|error| self.failed(&error))?;
        match result.downcast_ref::<CelBool>() {
            Some(passes) => Ok(*passes.inner()),
            None => {
                let message = format!("`{}` is a {}, not true or false", self.source, result.get_type().name());
                Err(ExpressionError { code: "weir.expression", message })
            }
        }
    }
}

fn test(expression: &IdedExpr) -> Option<Test> {
    let Expr::Call(call) = &expression.expr else { return None };
    let [left, right] = call.args.as_slice() else { return None };
    match call.func_name.as_str() {
        operators::LOGICAL_AND => Some(Test::And(Box::new(test(left)?), Box::new(test(right)?))),
        operators::LOGICAL_OR => Some(Test::Or(Box::new(test(left)?), Box::new(test(right)?))),
        name => comparison(name, left, right).map(Test::One),
    }
}

/// `value.field op literal`, or the same turned round.
fn comparison(operator: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Comparison> {
    let operator = match operator {
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterEqual,
        _ => return None,
    };
    if let (Some(path), Some(literal)) = (path(left), literal(right)) {
        return Some(Comparison { path, operator, literal });
    }
    let turned = match operator {
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        same => same,
    };
    Some(Comparison { path: path(right)?, operator: turned, literal: literal(left)? })
}

/// The names of `value.a.b`, without `value`.
fn path(expression: &IdedExpr) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut at = &expression.expr;
    while let Expr::Select(select) = at {
        if select.test {
            return None;
        }
        names.push(select.field.clone());
        at = &select.operand.expr;
    }
    names.reverse();
    (matches!(at, Expr::Ident(name) if name == "value") && !names.is_empty()).then_some(names)
}

fn literal(expression: &IdedExpr) -> Option<Literal> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Null) => Some(Literal::Null),
        Expr::Literal(LiteralValue::Boolean(literal)) => Some(Literal::Bool(*literal.inner())),
        Expr::Literal(LiteralValue::Int(literal)) => Some(Literal::Int(*literal.inner())),
        Expr::Literal(LiteralValue::UInt(literal)) => Some(Literal::UInt(*literal.inner())),
        Expr::Literal(LiteralValue::Double(literal)) => Some(Literal::Double(*literal.inner())),
        Expr::Literal(LiteralValue::String(literal)) => Some(Literal::String(literal.inner().to_owned())),
        _ => None,
    }
}
