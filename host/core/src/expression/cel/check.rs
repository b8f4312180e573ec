//! What can be known of an expression before it meets a row.

use std::collections::BTreeSet;

use ::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use ::cel::{Context, ParseErrors, Program};

use super::{Reads, shape};
use crate::expression::{CompileError, Scope};
use crate::topology::{Format, did_you_mean};

/// Variables of every expression.
const VARIABLES: [&str; 4] = ["key", "value", "timestamp", "headers"];

/// Fields of `window`.
const WINDOW: [&str; 2] = ["start", "end"];

/// Names of types, as `type(value.x) == int` has them.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Macros are gone by now, but a name near to one is worth a suggestion.
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

#[rustfmt::skip]
pub(in crate::expression) const FUNCTIONS: [&str; 23] = [
    "bool", "bytes", "charAt", "contains", "double", "dyn", "endsWith", "indexOf", "int", "join", "lastIndexOf",
    "lowerAscii", "matches", "replace", "size", "split", "startsWith", "string", "substring", "trim", "type", "uint",
    "upperAscii",
];

/// Operators, as the crate names them and as people write them.
const OPERATORS: [(&str, &str); 18] = [
    (operators::CONDITIONAL, "? :"),
    (operators::LOGICAL_AND, "&&"),
    (operators::LOGICAL_OR, "||"),
    (operators::LOGICAL_NOT, "!"),
    (operators::SUBSTRACT, "-"),
    (operators::ADD, "+"),
    (operators::MULTIPLY, "*"),
    (operators::DIVIDE, "/"),
    (operators::MODULO, "%"),
    (operators::EQUALS, "=="),
    (operators::NOT_EQUALS, "!="),
    (operators::GREATER_EQUALS, ">="),
    (operators::LESS_EQUALS, "<="),
    (operators::GREATER, ">"),
    (operators::LESS, "<"),
    (operators::NEGATE, "-"),
    (operators::INDEX, "[]"),
    (operators::IN, "in"),
];

/// A function or operator as people write it.
pub(super) fn spelled(function: &str) -> &str {
    match function {
        "_._" => ".",
        _ => OPERATORS.iter().find(|(name, _)| *name == function).map_or(function, |(_, spelled)| spelled),
    }
}

/// The first of the parser's complaints, in our words where they are common mistakes.
pub(super) fn syntax_error(source: &str, errors: &ParseErrors) -> CompileError {
    let Some(error) = errors.errors.first() else {
        return CompileError { offset: 0, length: 0, message: "this is no expression".to_owned(), help: String::new() };
    };
    let offset = byte_offset(source, error.pos);
    // The parser takes `<>` for a `<` and stumbles over the rest.
    let offset = if source[offset..].starts_with('>') && source[..offset].ends_with('<') { offset - 1 } else { offset };
    let rest = &source[offset..];
    let word = |word: &str| rest.strip_prefix(word).is_some_and(|after| !after.starts_with(char::is_alphanumeric));
    let (length, message, help) = if rest.trim().is_empty() {
        (0, "this expression ends too early".to_owned(), "")
    } else if rest.starts_with('=') {
        (1, "`=` compares nothing".to_owned(), "write `==`")
    } else if rest.starts_with("<>") {
        (2, "`<>` is no operator".to_owned(), "write `!=`")
    } else if rest.starts_with('&') || rest.starts_with('|') {
        (1, "a single `&` or `|` is no operator".to_owned(), "write `&&` or `||`")
    } else if word("and") || word("AND") {
        (3, "`and` is no operator".to_owned(), "write `&&`")
    } else if word("or") || word("OR") {
        (2, "`or` is no operator".to_owned(), "write `||`")
    } else {
        let length = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
        let length = length.max(rest.chars().next().map_or(0, char::len_utf8));
        (length, format!("`{}` is not expected here", &rest[..length]), "")
    };
    CompileError { offset, length, message, help: help.to_owned() }
}

/// The byte at the parser's line (from 1) and column in characters (from 1).
fn byte_offset(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    source[start..].char_indices().nth(column).map_or(source.len(), |(at, _)| start + at)
}

/// Which parts of a row `program` reads, which is to be true or false.
///
/// # Errors
/// [`CompileError`] for the first name that does not exist, or what can never be computed.
pub(super) fn predicate(source: &str, program: &Program, scope: Scope) -> Result<Reads, CompileError> {
    let mut checker = Checker { source, program, scope, reads: Reads::default(), locals: Vec::new() };
    checker.expression(program.expression())?;
    checker.truth(program.expression())?;
    Ok(checker.reads)
}

