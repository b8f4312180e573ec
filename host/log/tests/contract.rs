//! The log keeps what every transport promises.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use weir_core::ports::Connector;
use weir_core::record::TopicName;
use weir_log::{EmbeddedLog, LogConfig, LogConnector};
use weir_testing::contract::Fixture;

/// One process at a time has a log, so the threads of one host stand in for many hosts.
struct EmbeddedFixture {
    log: Arc<EmbeddedLog>,
    _dir: tempfile::TempDir,
}

impl Fixture for EmbeddedFixture {
    fn connector(&self, _host: usize, application: &str, topics: &[TopicName]) -> Arc<dyn Connector> {
        Arc::new(LogConnector { log: self.log.clone(), application: application.into(), topics: topics.to_vec() })
    }

    fn many_hosts(&self) -> bool {
        false
    }
}

fn fixture() -> EmbeddedFixture {
    let dir = tempfile::tempdir().unwrap();
    // Small segments: the suite crosses their borders.
    let config = LogConfig { segment_bytes: 10_000, ..LogConfig::default() };
    EmbeddedFixture { log: EmbeddedLog::open(dir.path(), config).unwrap(), _dir: dir }
}

weir_testing::contract_tests!(fixture());
