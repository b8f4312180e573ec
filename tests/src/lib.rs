//! What the end-to-end tests are made of: hosts to start and kill, a Kafka to fill and read, a proxy that disturbs,
//! a checker that tells whether every order was answered exactly once.
//! Must not know: how the host works inside. It is the binary `weir`, met over its command line, REST and Kafka.
//! A component per file, with its own tests beside it; the end-to-end tests are in `tests/tests`, a file per law.
//!
//! `cargo xtask test` sets what these read: `WEIR_TEST_KAFKA`, `WEIR_BIN`, `WEIR_PLUGINS`, `WEIR_ORACLE`, `WEIR_XTASK`.

pub mod application;
pub mod checker;
pub mod host;
pub mod kafka;
pub mod oracle;
pub mod orders;
pub mod proxy;
pub mod small_disk;
pub mod wait;
pub mod words;

pub use application::Application;
pub use checker::{ExactlyOnceChecker, Expected, Output, Violation};
pub use host::{HostOptions, WeirHost};
pub use kafka::{Isolation, Kafka, Row, TopicReader};
pub use oracle::Oracle;
pub use proxy::{Action, ApiKey, Direction, KafkaProxy, Rule, RuleHandle};
pub use small_disk::SmallDisk;
