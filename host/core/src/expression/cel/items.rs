//! Items of a list, one after the other, and what is made of each.

use ::cel::common::types::CelList;
use ::cel::common::value::{CowVal, Val};
use ::cel::context::VariableResolver;
use ::cel::{Context, Value};

use super::shape::{Failure, Shape};
use super::{Maker, values};
use crate::expression::{Datum, ExpressionError, json};
use crate::record::Rows;

/// An item of a list.
pub(in crate::expression) enum Item<'a> {
    /// Of a list that is a value of the language.
    Value(&'a dyn Val),
    /// Of a list that is written out, with maps in it.
    Written(&'a Datum),
}

/// What an item is given to.
pub(in crate::expression) type Take<'t> = &'t mut dyn FnMut(&Item<'_>) -> Result<(), ExpressionError>;

/// The variables of a row, for each item of its list.
pub(in crate::expression) struct OfItems<'m> {
    maker: &'m Maker,
    context: Context<'static, 'static>,
}

impl Maker {
    /// Gives `take` each item of the list that this yields of row `row`, in order.
    pub(in crate::expression) fn items(&self, rows: &Rows, row: usize, take: Take<'_>) -> Result<(), ExpressionError> {
        let context = self.cel.context(None, rows, row)?;
        let mut shape = &self.shape;
        while let Shape::Choice(condition, yes, no) = shape {
            shape = shape.chosen(condition, yes, no, &context).map_err(|failure| self.worded(failure))?;
        }
        match shape {
            Shape::List(items) => items.iter().try_for_each(|item| {
                let datum = item.datum(&context).map_err(|failure| self.worded(failure))?;
                take(&Item::Written(&datum))
            }),
            Shape::Value(expression) => {
                let value =
                    Value::resolve_val(expression, &context).map_err(|error| self.worded(Failure::Execution(error)))?;
                match value.downcast_ref::<CelList<'_>>() {
                    Some(list) => list.inner().iter().try_for_each(|item| take(&Item::Value(item.as_ref()))),
                    None => Err(self.no_list(value.get_type().name())),
                }
            }
            Shape::Object(_) | Shape::Choice(..) => Err(self.no_list("map")),
        }
    }

    fn no_list(&self, found: &str) -> ExpressionError {
        let found = match found {
            "null_type" => "null".to_owned(),
            "int" => "an int".to_owned(),
            _ => format!("a {found}"),
        };
        let message = format!("`{}` is {found}, not a list: an empty list, `[]`, makes no rows", self.cel.source);
        ExpressionError { code: "weir.expression", message }
    }

    /// This for the items of row `row`, whose parts are decoded once.
    pub(in crate::expression) fn of_items(&self, rows: &Rows, row: usize) -> Result<OfItems<'_>, ExpressionError> {
        Ok(OfItems { maker: self, context: self.cel.context(None, rows, row)? })
    }
}

impl OfItems<'_> {
    /// What is made of `item`.
    pub(in crate::expression) fn make(&self, item: &Item<'_>) -> Result<Datum, ExpressionError> {
        let parsed;
        let value: &dyn Val = match item {
            Item::Value(value) => *value,
            Item::Written(datum) => {
                parsed = of_datum(datum).map_err(|what| self.maker.worded(Failure::NoValue(what)))?;
                parsed.as_ref()
            }
        };
        let resolver = Named(value);
        let mut scope = inner(&self.context);
        scope.set_variable_resolver(&resolver);
        self.maker.shape.datum(&scope).map_err(|failure| self.maker.worded(failure))
    }
}

/// A scope that lives no longer than what is put into it.
fn inner<'a>(context: &'a Context<'a, 'a>) -> Context<'a, 'a> {
    context.new_inner_scope()
}

impl Item<'_> {
    /// The item as it is; `maker` made its list.
    pub(in crate::expression) fn datum(&self, maker: &Maker) -> Result<Datum, ExpressionError> {
        match self {
            Self::Value(value) => values::datum(*value).map_err(|failure| maker.worded(failure)),
            Self::Written(datum) => Ok((*datum).clone()),
        }
    }
}

/// A written item as a value of the language. Its maps have their fields in the order of their names from here on.
fn of_datum(datum: &Datum) -> Result<Box<dyn Val + 'static>, &'static str> {
    if let Datum::Bytes(bytes) = datum {
        return Ok(values::bytes(bytes));
    }
    let mut text = String::new();
    json::datum(datum, &mut text).ok_or("an item is no value")?;
    values::json(text.as_bytes()).map_err(|_| "an item is no value")
}

/// Knows one variable, `item`, and copies nothing of it.
struct Named<'a>(&'a dyn Val);

impl VariableResolver for Named<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == "item").then_some(CowVal::Borrowed(self.0))
    }
}
