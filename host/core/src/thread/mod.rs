//! A stream thread: the tasks of its partitions and the one transaction that holds what they do.
//!
//! [`StreamThread::step`] is the state machine; [`Driver`] gives it a transport's events and does its effects.

mod effect;
mod event;

pub use effect::{Effect, Report, ReportKind};
pub use event::Event;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ports::ProcessorSupplier;
use crate::record::TopicName;
use crate::topology::Topology;

/// Microseconds since 1970 UTC, never running backwards: the engine's only clock, always an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Microseconds from `earlier` to here; 0 where that is later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).max(0)
    }
}

/// Bounds and intervals of a stream thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadConfig {
    /// A transaction is committed this long after it began, in microseconds.
    pub commit_interval_us: i64,
    /// Rows that one step takes at most.
    pub batch_rows_max: usize,
    /// A transaction is committed early once its output has this many bytes.
    pub transaction_bytes_max: usize,
}

impl Default for ThreadConfig {
    fn default() -> Self {
        Self { commit_interval_us: 100_000, batch_rows_max: 4096, transaction_bytes_max: 64 << 20 }
    }
}

/// The engine of one thread.
pub struct StreamThread {
    topology: Arc<Topology>,
    /// Partitions of every topic of the topology.
    partitions: BTreeMap<TopicName, i32>,
    config: ThreadConfig,
    supplier: Box<dyn ProcessorSupplier>,
}

impl StreamThread {
    /// A thread without a partition. `partitions` are those of every topic of the topology.
    #[must_use]
    pub fn new(
        topology: Arc<Topology>,
        partitions: BTreeMap<TopicName, i32>,
        config: ThreadConfig,
        supplier: Box<dyn ProcessorSupplier>,
    ) -> Self {
        Self { topology, partitions, config, supplier }
    }

    /// Takes an event in at `now` and says what is to be done for it, in order.
    pub fn step(&mut self, event: Event, now: WallTime) -> Vec<Effect> {
        let _ = (event, now, &self.topology, &self.partitions, self.config, &self.supplier);
        Vec::new()
    }
}
