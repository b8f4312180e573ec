//! A list's items, each made into a key and a value.

use super::cel::{Item, Maker};
use super::{CompileError, Datum, ExpressionError, Mapping, Scope, check_size};
use crate::record::Rows;
use crate::topology::Format;

/// What makes of a row as many as a list has items.
#[derive(Debug)]
pub struct Items {
    scope: Scope,
    list: Maker,
    /// None: the key stays.
    key: Option<Maker>,
    /// None: the item is the value.
    value: Option<Maker>,
}

impl Items {
    /// The items of the list that `source` yields of rows whose keys and values have these formats; `windowed`: they have
    /// windows.
    ///
    /// # Errors
    /// [`CompileError`], as for [`compile`](super::compile).
    pub fn compile(source: &str, key: Format, value: Format, windowed: bool) -> Result<Self, CompileError> {
        check_size(source)?;
        let scope = Scope { key, value, windowed, aggregate: None, right: None, item: false };
        let list = Maker::compile(source, scope)?;
        Ok(Self { scope: Scope { item: true, ..scope }, list, key: None, value: None })
    }

    /// Each with the key that `source` yields of `item` and the row.
    ///
    /// # Errors
    /// [`CompileError`], likewise.
    pub fn set_key(&mut self, source: &str) -> Result<(), CompileError> {
        check_size(source)?;
        self.key = Some(Maker::compile(source, self.scope)?);
        Ok(())
    }

    /// Each with the value that `source` yields of `item` and the row.
    ///
    /// # Errors
    /// [`CompileError`], likewise.
    pub fn set_value(&mut self, source: &str) -> Result<(), CompileError> {
        check_size(source)?;
        self.value = Some(Maker::compile(source, self.scope)?);
        Ok(())
    }

