//! What Weir is tested with: the contract of the ports, a broker in memory, and the simulation of a whole application.
//!
//! - [`contract`]: what every transport promises, as one suite that Kafka, the embedded log and [`broker`] all run.
//! - [`store_contract`]: what the stores of a task promise, in memory and on disk.
//! - [`broker`]: Kafka's semantics in memory, with time and faults that a seed decides.
//! - [`driver`]: a topology under test without a broker, under Kafka Streams' names.
//! - [`simulation`]: hosts that run the engine's own loop on that broker, and checkers that hold the one true history.
//!
//! Must not know: Kafka's client, disks, WebAssembly, what time it is.

pub mod broker;
pub mod contract;
pub mod driver;
mod random;
pub mod simulation;
pub mod store_contract;

pub use driver::{Commits, DriverError, Options, TestRecord, TopologyTestDriver};
pub use random::{PerMille, Random};
