//! Counts rows, whatever is in them: what an aggregator plugin costs beside the built-in count (`tests/bench/README.md`).

use weir::prelude::*;

#[derive(Debug, Default)]
struct Counter;

#[weir::aggregator]
impl Aggregator for Counter {
    type Row<'a> = Bytes<'a>;
    type Value = Json<u64>;

    fn initial(&self) -> Json<u64> {
        Json(0)
    }

    fn add(&self, count: &mut Json<u64>, _: Bytes<'_>) -> Result<(), Reject> {
        count.0 += 1;
        Ok(())
    }

    fn merge(&self, left: Json<u64>, right: Json<u64>) -> Json<u64> {
        Json(left.0 + right.0)
    }
}
