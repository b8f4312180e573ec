//! Numbered orders: the same number is always the same order, so that anybody can tell the verdict that it must get.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::checker::{Coordinates, ExactlyOnceChecker, Expected, Output, Summary};
use crate::kafka::{Isolation, Kafka};

const READ_POLL: Duration = Duration::from_millis(100);

/// How many customers order: each is a key, whose verdicts must come in the order of its orders.
pub const CUSTOMERS: u64 = 97;

/// What `order-details` says about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong with it.
    Pass,
    /// It lacks a product, or its quantity or its price is negative.
    Fail,
    /// It is not in the state CREATED: no verdict at all.
    Ignored,
}

impl Verdict {
    /// As `validationResult` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Ignored => "ignored",
        }
    }
}

/// The key of order `number`.
pub fn key(number: u64) -> String {
    format!("customer-{}", number % CUSTOMERS)
}

/// The verdict that order `number` must get. The divisors are primes, so that the cases meet in every combination.
pub fn verdict(number: u64) -> Verdict {
    match number {
        n if n % 11 == 10 => Verdict::Ignored,
        n if n % 13 == 12 || n % 17 == 16 || n % 19 == 18 => Verdict::Fail,
        _ => Verdict::Pass,
    }
}

/// Order `number` as JSON, some 120 bytes.
pub fn value(number: u64) -> String {
    let quantity = if number % 13 == 12 { -1 } else { (number % 5) as i64 + 1 };
    let price = if number % 17 == 16 { -0.5 } else { (number % 1000) as f64 / 4.0 };
    let product =
        if number % 19 == 18 { None } else { Some(["JUMPERS", "UNDERPANTS", "STOCKINGS"][(number % 3) as usize]) };
    json!({
        "id": format!("order-{number}"),
        "customerId": number % CUSTOMERS,
        "state": if number % 11 == 10 { "SHIPPED" } else { "CREATED" },
        "product": product,
        "quantity": quantity,
        "price": price,
    })
    .to_string()
}

/// A topology file that validates orders: topic `input` in, verdicts out to topic `output`.
pub fn topology(application: &str, input: &str, output: &str, partitions: i32) -> String {
    format!(
        "\
application: {application}
topics:
  {input}: {{ key: string, value: json, partitions: {partitions} }}
  {output}: {{ key: string, value: json, partitions: {partitions} }}
nodes:
  orders:   {{ source: {input} }}
  created:  {{ from: orders, filter: value.state == \"CREATED\" }}
  details:  {{ from: created, process: {{ plugin: order-details }} }}
  verdicts: {{ from: details, sink: {output} }}
"
    )
}

/// Reads the verdicts as they are committed until every order of `numbers` has one, at most for `wait`; then judges
/// the whole topic anew, so that a duplicate which came last is seen too.
pub fn judge(kafka: &Kafka, output_topic: &str, numbers: Range<u64>, wait: Duration) -> Result<Summary> {
    let mut answers = ExactlyOnceChecker::new(numbers.clone().filter_map(expected));
    let mut reader = kafka.read(output_topic, Isolation::Committed)?;
    let deadline = Instant::now() + wait;
    while answers.answered() < answers.expected_count() && Instant::now() < deadline {
        reader.poll(READ_POLL)?.iter().for_each(|row| answers.observe(&row.to_output()));
    }
    let mut checker = ExactlyOnceChecker::new(numbers.filter_map(expected));
    kafka.read_committed(output_topic)?.iter().for_each(|row| checker.observe(&row.to_output()));
    Ok(checker.finish()?)
}

/// What the checker must be told about order `number`: nothing for one that gets no verdict.
pub fn expected(number: u64) -> Option<Expected> {
    let verdict = verdict(number);
    (verdict != Verdict::Ignored).then(|| Expected { number, key: key(number), verdict: verdict.as_str().to_owned() })
}

/// A record of `order-validations`, as the checker takes it. A record that is not a verdict is told as such.
pub fn output(at: Coordinates, key: Option<&[u8]>, value: Option<&[u8]>) -> Output {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Validation {
        order_id: String,
        validation_result: String,
    }
    let parsed: Option<Validation> = value.and_then(|value| serde_json::from_slice(value).ok());
    let key = String::from_utf8_lossy(key.unwrap_or_default()).into_owned();
    let number = parsed.as_ref().and_then(|it| it.order_id.strip_prefix("order-")?.parse().ok());
    let verdict = match parsed {
        Some(validation) => validation.validation_result,
        None => format!("not a verdict: {}", String::from_utf8_lossy(value.unwrap_or_default())),
    };
    Output { at, key, number, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of the order service, applied to the JSON: the table above must say the same.
    fn judge(order: &serde_json::Value) -> Verdict {
        if order["state"] != "CREATED" {
            return Verdict::Ignored;
        }
        let is_bad =
            order["quantity"].as_i64() < Some(0) || order["price"].as_f64() < Some(0.0) || order["product"].is_null();
        if is_bad { Verdict::Fail } else { Verdict::Pass }
    }

    #[test]
    fn the_verdict_told_is_the_one_that_the_order_deserves() {
        for number in 0..10_000 {
            let order = serde_json::from_str(&value(number)).unwrap();
            assert_eq!(judge(&order), verdict(number), "{order}");
        }
    }

    #[test]
    fn a_verdict_is_read_from_an_output_record() {
        let at = Coordinates { partition: 2, offset: 7 };
        let value = br#"{"orderId":"order-17","checkType":"ORDER_DETAILS_CHECK","validationResult":"PASS"}"#;
        let output = output(at, Some(b"customer-17"), Some(value));
        assert_eq!((output.number, output.verdict.as_str()), (Some(17), "PASS"));
    }
}
