//! A real broker for the tests of this crate, and members of a group on it.

pub mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_core::ports::{Client, Connector, Incoming, NewTopic, Outgoing, Position, Transport};
use weir_core::record::{RecordBatch, Rows, TopicName, TopicPartition};
use weir_kafka::{KafkaConfig, KafkaConnector, KafkaTransport};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The broker's address.
pub fn bootstrap() -> String {
    std::env::var("WEIR_TEST_KAFKA").unwrap_or_else(|_| {
        panic!("WEIR_TEST_KAFKA is not set: start a broker with `cargo xtask kafka start` and set it to the address it prints")
    })
}

/// A name that no test used before.
pub fn unique(base: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{base}-{nanos:x}")
}

/// Settings for `application`, host `host`; expelled after the shortest time that a default broker allows.
pub fn config(application: &str, host: &str, topics: &[&TopicName]) -> KafkaConfig {
    let mut config = KafkaConfig::new(bootstrap(), application, host);
    config.topics = topics.iter().map(|topic| (*topic).clone()).collect();
    config.session_timeout_ms = 6_000;
    config
}

pub fn connector(config: KafkaConfig) -> KafkaConnector {
    KafkaConnector::new(config).unwrap()
}

/// A new topic with a name of its own.
pub fn topic(client: &Arc<dyn Client>, base: &str, partitions: i32) -> TopicName {
    let name = TopicName::from(unique(base).as_str());
    let topic = NewTopic { name: name.clone(), partitions, compacted: false, settings: BTreeMap::new() };
    assert!(client.create_topic(&topic).unwrap());
    name
}

/// A client of no application in particular.
pub fn client() -> Arc<dyn Client> {
    connector(KafkaConfig::new(bootstrap(), unique("client"), "h")).client()
}

pub fn batch(values: &[&str]) -> RecordBatch {
    let mut rows = RecordBatch::default();
    for value in values {
        rows.push(0, 1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
    }
    rows
}

pub fn outgoing(topic: &TopicName, partition: i32, rows: RecordBatch) -> Outgoing {
    Outgoing { topic: topic.clone(), partitions: vec![partition; rows.len()], rows: Rows::from_batch(rows) }
}

pub fn position(topic: &TopicName, partition: i32, offset: i64, metadata: &str) -> Position {
    Position { partition: TopicPartition::new(topic, partition), offset, metadata: Some(metadata.into()) }
}

/// Polls until `done` finds what it looks for in all that came.
pub fn until<T>(transport: &mut KafkaTransport, what: &str, mut done: impl FnMut(&[Incoming]) -> Option<T>) -> T {
    let started = Instant::now();
    let mut came = Vec::new();
    loop {
        match transport.poll(Duration::from_millis(20)) {
            Ok(incoming) => came.extend(incoming),
            Err(error) => eprintln!("poll: {error}"),
        }
        if let Some(found) = done(&came) {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; came {came:?}");
    }
}

pub fn until_assigned(transport: &mut KafkaTransport) -> Vec<Position> {
    until(transport, "an assignment", |came| {
        came.iter().rev().find_map(|incoming| match incoming {
            Incoming::Assigned(positions) => Some(positions.clone()),
            _ => None,
        })
    })
}

pub fn until_revoked(transport: &mut KafkaTransport) -> Vec<TopicPartition> {
    until(transport, "a revocation", |came| {
        came.iter().find_map(|incoming| match incoming {
            Incoming::Revoked(partitions) => Some(partitions.clone()),
            _ => None,
        })
    })
}

/// All values that a read-committed reader finds in a partition now.
pub fn values(client: &Arc<dyn Client>, topic: &TopicName, partition: i32) -> Vec<String> {
    let at = TopicPartition::new(topic, partition);
    let (mut next, end) = client.offsets(&at).unwrap();
    let mut values = Vec::new();
    while next < end {
        let (rows, go_on) = client.read(&at, next, 10_000, Duration::from_millis(500)).unwrap();
        let text = |cell: Option<&[u8]>| String::from_utf8_lossy(cell.unwrap_or(b"<null>")).into_owned();
        values.extend((0..rows.len()).map(|row| text(rows.values.get(row))));
        assert!(go_on > next, "a committed end is reached");
        next = go_on;
    }
    values
}
