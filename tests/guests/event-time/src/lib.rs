//! For the tests of extractors: an order says when it was made, in units that the configuration names.
//!
//! Two versions are two configurations of one component: `{"unitMs": 1}`, `{"unitMs": 1000}`.

use serde::Deserialize;
use weir::prelude::*;

#[derive(Deserialize)]
struct Order {
    at: i64,
    /// The plugin breaks down over it.
    #[serde(default)]
    breaks: bool,
}

/// The node's configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Clock {
    /// Milliseconds of one unit of `at`.
    unit_ms: i64,
}

#[weir::extractor]
fn event_time(order: Json<Order>, clock: &Config<Clock>) -> Result<i64, Reject> {
    assert!(!order.breaks, "this order breaks the plugin");
    order.at.checked_mul(clock.unit_ms).ok_or_else(|| Reject::new("order.at", "no order is that late"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir::test::{Record, times};

    #[test]
    fn an_order_has_the_time_that_it_says_in_the_configured_unit() {
        let records = [r#"{"at":5}"#, r#"{"at":9000000000000000}"#, "{}"].map(Record::new);
        let times = times::<event_time>(r#"{"unitMs":2000}"#, &records).unwrap();
        assert_eq!(times[0], Ok(10_000));
        let codes: Vec<&str> = times[1..].iter().map(|time| time.as_ref().unwrap_err().code()).collect();
        assert_eq!(codes, ["order.at", "weir.decode"]);
    }

    #[test]
    fn a_configuration_without_a_unit_is_refused() {
        assert_eq!(times::<event_time>("null", &[]).unwrap_err()[0].message, "missing field `unitMs`");
    }
}
