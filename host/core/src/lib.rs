//! The engine of Weir, pure: inputs are [`thread::Event`]s, outputs are [`thread::Effect`]s, what it needs to ask is a port.
//!
//! Lives here: records in columns, the topology file and its checks, expressions, tasks, steps, the transaction state machine.
//! Must not know: Kafka, disks, sockets, WebAssembly, what time it is. It reads no clock, starts no thread, draws no random
//! number and never depends on hash order (`clippy.toml` beside this crate and `tests/tests/tidy.rs` refuse them), so a
//! simulated week takes seconds and a seed replays it.
//!
//! Start at [`thread::StreamThread::step`], the way of one event; then [`task`], the way of one record.

pub mod expression;
pub mod ports;
pub mod record;
pub mod state;
pub mod task;
pub mod thread;
pub mod topology;
