//! Runs plugins: one WebAssembly component behind the core's [`Processor`](weir_core::ports::Processor) or
//! [`Aggregator`](weir_core::ports::Aggregator) port.
//!
//! Lives here: check, compile, cache; limits; columns into a guest and back, checked on return; what a trap tells.
//! Must not know: where records come from, what a node's policy is, where a batch is cut, who deployed what.
//!
//! Start at [`PluginHost`], an upload's way to an [`Artifact`] and an artifact's to a [`Plugin`]; then [`Instance`], the way
//! of one batch, [`AggregatorInstance`], of one fold, and [`ExtractorInstance`]; then `imports/`, all that a guest can reach, a file per interface. `bindings.rs` alone expands the WIT.
//! Its attackers live in `plugins/evil`; what each must come to is in `tests/evil.rs`.
//!
//! It is not: a WASI host (a guest has no clock, no files, no randomness but the host's), nor a place that runs a row again:
//! an [`Instance`] that trapped is dropped, and the core undoes the step and bisects.

mod aggregator;
mod artifact;
mod binding;
mod bindings;
mod check;
mod columns;
mod config;
mod coordinates;
mod extractor;
mod guest;
mod host;
mod imports;
mod instance;
mod limits;
mod log_lines;
mod manifest;
mod metrics;
mod plugin;
mod pool;
mod running;
mod store_access;
mod ticker;
mod trap;

pub use aggregator::AggregatorInstance;
pub use artifact::Artifact;
pub use binding::{Binding, Misfit, Role};
pub use check::LoadError;
pub use config::{HostConfig, Limits};
pub use extractor::ExtractorInstance;
pub use host::{HostError, PluginHost};
pub use instance::Instance;
pub use limits::LimitExceeded;
pub use manifest::{Aggregates, Manifest, Port, Reads, StoreNeed};
pub use metrics::{Metric, MetricValue, PluginMetrics};
pub use plugin::{ConfigError, Plugin, Plugins};
