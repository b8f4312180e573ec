//! The end of a transaction, quick, delayed and out of reach, on a real broker (`WEIR_TEST_KAFKA`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::proxy::Proxy;
use support::*;
use weir_core::ports::{Incoming, Transport, TransportError};
use weir_core::record::TopicPartition;
use weir_kafka::KafkaConfig;

/// Commits one transaction whose end is held on the wire, begins another, and lets the held one go. What a reader sees then.
fn delayed_end(replace: bool) -> Vec<String> {
    let client = client();
    let (input, output) = (topic(&client, "in", 1), topic(&client, "out", 1));
    let proxy = Proxy::new(&bootstrap());
    let mut settings = config(&unique("delayed"), "h", &[&input]);
    settings.bootstrap = proxy.address.clone();
    settings.replace_disturbed_producer = replace;
    settings.transaction_timeout_ms = 30_000;
    let mut transport = connector(settings).kafka_transport(0).unwrap();
    until_assigned(&mut transport);
    transport.begin().unwrap();
    transport.produce(&outgoing(&output, 0, batch(&["first"]))).unwrap();
    proxy.hold_next_end();
    transport.commit(&[position(&input, 0, 0, "")]).unwrap();
    transport.begin().unwrap();
    transport.produce(&outgoing(&output, 0, batch(&["never committed"]))).unwrap();
    // Long enough for the row to be at the broker.
    std::thread::sleep(Duration::from_millis(500));
    assert!(proxy.let_go(), "an end was held");
    std::thread::sleep(Duration::from_millis(500));
    let seen = values(&client, &output, 0);
    let _aborted = transport.abort();
    seen
}

#[test]
fn a_delayed_end_does_not_commit_a_later_transaction() {
    assert_eq!(delayed_end(true), ["first"]);
}

/// The failure that the replacement is there for. If this fails, brokers have learnt to refuse the delayed end.
#[test]
fn without_the_replacement_a_delayed_end_commits_a_later_transaction() {
    assert_eq!(delayed_end(false), ["first", "never committed"]);
}

/// rdkafka's flush would make every commit take 100 ms.
#[test]
fn a_commit_does_not_wait_for_the_deadline_of_a_flush() {
    let client = client();
    let (input, output) = (topic(&client, "in", 1), topic(&client, "out", 1));
    let mut transport = connector(config(&unique("quick"), "h", &[&input])).kafka_transport(0).unwrap();
    until_assigned(&mut transport);
    let mut took: Vec<Duration> = (0..30)
        .map(|_| {
            transport.begin().unwrap();
            transport.produce(&outgoing(&output, 0, batch(&["x"]))).unwrap();
            let began = Instant::now();
            transport.commit(&[position(&input, 0, 0, "")]).unwrap();
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    eprintln!("commits: fastest {:?}, median {:?}, slowest {:?}", took[0], took[15], took[29]);
    assert!(took[0] < Duration::from_millis(60), "the fastest of 30 took {:?}", took[0]);
}

#[test]
fn properties_reach_the_consumer() {
    let client = client();
    let input = topic(&client, "in", 1);
    client.append(&TopicPartition::new(&input, 0), &batch(&["a", "b"])).unwrap();
    let mut settings = config(&unique("latest"), "h", &[&input]);
    settings.properties.push(("auto.offset.reset".into(), "latest".into()));
    let mut transport = connector(settings).kafka_transport(0).unwrap();
    assert_eq!(until_assigned(&mut transport)[0].offset, 2);
}

#[test]
fn metadata_and_positions_come_back_after_an_unknown_end() {
    let client = client();
    let (input, output) = (topic(&client, "in", 1), topic(&client, "out", 1));
    client.append(&TopicPartition::new(&input, 0), &batch(&["a", "b", "c"])).unwrap();
    let mut transport = connector(config(&unique("recover"), "h", &[&input])).kafka_transport(0).unwrap();
    until_assigned(&mut transport);
    transport.begin().unwrap();
    transport.produce(&outgoing(&output, 0, batch(&["x"]))).unwrap();
    let metadata = "stream time 17; revision 3".repeat(20);
    transport.commit(&[position(&input, 0, 2, &metadata)]).unwrap();
    transport.begin().unwrap();
    transport.produce(&outgoing(&output, 0, batch(&["y"]))).unwrap();
    assert_eq!(transport.recover().unwrap(), [position(&input, 0, 2, &metadata)]);
    let offsets = until(&mut transport, "the row after the position", |came| {
        let fetched = |incoming: &Incoming| match incoming {
            Incoming::Fetched(_, rows) => rows.offsets.clone(),
            _ => Vec::new(),
        };
        let all: Vec<i64> = came.iter().flat_map(fetched).collect();
        (!all.is_empty()).then_some(all)
    });
    assert_eq!(offsets, [2]);
    assert_eq!(values(&client, &output, 0), ["x"]);
}

fn outage(bootstrap: &str) -> String {
    let mut settings = KafkaConfig::new(bootstrap, unique("outage"), "h");
    settings.topics = vec!["nowhere".into()];
    let connector = connector(settings);
    let mut transport = connector.kafka_transport(0).unwrap();
    let started = Instant::now();
    loop {
        match transport.poll(Duration::from_millis(50)) {
            Err(TransportError::Retriable(text)) if connector.status().outage().is_some() => return text,
            Err(TransportError::Fatal(text)) => panic!("an outage is no end: {text}"),
            _ => assert!(started.elapsed() < PATIENCE, "an outage is told"),
        }
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_from_a_port_that_is_no_kafka() {
    let nobody = outage("127.0.0.1:1");
    assert!(nobody.contains("no broker at 127.0.0.1:1") && nobody.contains("refused"), "{nobody}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let foreign = outage(&address);
    assert!(foreign.contains("answers, but not as Kafka"), "{foreign}");
}
