//! The proxy between a real client and a real broker: what the test fixtures promise, before anything builds on it.

use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use weir_tests::{Action, ApiKey, Direction, Kafka, KafkaProxy, Rule};

const WAIT: Duration = Duration::from_secs(30);

/// A transactional producer behind the proxy, with a record in an open transaction.
fn begun(kafka: &Kafka, proxy: &KafkaProxy, topic: &str, id: &str) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", proxy.address()).set("client.id", id).set("transactional.id", id);
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(WAIT)?;
    producer.begin_transaction()?;
    producer.send(BaseRecord::<str, str>::to(topic).payload("x")).map_err(|(error, _)| error)?;
    producer.flush(WAIT)?;
    assert!(kafka.has_open_transaction(topic)?);
    Ok(producer)
}

fn committed_count(kafka: &Kafka, topic: &str) -> Result<usize> {
    Ok(kafka.read_committed(topic)?.len())
}

#[test]
fn a_client_behind_the_proxy_works_as_without_it() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    let topic = kafka.unique("through");
    kafka.create_topic(&topic, 1).unwrap();
    let producer = begun(&kafka, &proxy, &topic, &topic).unwrap();
    producer.commit_transaction(WAIT).unwrap();
    assert_eq!(committed_count(&kafka, &topic).unwrap(), 1);
}

#[test]
fn a_delayed_request_arrives_when_it_is_released_and_not_before() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    let topic = kafka.unique("delayed");
    kafka.create_topic(&topic, 1).unwrap();
    let producer = begun(&kafka, &proxy, &topic, &topic).unwrap();
    let rule = proxy.set(Rule::new(ApiKey::END_TXN, Direction::Request, Action::Delay(WAIT)).client(&topic));
    let committer = std::thread::spawn(move || producer.commit_transaction(WAIT));
    rule.wait_met(1, WAIT).unwrap();
    assert!(kafka.has_open_transaction(&topic).unwrap());
    rule.release();
    committer.join().unwrap().unwrap();
    assert_eq!(committed_count(&kafka, &topic).unwrap(), 1);
}

#[test]
fn a_delayed_request_arrives_although_its_client_has_gone() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    let topic = kafka.unique("orphan");
    kafka.create_topic(&topic, 1).unwrap();
    let producer = begun(&kafka, &proxy, &topic, &topic).unwrap();
    let rule = proxy.set(Rule::new(ApiKey::END_TXN, Direction::Request, Action::Delay(WAIT)).client(&topic));
    assert!(producer.commit_transaction(Duration::from_millis(500)).is_err());
    assert_eq!(rule.met(), 1);
    drop(producer);
    assert_eq!(committed_count(&kafka, &topic).unwrap(), 0);
    rule.release();
    let begin = Instant::now();
    while committed_count(&kafka, &topic).unwrap() == 0 {
        assert!(begin.elapsed() < WAIT, "the delayed EndTxn never reached the broker");
    }
}

#[test]
fn a_commit_whose_answer_is_cut_off_has_happened() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    let topic = kafka.unique("unanswered");
    kafka.create_topic(&topic, 1).unwrap();
    let producer = begun(&kafka, &proxy, &topic, &topic).unwrap();
    let rule = proxy.set(Rule::new(ApiKey::END_TXN, Direction::Response, Action::Cut).client(&topic));
    let result = producer.commit_transaction(WAIT);
    assert_eq!(rule.met(), 1);
    assert!(result.is_ok(), "librdkafka asks again over a new connection: {result:?}");
    assert_eq!(committed_count(&kafka, &topic).unwrap(), 1);
}

#[test]
fn a_request_that_is_dropped_never_reaches_the_broker() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    let topic = kafka.unique("dropped");
    kafka.create_topic(&topic, 1).unwrap();
    let producer = begun(&kafka, &proxy, &topic, &topic).unwrap();
    let rule = proxy.set(Rule::new(ApiKey::END_TXN, Direction::Request, Action::Drop).client(&topic));
    assert!(producer.commit_transaction(Duration::from_secs(1)).is_err());
    assert_eq!(rule.met(), 1);
    assert!(kafka.has_open_transaction(&topic).unwrap());
}

#[test]
fn a_refusing_proxy_is_a_broker_out_of_reach() {
    let kafka = Kafka::from_env().unwrap();
    let proxy = kafka.proxy().unwrap();
    proxy.refuse_connections(true);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", proxy.address());
    let producer: BaseProducer = config.create().unwrap();
    assert!(producer.client().fetch_metadata(None, Duration::from_secs(1)).is_err());
    proxy.refuse_connections(false);
    assert!(producer.client().fetch_metadata(None, WAIT).is_ok());
}
