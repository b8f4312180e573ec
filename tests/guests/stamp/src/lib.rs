//! For the tests of hot deployment: each output says which order it is of, and which version of the plugin saw it.
//!
//! Two versions are two configurations of one component: `{"version": "blue"}`, `{"version": "green"}`.

use serde::{Deserialize, Serialize};
use weir::prelude::*;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

/// The node's configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamped<'a> {
    order_id: &'a str,
    version: &'a str,
}

#[weir::processor]
fn stamp(order: Json<Order>, config: &Config<Version>, out: &mut Out) -> Result<(), Reject> {
    out.emit(Json(Stamped { order_id: &order.id, version: &config.version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir::test::{Record, run_all};

    #[test]
    fn an_order_is_stamped_with_the_configured_version() {
        let outcomes = run_all::<stamp>(r#"{"version":"green"}"#, vec![Record::new(r#"{"id":"order-1"}"#)]).unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap()[0].value_text(), r#"{"orderId":"order-1","version":"green"}"#);
    }

    #[test]
    fn a_configuration_without_a_version_is_refused() {
        assert_eq!(run_all::<stamp>("null", vec![]).unwrap_err()[0].message, "missing field `version`");
    }
}
