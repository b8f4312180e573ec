//! The embedded log: partitioned topics in this process, durable, behind the same ports as Kafka. The default of a host.
//!
//! A transaction is one checksummed frame, over any partitions and positions, appended to one sequence of segment files:
//! it is there whole or not at all. Rows lie in columns, so reading them back is a few copies. Committing returns once the
//! frame is durable; threads that commit at the same time share one sync.
//!
//! - What a crash leaves: every transaction whose commit returned. A torn tail is cut with a log line; a frame that was
//!   durable and is damaged is an error that says where, never skipped.
//! - Retention: `retention.bytes` and `retention.ms` of a topic and [`LogConfig::retention_bytes`] of the whole log take
//!   effect when a segment is sealed, by whole segments. A reader whose rows have expired goes on at the first that is
//!   left, with a warning in the log. Compacted topics keep the last row of each key, tombstones too; what compaction may
//!   take away goes when its segment does.
//! - A topic that is deleted is gone with that frame, and its number is never given again; its space comes back with its
//!   segments, as that of purged rows does.
//! - It is not: shared by processes (a lock file names the one that has it), replicated, a place for secrets (no
//!   encryption).
//!
//! Must not know: tasks, nodes, plugins. Start at [`EmbeddedLog::open`] and `writer.rs`, the way of a transaction to the
//! disk; `frame.rs`, `chunk.rs` and `segment.rs` say what lies there; `reader.rs` is the way back. `tests/` and `src/tests`
//! crash it: by a simulated disk that tears, loses and flips, and by SIGKILL.

mod chunk;
mod cleaner;
mod client;
mod codec;
mod config;
mod disk;
mod draft;
mod error;
mod frame;
mod group;
mod lock;
mod log;
mod open;
mod reader;
mod replay;
mod retention;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod transport;
mod writer;

pub use client::LogConnector;
pub use config::LogConfig;
pub use error::{Corruption, OpenError};
pub use log::EmbeddedLog;
