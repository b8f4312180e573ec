use std::path::Path;
use std::sync::Arc;

use weir_core::ports::{Client, Connector};
use weir_core::record::TopicName;
use weir_core::topology::Topology;
use weir_kafka::{KafkaConfig, KafkaConnector};
use weir_log::{EmbeddedLog, LogConfig, LogConnector, OpenError};

use super::Config;
use crate::problem::{Kind, Problem};
use crate::state_dir::StateDir;

/// The log that a host is told to use. A Kafka is not asked anything yet.
///
/// # Errors
/// A setting that cannot be used; an embedded log that cannot be opened.
pub fn connect(config: &Config, topology: &Topology, state_dir: &StateDir) -> Result<Arc<dyn Connector>, Problem> {
    let topics: Vec<TopicName> = topology.source_topics().cloned().collect();
    let Some(bootstrap) = &config.bootstrap else {
        let log = embedded(&state_dir.join("log"))?;
        return Ok(Arc::new(LogConnector { log, application: topology.application.clone(), topics }));
    };
    let mut kafka = KafkaConfig::new(bootstrap, &topology.application, state_dir.host_id());
    kafka.properties.clone_from(&config.kafka_properties);
    kafka.leave = config.leave;
    kafka.topics = topics;
    kafka_connector(kafka)
}

fn embedded(dir: &Path) -> Result<Arc<EmbeddedLog>, Problem> {
    EmbeddedLog::open(dir, LogConfig::default()).map_err(|error| Problem::failed(error.to_string()))
}

/// A Kafka of which only the client is used: for the shell.
///
/// # Errors
/// A setting that cannot be used.
pub fn kafka_client(bootstrap: &str, properties: &[(String, String)]) -> Result<Arc<dyn Connector>, Problem> {
    kafka_client_of("weir-shell", bootstrap, properties)
}

/// The same as of application `application`, whose positions and members it sees.
///
/// # Errors
/// A setting that cannot be used.
pub fn kafka_client_of(
    application: &str,
    bootstrap: &str,
    properties: &[(String, String)],
) -> Result<Arc<dyn Connector>, Problem> {
    let mut kafka = KafkaConfig::new(bootstrap, application, "shell");
    kafka.properties = properties.to_vec();
    kafka_connector(kafka)
}

/// The client of an embedded log that no host has open, as of application `application`: for the shell. `state_dir` is a
/// host's.
///
/// # Errors
/// There is none; a host has it; it cannot be opened.
pub fn embedded_client(state_dir: &Path, application: &str) -> Result<Arc<dyn Client>, Problem> {
    let dir = state_dir.join("log");
    if !dir.is_dir() {
        return Err(Problem::not_found(format!(
            "there is no embedded log in {}: name the --state-dir of the host, or a Kafka by --bootstrap",
            state_dir.display()
        )));
    }
    let log = EmbeddedLog::open(&dir, LogConfig::default()).map_err(|error| match error {
        OpenError::Locked { .. } => Problem::new(Kind::InUse, error.to_string()),
        error => Problem::failed(error.to_string()),
    })?;
    let connector = LogConnector { log, application: application.to_owned(), topics: Vec::new() };
    Ok(connector.client())
}

fn kafka_connector(config: KafkaConfig) -> Result<Arc<dyn Connector>, Problem> {
    config.check().map_err(|error| Problem::invalid(error.to_string()))?;
    let connector = KafkaConnector::new(config).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(Arc::new(connector))
}
