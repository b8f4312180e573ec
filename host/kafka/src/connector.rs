use std::sync::Arc;

use weir_core::ports::{Client, Connector, Transport, TransportError};

use crate::client::KafkaClient;
use crate::config::{ConfigError, KafkaConfig};
use crate::status::Status;
use crate::transport::KafkaTransport;

/// Makes what a host needs of its Kafka. Nothing waits for a broker here: the first poll or request does.
pub struct KafkaConnector {
    config: Arc<KafkaConfig>,
    client: Arc<KafkaClient>,
    status: Status,
}

impl KafkaConnector {
    /// Checks the settings and makes the host's client.
    ///
    /// # Errors
    /// [`ConfigError`], naming the property.
    pub fn new(mut config: KafkaConfig) -> Result<Self, ConfigError> {
        config.take_timeouts()?;
        config.check()?;
        let status = Status::new(&config.bootstrap);
        let config = Arc::new(config);
        let client = KafkaClient::new(config.clone(), status.clone())
            .map_err(|error| ConfigError::Invalid(error.to_string()))?;
        Ok(Self { config, client: Arc::new(client), status })
    }

    /// What keeps this host from its brokers, for `/readyz` and for people.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The transport of stream thread `thread`, as itself.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn kafka_transport(&self, thread: usize) -> Result<KafkaTransport, TransportError> {
        KafkaTransport::new(self.config.clone(), self.client.clone(), self.status.clone(), thread)
    }
}

impl Connector for KafkaConnector {
    fn client(&self) -> Arc<dyn Client> {
        self.client.clone()
    }

    fn transport(&self, thread: usize) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(self.kafka_transport(thread)?))
    }
}