    /// Whether items have keys of their own.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The texts of its expressions: the list's, then of the key and the value of an item.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        [Some(&self.list), self.key.as_ref(), self.value.as_ref()].into_iter().flatten().map(Mapping::source)
    }

    /// Gives `take` the key and the value of each item of row `row`, in order; no key: the row's stays.
    ///
    /// # Errors
    /// [`ExpressionError`]: the row's business, its node's policy decides. It is what `take` returned, too.
    pub fn each(
        &self,
        rows: &Rows,
        row: usize,
        mut take: impl FnMut(Option<Datum>, Datum) -> Result<(), ExpressionError>,
    ) -> Result<(), ExpressionError> {
        let mut of_items = None;
        self.list.items(rows, row, &mut |item: &Item<'_>| {
            // Not before there is an item: of a row without one nothing else is looked at.
            if of_items.is_none() {
                let key = self.key.as_ref().map(|key| key.of_items(rows, row)).transpose()?;
                let value = self.value.as_ref().map(|value| value.of_items(rows, row)).transpose()?;
                of_items = Some((key, value));
            }
            let (key, value) = of_items.as_ref().map_or((None, None), |(key, value)| (key.as_ref(), value.as_ref()));
            let key = key.map(|key| key.make(item)).transpose()?;
            let value = match value {
                Some(value) => value.make(item)?,
                None => item.datum(&self.list)?,
            };
            take(key, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordBatch;

    const ORDER: &str = r#"{"id":7,"lines":[{"sku":"b","n":2},{"sku":"a","n":1.5}],"none":[],"tags":["x",null,3]}"#;

    fn each(list: &str, key: Option<&str>, value: Option<&str>) -> Result<Vec<(Option<Datum>, Datum)>, String> {
        let worded = |error: CompileError| format!("{} | {}", error.message, error.help);
        let mut items = Items::compile(list, Format::String, Format::Json, false).map_err(worded)?;
        key.map_or(Ok(()), |key| items.set_key(key)).map_err(worded)?;
        value.map_or(Ok(()), |value| items.set_value(value)).map_err(worded)?;
        let mut batch = RecordBatch::default();
        batch.push(0, 1_000, Some(b"k"), Some(ORDER.as_bytes()), &[]);
        let (rows, mut made) = (Rows::from_batch(batch), Vec::new());
        let take = |key, value| {
            made.push((key, value));
            Ok(())
        };
        items.each(&rows, 0, take).map_err(|error| error.to_string())?;
        Ok(made)
    }

    fn text(text: &str) -> Datum {
        Datum::Text(text.to_owned())
    }

    fn json(text: &str) -> Datum {
        Datum::Json(text.to_owned())
    }

    #[test]
    fn a_list_gives_its_items_and_an_empty_one_nothing() {
        let values = |list: &str| each(list, None, None).map(|made| made.into_iter().map(|(_, value)| value).collect());
        assert_eq!(values("value.tags"), Ok(vec![text("x"), Datum::Null, Datum::Int(3)]));
        assert_eq!(values("value.none"), Ok(vec![]));
        assert_eq!(values("key.split('')"), Ok(vec![text("k")]));
        assert_eq!(values("value.lines.filter(l, l.n > 1.7).map(l, l.sku)"), Ok(vec![text("b")]));
        // What is written keeps the order in which it is written.
        assert_eq!(values("[{'z': 1, 'a': value.id}, value.id]"), Ok(vec![json(r#"{"z":1,"a":7}"#), Datum::Int(7)]));
        assert_eq!(values("value.id > 3 ? [{'a': 1}] : []"), Ok(vec![json(r#"{"a":1}"#)]));
        assert_eq!(values("value.id > 7 ? [{'a': 1}] : []"), Ok(vec![]));
    }

    #[test]
    fn keys_and_values_are_made_of_the_item_and_its_row() {
        let made = each("value.lines", Some("item.sku"), Some("{'order': value.id, 'n': item.n, 'of': key}"));
        let row = |sku: &str, value: &str| (Some(text(sku)), json(value));
        assert_eq!(
            made,
            Ok(vec![row("b", r#"{"order":7,"n":2,"of":"k"}"#), row("a", r#"{"order":7,"n":1.5,"of":"k"}"#)])
        );
        assert_eq!(each("value.tags", Some("string(value.id)"), None).map(|made| made.len()), Ok(3));
        let written = each("[{'sku': 'c', 'n': 1}, {'sku': 'd', 'n': 2}]", Some("item.sku"), Some("item.n"));
        assert_eq!(written, Ok(vec![(Some(text("c")), Datum::Int(1)), (Some(text("d")), Datum::Int(2))]));
        // A macro's own variable hides the item.
        let hidden = each("value.tags", None, Some("value.lines.map(item, item.sku)"));
        assert_eq!(hidden.map(|made| made[2].clone()), Ok((None, json(r#"["b","a"]"#))));
    }

    #[test]
    fn what_is_no_list_or_has_no_such_field_is_an_error_of_the_row() {
        let error = |list, key, value| each(list, key, value).unwrap_err();
        let no_list = |list: &str, what: &str| {
            format!("weir.expression: `{list}` is {what}, not a list: an empty list, `[]`, makes no rows")
        };
        for (list, what) in [("null", "null"), ("value.id", "an int"), ("value", "a map"), ("{'a': 1}", "a map")] {
            assert_eq!(error(list, None, None), no_list(list, what));
        }
        assert_eq!(error("value.gone", None, None), "weir.expression: `value.gone`: there is no field `gone`");
        assert_eq!(
            error("value.lines", Some("item.gone"), None),
            "weir.expression: `item.gone`: there is no field `gone`"
        );
    }

    #[test]
    fn an_item_is_there_in_key_and_value_alone() {
        let error = |list, key, value| each(list, key, value).unwrap_err();
        assert!(error("item.lines", None, None).starts_with("there is no variable `item`"));
        let near = error("value.lines", Some("itme.sku"), None);
        assert_eq!(near, "there is no variable `itme` | did you mean `item`?");
    }
}