/// The same of one that is to be a value.
///
/// # Errors
/// [`CompileError`], likewise.
pub(super) fn value(source: &str, program: &Program, scope: Scope) -> Result<Reads, CompileError> {
    let mut checker = Checker { source, program, scope, reads: Reads::default(), locals: Vec::new() };
    checker.result(program.expression())?;
    Ok(checker.reads)
}

struct Checker<'a> {
    source: &'a str,
    program: &'a Program,
    scope: Scope,
    reads: Reads,
    /// Variables of the macros around, such as `item` of `list.all(item, …)`.
    locals: Vec<&'a str>,
}

impl<'a> Checker<'a> {
    /// What is the result, or a part of it: here maps can be written.
    fn result(&mut self, at: &'a IdedExpr) -> Result<(), CompileError> {
        match &at.expr {
            Expr::Map(map) => {
                let mut names = BTreeSet::new();
                for entry in &map.entries {
                    let Some((name, value)) = shape::field(&entry.expr) else {
                        let message = "the names in a map must be text";
                        return Err(self.error(
                            at,
                            "",
                            message,
                            "put them in quotes, such as `{'price': value.price}`",
                        ));
                    };
                    if !names.insert(name) {
                        let message = format!("this map has two fields `{name}`");
                        return Err(self.error(value, "", &message, "rename one of them"));
                    }
                    self.result(value)?;
                }
                Ok(())
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.result(element)),
            Expr::Call(call) => match shape::choice(call) {
                Some([condition, yes, no]) => {
                    self.expression(condition)?;
                    self.result(yes)?;
                    self.result(no)
                }
                None => self.expression(at),
            },
            Expr::Ident(name) if TYPES.contains(&name.as_str()) => {
                let message = format!("`{name}` is a type, not a value");
                Err(self.error(at, name, &message, &format!("a field of the value is `value.{name}`")))
            }
            _ => self.expression(at),
        }
    }

