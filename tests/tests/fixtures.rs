//! The fixtures against a real Kafka: what goes in comes out, and the judge tells right from wrong.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use weir_tests::{Isolation, Kafka, orders};

const WAIT: Duration = Duration::from_secs(30);

/// A topic with these orders' verdicts, as a host should have left them.
fn answered(kafka: &Kafka, numbers: impl Iterator<Item = u64>) -> anyhow::Result<String> {
    let topic = kafka.unique("answered");
    kafka.create_topic(&topic, 4)?;
    let expected = numbers.filter_map(orders::expected);
    let verdicts = expected.map(|it| {
        let value = json!({ "orderId": format!("order-{}", it.number), "validationResult": it.verdict });
        (Some(it.key), Some(value.to_string()))
    });
    kafka.produce(&topic, verdicts, None)?;
    Ok(topic)
}

#[test]
fn a_topic_with_every_verdict_once_is_judged_exactly_once() {
    let kafka = Kafka::from_env().unwrap();
    let topic = answered(&kafka, 0..2_000).unwrap();
    let summary = orders::judge(&kafka, &topic, 0..2_000, WAIT).unwrap();
    assert_eq!(summary.answered, (0..2_000).filter_map(orders::expected).count() as u64);
}

#[test]
fn a_verdict_that_comes_twice_is_found_although_all_others_are_there() {
    let kafka = Kafka::from_env().unwrap();
    let topic = answered(&kafka, (0..2_000).chain([1_999])).unwrap();
    let error = orders::judge(&kafka, &topic, 0..2_000, WAIT).unwrap_err().to_string();
    assert!(error.contains("1 violations") && error.contains("input 1999 was answered twice"), "{error}");
}

#[test]
fn a_verdict_that_never_comes_is_found_when_the_time_is_over() {
    let kafka = Kafka::from_env().unwrap();
    let topic = answered(&kafka, 0..1_999).unwrap();
    let error = orders::judge(&kafka, &topic, 0..2_000, Duration::from_secs(1)).unwrap_err().to_string();
    assert!(error.contains("input 1999 (key customer-59) was never answered"), "{error}");
}

#[test]
fn orders_put_in_are_read_back_in_order_per_key() {
    let kafka = Kafka::from_env().unwrap();
    let topic = kafka.unique("orders");
    kafka.create_topic(&topic, 4).unwrap();
    kafka.produce_orders(&topic, 0..5_000, None).unwrap();
    let rows = kafka.read_committed(&topic).unwrap();
    assert_eq!(rows.len(), 5_000);
    assert_eq!(kafka.end_offsets(&topic, Isolation::Committed).unwrap().iter().sum::<i64>(), 5_000);
    let mut last = HashMap::new();
    for row in rows {
        let value: serde_json::Value = serde_json::from_slice(row.value.as_deref().unwrap()).unwrap();
        let number: u64 = value["id"].as_str().unwrap().strip_prefix("order-").unwrap().parse().unwrap();
        assert_eq!(row.key.as_deref(), Some(orders::key(number).as_bytes()));
        assert!(last.insert(row.key, number) < Some(number));
    }
}
