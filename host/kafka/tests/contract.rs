//! What the ports promise, on a real broker (`WEIR_TEST_KAFKA`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;

use weir_core::ports::Connector;
use weir_core::record::TopicName;
use weir_kafka::{KafkaConfig, KafkaConnector};
use weir_testing::contract::Fixture;

struct KafkaFixture;

impl Fixture for KafkaFixture {
    fn connector(&self, host: usize, application: &str, topics: &[TopicName]) -> Arc<dyn Connector> {
        let bootstrap = std::env::var("WEIR_TEST_KAFKA").unwrap_or_else(|_| {
            panic!("WEIR_TEST_KAFKA is not set: start a broker with `cargo xtask kafka start` and set it to the address it prints")
        });
        let mut config = KafkaConfig::new(bootstrap, application, format!("host{host}"));
        config.topics = topics.to_vec();
        config.session_timeout_ms = 6_000;
        Arc::new(KafkaConnector::new(config).unwrap())
    }

    fn many_hosts(&self) -> bool {
        true
    }
}

weir_testing::contract_tests!(KafkaFixture);