    fn expression(&mut self, at: &'a IdedExpr) -> Result<(), CompileError> {
        match &at.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(at, name),
            Expr::Select(select) => {
                self.has_field(&select.operand, &select.field)?;
                self.has_fields(&select.operand)?;
                self.expression(&select.operand)
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.expression(element)),
            Expr::Call(call) => self.call(at, call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                let message = "a map can be written only where it is the result";
                Err(self.error(at, "", message, "compare the fields one by one"))
            }
        }
    }

    fn variable(&mut self, at: &IdedExpr, name: &str) -> Result<(), CompileError> {
        let local = self.locals.contains(&name);
        match name {
            "key" => self.reads.key = true,
            "value" => self.reads.value = true,
            "timestamp" => self.reads.timestamp = true,
            "headers" => self.reads.headers = true,
            "window" if self.scope.windowed => self.reads.window = true,
            "aggregate" if self.scope.aggregate.is_some() => self.reads.aggregate = true,
            "left" if self.scope.right.is_some() => self.reads.left = true,
            "right" if self.scope.right.is_some() => self.reads.right = true,
            "item" if self.scope.item => {}
            _ if local || TYPES.contains(&name) => {}
            "window" if !local => {
                let help = "`window.start` and `window.end` are there after an aggregate with `window:`";
                return Err(self.error(at, name, "rows have no window here", help));
            }
            "aggregate" if !local => {
                let help = "`aggregate`, what there is so far, is there in `reduce` alone";
                return Err(self.error(at, name, "there is no `aggregate` here", help));
            }
            _ => {
                let mut known = VARIABLES.to_vec();
                known.extend(self.scope.windowed.then_some("window"));
                known.extend(self.scope.aggregate.map(|_| "aggregate"));
                known.extend(self.scope.right.iter().flat_map(|_| ["left", "right"]));
                known.extend(self.scope.item.then_some("item"));
                let guess = did_you_mean(name, known.iter().chain(&self.locals).copied());
                let help = guess.unwrap_or_else(|| {
                    format!("a field of the value is `value.{name}`; there are {}", known.join(", "))
                });
                return Err(self.error(at, name, &format!("there is no variable `{name}`"), &help));
            }
        }
        Ok(())
    }

    fn call(&mut self, at: &'a IdedExpr, call: &'a CallExpr) -> Result<(), CompileError> {
        let name = call.func_name.as_str();
        let operator = name == operators::NOT_STRICTLY_FALSE || OPERATORS.iter().any(|(operator, _)| *operator == name);
        if !operator && !FUNCTIONS.contains(&name) {
            let guess = did_you_mean(name, FUNCTIONS.into_iter().chain(MACROS));
            let help = guess.unwrap_or_else(|| format!("there are {}, {}", MACROS.join(", "), FUNCTIONS.join(", ")));
            return Err(self.error(at, name, &format!("there is no function `{name}`"), &help));
        }
        if name == operators::INDEX {
            call.args.first().map_or(Ok(()), |indexed| self.has_fields(indexed))?;
        }
        if let ("matches", Some(pattern)) = (name, call.args.last()) {
            self.pattern(pattern)?;
        }
        call.target.iter().map(AsRef::as_ref).chain(&call.args).try_for_each(|argument| self.expression(argument))
    }

    /// Refuses a written pattern that would fail on every row.
    fn pattern(&self, at: &IdedExpr) -> Result<(), CompileError> {
        let Expr::Literal(LiteralValue::String(pattern)) = &at.expr else { return Ok(()) };
        let mut context = Context::with_env(super::ENV.clone());
        context.add_variable_as_val("pattern", Box::new(pattern.clone()));
        let probe = super::ENV.compile("''.matches(pattern)");
        if probe.is_ok_and(|probe| probe.execute(&context).is_err()) {
            return Err(self.error(
                at,
                "",
                "this is no regular expression",
                "see https://docs.rs/regex for what it can say",
            ));
        }
        Ok(())
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Result<(), CompileError> {
        self.expression(&comprehension.iter_range)?;
        self.expression(&comprehension.accu_init)?;
        let outer = self.locals.len();
        self.locals.extend([comprehension.iter_var.as_str(), comprehension.accu_var.as_str()]);
        self.locals.extend(comprehension.iter_var2.as_deref());
        self.expression(&comprehension.loop_cond)?;
        self.expression(&comprehension.loop_step)?;
        self.expression(&comprehension.result)?;
        self.locals.truncate(outer);
        Ok(())
    }

    /// Refuses fields that `window` does not have.
    fn has_field(&self, at: &IdedExpr, field: &str) -> Result<(), CompileError> {
        match &at.expr {
            Expr::Ident(name) if name == "window" && !self.locals.contains(&"window") && self.scope.windowed => {
                if WINDOW.contains(&field) {
                    return Ok(());
                }
                let message = format!("a window has no `{field}`");
                Err(self.error(at, name, &message, "there are `window.start` and `window.end`"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses fields of a key or value whose format has none: formats are bytes unless the file says more.
    fn has_fields(&self, at: &IdedExpr) -> Result<(), CompileError> {
        let Expr::Ident(name) = &at.expr else { return Ok(()) };
        let format = match name.as_str() {
            "key" if !self.locals.contains(&"key") => self.scope.key,
            "value" if !self.locals.contains(&"value") => self.scope.value,
            "aggregate" if !self.locals.contains(&"aggregate") => self.scope.aggregate.unwrap_or(Format::Json),
            "left" if !self.locals.contains(&"left") && self.scope.right.is_some() => self.scope.value,
            "right" if !self.locals.contains(&"right") => self.scope.right.unwrap_or(Format::Json),
            "timestamp" => Format::Bytes,
            _ => return Ok(()),
        };
        let help = match name.as_str() {
            "timestamp" => "it is a number: milliseconds since 1970".to_owned(),
            "aggregate" => "it has the format of the values".to_owned(),
            "left" | "right" => "write `value: json` where the topic is declared".to_owned(),
            _ => format!("write `{name}: json` where the topic is declared"),
        };
        match format {
            Format::Json => Ok(()),
            _ => Err(self.error(at, name, &format!("`{name}` is not JSON and has no fields"), &help)),
        }
    }

    /// Refuses what is plainly neither true nor false.
    fn truth(&self, at: &IdedExpr) -> Result<(), CompileError> {
        let number = [operators::ADD, operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE, operators::MODULO];
        let other = match &at.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => false,
            Expr::Literal(_) | Expr::List(_) => true,
            Expr::Ident(name) => {
                matches!(name.as_str(), "timestamp" | "headers" | "window") || TYPES.contains(&name.as_str())
            }
            Expr::Call(call) => number.contains(&call.func_name.as_str()) || call.func_name == "size",
            _ => false,
        };
        if !other {
            return Ok(());
        }
        let message = "this is neither true nor false".to_owned();
        Err(CompileError {
            offset: 0,
            length: self.source.len(),
            message,
            help: "compare it with something".to_owned(),
        })
    }

    /// At `name` in the text from where `at` stands, or there.
    fn error(&self, at: &IdedExpr, name: &str, message: &str, help: &str) -> CompileError {
        let start = self.program.source_info().offset_for(at.id).map_or(0, |(start, _)| start as usize);
        let start = self.source.char_indices().nth(start).map_or(0, |(at, _)| at);
        // A call stands where its parenthesis is; its name is the nearest before.
        let found = self.source[start..].starts_with(name).then_some(start);
        let offset = found.or_else(|| self.source[..start].rfind(name)).unwrap_or(start);
        CompileError { offset, length: name.len(), message: message.to_owned(), help: help.to_owned() }
    }
}
