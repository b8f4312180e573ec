//! Sums whole numbers; `tests/tests/aggregation.rs` says what must come of it. The same in Python.

use weir::prelude::*;

#[derive(Debug, Default)]
struct Sum;

#[weir::aggregator]
impl Aggregator for Sum {
    type Row<'a> = Str<'a>;
    type Value = String;

    fn initial(&self) -> String {
        "0".to_owned()
    }

    fn add(&self, sum: &mut String, row: Str<'_>) -> Result<(), Reject> {
        let before = number(sum)?;
        sum.push('?'); // what a refused row did must not show
        *sum = (before + number(&row)?).to_string();
        Ok(())
    }

    fn merge(&self, left: String, right: String) -> String {
        match (number(&left), number(&right)) {
            (Ok(left), Ok(right)) => (left + right).to_string(),
            _ => left,
        }
    }
}

fn number(text: &str) -> Result<i64, Reject> {
    text.parse().map_err(|_| Reject::new("sum.number", format!("`{text}` is no whole number")))
}
