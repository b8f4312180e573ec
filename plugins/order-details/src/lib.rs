//! Validates the details of an order: quantity, price, product.
//!
//! Only orders just created are looked at; others are dropped. What an order is worth is not its business.

use serde::{Deserialize, Serialize};
use weir::prelude::*;

/// The part of an order that is looked at.
#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    #[serde(borrow)]
    product: Option<Text<'a>>,
    quantity: i64,
    price: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderValidation<'a> {
    order_id: &'a str,
    check_type: &'static str,
    validation_result: Verdict,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Pass,
    Fail,
}

use Verdict::{Fail, Pass};

#[weir::processor]
fn order_details(order: Json<Order>, out: &mut Out) -> Result<(), Reject> {
    if order.state != "CREATED" {
        return Ok(());
    }
    let verdict = if order.quantity < 0 || order.price < 0.0 || order.product.is_none() { Fail } else { Pass };
    out.emit(Json(OrderValidation {
        order_id: &order.id,
        check_type: "ORDER_DETAILS_CHECK",
        validation_result: verdict,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(order: &str) -> String {
        weir::test::run::<order_details>(order).unwrap()[0].value_text().into_owned()
    }

    fn validation(result: &str) -> String {
        format!(r#"{{"orderId":"order-1","checkType":"ORDER_DETAILS_CHECK","validationResult":"{result}"}}"#)
    }

    #[test]
    fn an_order_with_product_quantity_and_price_passes() {
        let order = r#"{"id":"order-1","customerId":7,"state":"CREATED","product":"JUMPERS","quantity":0,"price":0}"#;
        assert_eq!(verdict(order), validation("PASS"));
    }

    #[test]
    fn a_negative_quantity_a_negative_price_and_no_product_each_fail() {
        for order in [
            r#"{"id":"order-1","state":"CREATED","product":"JUMPERS","quantity":-1,"price":5.5}"#,
            r#"{"id":"order-1","state":"CREATED","product":"JUMPERS","quantity":1,"price":-0.01}"#,
            r#"{"id":"order-1","state":"CREATED","product":null,"quantity":1,"price":5.5}"#,
            r#"{"id":"order-1","state":"CREATED","quantity":1,"price":5.5}"#,
        ] {
            assert_eq!(verdict(order), validation("FAIL"), "{order}");
        }
    }

    #[test]
    fn an_order_in_another_state_is_dropped() {
        let order = r#"{"id":"order-1","state":"SHIPPED","product":"JUMPERS","quantity":-1,"price":5.5}"#;
        assert_eq!(weir::test::run::<order_details>(order), Ok(vec![]));
    }

    #[test]
    fn what_is_no_order_is_refused_and_leaves_nothing() {
        for value in ["", "{", r#"{"id":"order-1"}"#, "[]", "null"] {
            let reject = weir::test::run::<order_details>(value).unwrap_err();
            assert_eq!(reject.code(), "weir.decode", "{value}");
        }
        let reject = weir::test::run::<order_details>(weir::test::Record::tombstone()).unwrap_err();
        assert_eq!(reject.message(), "the value is null; an Option<..> in the plugin would accept that");
    }

    #[test]
    fn an_escape_in_an_id_survives() {
        let order = r#"{"id":"order-\"1\"","state":"CREATED","product":"A\u0042","quantity":1,"price":5.5}"#;
        assert!(verdict(order).starts_with(r#"{"orderId":"order-\"1\"","#));
    }
}
