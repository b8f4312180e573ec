//! The general way of an expression, by the crate `cel`: this folder alone names it.
//!
//! Maps have no order in that crate, and one run may not differ from the next. So JSON objects are a type of ours
//! ([`values`]), which is walked in the order of its names, and a map can be written only where it is the result
//! ([`shape`]): it is never a value of the crate, and its fields come in the order in which they are written.

mod check;
mod items;
mod shape;
mod values;

use std::sync::{Arc, LazyLock};

use ::cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use ::cel::common::types::{CelBool, CelInt, CelNull};
use ::cel::common::value::Val;
use ::cel::{Context, Env, ExecutionError, Program, Value};

#[cfg(test)]
pub(super) use self::check::FUNCTIONS;
pub(super) use self::items::Item;
use self::shape::Shape;
use super::fast::{Comparison, Literal, Operator, Test};
use super::plain::{Part, Plain};
use super::{CompileError, Datum, Expression, ExpressionError, Joiner, Mapping, Reduction, Scope};
use crate::record::Rows;
use crate::topology::Format;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // It fails where a name is taken; a test calls each of its functions.
    let _ = env.add_extension(::cel::extensions::strings);
    Arc::new(env)
});

/// A compiled expression, and which parts of a row it reads.
#[derive(Debug)]
pub(super) struct Cel {
    source: String,
    program: Program,
    scope: Scope,
    reads: Reads,
}

/// The parts of a row that an expression names: only they are decoded.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    key: bool,
    value: bool,
    timestamp: bool,
    headers: bool,
    window: bool,
    aggregate: bool,
    left: bool,
    right: bool,
}

impl Cel {
    pub(super) fn predicate(source: &str, scope: Scope) -> Result<Self, CompileError> {
        let program = ENV.compile(source).map_err(|errors| check::syntax_error(source, &errors))?;
        let reads = check::predicate(source, &program, scope)?;
        Ok(Self { source: source.to_owned(), program, scope, reads })
    }

    /// This as comparisons of fields with literals, where it is that and the value is JSON.
    pub(super) fn test(&self) -> Option<Test> {
        if self.scope.value == Format::Json { test(self.program.expression()) } else { None }
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

    /// The variables that are read. `beside`: what stands beside the row, `aggregate` or `right`.
    fn context(
        &self,
        beside: Option<&[u8]>,
        rows: &Rows,
        row: usize,
    ) -> Result<Context<'static, 'static>, ExpressionError> {
        let mut context = Context::with_env(ENV.clone());
        if self.reads.key {
            context.add_variable_as_val("key", self.decode("key", rows.keys.get(row), self.scope.key)?);
        }
        if self.reads.value {
            context.add_variable_as_val("value", self.decode("value", rows.values.get(row), self.scope.value)?);
        }
        if self.reads.timestamp {
            context.add_variable_as_val("timestamp", Box::new(CelInt::from(rows.timestamps[row])));
        }
        if self.reads.headers {
            let headers = rows.headers.iter().flat_map(|headers| headers.row(row));
            context.add_variable_as_val("headers", values::headers(headers));
        }
        if self.reads.window {
            context.add_variable_as_val("window", values::window(rows.windows.as_ref().map(|windows| windows[row])));
        }
        if let (true, Some(format)) = (self.reads.aggregate, self.scope.aggregate) {
            context.add_variable_as_val("aggregate", self.decode("aggregate", beside, format)?);
        }
        if self.reads.left {
            context.add_variable_as_val("left", self.decode("left value", rows.values.get(row), self.scope.value)?);
        }
        if let (true, Some(format)) = (self.reads.right, self.scope.right) {
            context.add_variable_as_val("right", self.decode("right value", beside, format)?);
        }
        Ok(context)
    }
}

impl Expression for Cel {
    fn source(&self) -> &str {
        &self.source
    }

    fn matches(&self, rows: &Rows, row: usize) -> Result<bool, ExpressionError> {
        let context = self.context(None, rows, row)?;
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

/// An expression that yields a value.
#[derive(Debug)]
pub(super) struct Maker {
    cel: Cel,
    shape: Shape,
}

impl Maker {
    pub(super) fn compile(source: &str, scope: Scope) -> Result<Self, CompileError> {
        let program = ENV.compile(source).map_err(|errors| check::syntax_error(source, &errors))?;
        let reads = check::value(source, &program, scope)?;
        let shape = Shape::of(program.expression());
        Ok(Self { cel: Cel { source: source.to_owned(), program, scope, reads }, shape })
    }

    /// This as fields, literals and what is made of them, where it is no more than that.
    pub(super) fn plain(&self) -> Option<Plain> {
        plain(&self.shape, self.cel.scope)
    }

    fn make(&self, beside: Option<&[u8]>, rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        let context = self.cel.context(beside, rows, row)?;
        self.shape.datum(&context).map_err(|failure| self.worded(failure))
    }

    fn worded(&self, failure: shape::Failure) -> ExpressionError {
        match failure {
            shape::Failure::Execution(error) => self.cel.failed(&error),
            shape::Failure::NoValue(what) => {
                let message = format!("`{}`: {what}", self.cel.source);
                ExpressionError { code: "weir.expression", message }
            }
        }
    }
}

impl Mapping for Maker {
    fn source(&self) -> &str {
        &self.cel.source
    }

    fn evaluate(&self, rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        self.make(None, rows, row)
    }
}

impl Reduction for Maker {
    fn source(&self) -> &str {
        &self.cel.source
    }

    fn reduce(&self, aggregate: &[u8], rows: &Rows, row: usize) -> Result<Datum, ExpressionError> {
        self.make(Some(aggregate), rows, row)
    }
}

impl Joiner for Maker {
    fn source(&self) -> &str {
        &self.cel.source
    }

    fn join(&self, rows: &Rows, row: usize, right: Option<&[u8]>) -> Result<Datum, ExpressionError> {
        self.make(right, rows, row)
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
    let (root, names) = fields(expression)?;
    (root == "value" && !names.is_empty()).then_some(names)
}

/// `a.b.c` as `a` and the names after it.
fn fields(expression: &IdedExpr) -> Option<(&str, Vec<String>)> {
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
    if let Expr::Ident(root) = at { Some((root, names)) } else { None }
}

fn plain(shape: &Shape, scope: Scope) -> Option<Plain> {
    let value = match shape {
        Shape::Value(value) => value,
        Shape::Object(fields) => {
            let fields = fields.iter().map(|(name, shape)| Some((name.clone(), plain(shape, scope)?)));
            return Some(Plain::Object(fields.collect::<Option<_>>()?));
        }
        Shape::List(_) | Shape::Choice(..) => return None,
    };
    if let Some((root, names)) = fields(value) {
        let names_are = |name: &str| names.len() == 1 && names[0] == name;
        return Some(match root {
            "key" => Plain::Field { part: Part::Key, format: scope.key, path: names },
            "value" => Plain::Field { part: Part::Value, format: scope.value, path: names },
            "timestamp" if names.is_empty() => Plain::Timestamp,
            "window" if names_are("start") => Plain::WindowStart,
            "window" if names_are("end") => Plain::WindowEnd,
            _ => return None,
        });
    }
    Some(Plain::Literal(match literal(value)? {
        Literal::Null => Datum::Null,
        Literal::Bool(literal) => Datum::Bool(literal),
        Literal::Int(literal) => Datum::Int(literal),
        Literal::UInt(literal) => Datum::from_u64(literal),
        Literal::Double(literal) => Datum::from_f64(literal)?,
        Literal::String(literal) => Datum::Text(literal),
    }))
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
