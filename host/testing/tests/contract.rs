//! The simulated broker keeps the contract too: what is simulated is what runs.
#![allow(missing_docs, reason = "tests are named as sentences")]

use std::sync::Arc;

use weir_core::ports::Connector;
use weir_core::record::TopicName;
use weir_testing::broker::{BrokerConfig, Protocol, SimBroker, SimConnector};
use weir_testing::contract::Fixture;

struct SimFixture(SimBroker);

impl SimFixture {
    fn new(protocol: Protocol) -> Self {
        let (poll_us, session_timeout_us) = (5000, 500_000);
        Self(SimBroker::new(BrokerConfig { protocol, poll_us, session_timeout_us, ..BrokerConfig::default() }))
    }
}

impl Fixture for SimFixture {
    fn connector(&self, host: usize, application: &str, topics: &[TopicName]) -> Arc<dyn Connector> {
        Arc::new(SimConnector::new(&self.0, host, application, topics))
    }

    fn many_hosts(&self) -> bool {
        true
    }
}

mod eager {
    use super::*;
    weir_testing::contract_tests!(SimFixture::new(Protocol::Eager));
}

mod cooperative {
    use super::*;
    weir_testing::contract_tests!(SimFixture::new(Protocol::Cooperative));
}
