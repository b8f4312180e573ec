//! Apache Kafka behind Weir's ports: [`Connector`](weir_core::ports::Connector), `Client`, `Transport`.
//!
//! Lives here: group membership, rows in batches out of librdkafka's memory, the transactional producer and its replacement,
//! stable positions and the transactions of expelled owners, changelogs read in bulk, topics and offsets.
//! Must not know: what a record means, what a task or a node is, when to commit.
//! Start at `transport.rs`, the way of one poll; then `producer.rs`, the way of one commit; `assigning.rs` says why a new
//! owner may begin, `replay.rs` how a changelog is read. Membership is a trait of its own (`membership/`); all unsafe code is in `ffi/`.
//! Not here: the partitioner (weir-core computes every partition), retries with a back-off (the caller's).

mod absent;
mod admin;
mod assigning;
mod client;
mod config;
mod connector;
mod ffi;
mod hosts;
mod membership;
mod producer;
mod purge;
mod reader;
mod replay;
mod seek;
mod status;
mod transport;

pub use client::KafkaClient;
pub use config::{ConfigError, KafkaConfig};
pub use connector::KafkaConnector;
pub use status::Status;
pub use transport::KafkaTransport;
