//! A stream thread: the tasks of its partitions and the one transaction that holds what they do.
//!
//! [`StreamThread::step`] is the state machine, a handler per file; [`Driver`] gives it a transport's events and does its
//! effects. The flow of one row: `Fetched` -> its task's group -> a step -> `Begin`, `Produce` -> `Commit` -> `Committed`.

mod assigned;
mod committed;
mod deployed;
mod driver;
mod effect;
mod event;
mod failed;
mod fetched;
mod lost;
mod recovered;
mod revoked;
mod shutdown;
mod status;
mod swap_record;
mod tick;
mod transaction;
mod work;

pub use driver::{Clock, Driver, Observer, Turn};
pub use effect::{Effect, Report, ReportKind};
pub use event::Event;
pub use status::TaskStatus;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ports::{Digest, ProcessorSupplier};
use crate::record::{TopicName, TopicPartition};
use crate::task::{NodeMetrics, Task, TaskId};
use crate::topology::{NodeIndex, Topology};
use transaction::{Timing, Transaction};

/// Microseconds since 1970 UTC, never running backwards: the engine's only clock, always an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Microseconds from `earlier` to here; 0 where that is later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
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
    /// Partitions of every topic of the topology, and of the deployments' topic where swaps are to be recorded.
    partitions: BTreeMap<TopicName, i32>,
    config: ThreadConfig,
    supplier: Box<dyn ProcessorSupplier>,
    tasks: BTreeMap<TaskId, Task>,
    transaction: Transaction,
    timing: Timing,
    /// What each process node is to run, with its revision.
    deployed: BTreeMap<NodeIndex, (Digest, u64)>,
    /// Revoked, to be released once the transaction is settled.
    leaving: Vec<TopicPartition>,
    stopping: bool,
    metrics: Vec<NodeMetrics>,
}

impl StreamThread {
    /// A thread without a partition. `partitions` are those of every topic of the topology, and of `<app>-deployments`
    /// where swaps are to be recorded there.
    #[must_use]
    pub fn new(
        topology: Arc<Topology>,
        partitions: BTreeMap<TopicName, i32>,
        config: ThreadConfig,
        supplier: Box<dyn ProcessorSupplier>,
    ) -> Self {
        let metrics = vec![NodeMetrics::default(); topology.nodes.len()];
        Self {
            topology,
            partitions,
            config,
            supplier,
            tasks: BTreeMap::new(),
            transaction: Transaction::Idle,
            timing: Timing::default(),
            deployed: BTreeMap::new(),
            leaving: Vec::new(),
            stopping: false,
            metrics,
        }
    }

    /// Takes an event in at `now` and says what is to be done for it, in order.
    pub fn step(&mut self, event: Event, now: WallTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Assigned(positions) => assigned::handle(self, &positions, now, &mut effects),
            Event::Revoked(partitions) => revoked::handle(self, partitions, now, &mut effects),
            Event::Lost(partitions) => lost::handle(self, &partitions, &mut effects),
            Event::Fetched(partition, batch) => fetched::handle(self, &partition, batch, now, &mut effects),
            Event::Committed(_) => committed::handle(self, now, &mut effects),
            Event::Replayed { .. } => {}
            Event::CommitFailed(_) | Event::Broken(_) => failed::handle(self, &mut effects),
            Event::Recovered(positions) => recovered::handle(self, &positions, now, &mut effects),
            Event::Deployed { node, version, revision } => {
                deployed::handle(self, &node, version, revision, &mut effects);
            }
            Event::Tick => tick::handle(self, now, &mut effects),
            Event::Shutdown => shutdown::handle(self, now, &mut effects),
        }
        effects
    }

    /// When a tick is due at the latest, if nothing else comes; none: there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<WallTime> {
        match &self.transaction {
            Transaction::Open(open) => {
                Some(self.timing.early().min(WallTime(open.began.0 + self.config.commit_interval_us)))
            }
            _ => None,
        }
    }

    /// The task that takes rows of `partition`.
    fn task_of(&self, partition: &TopicPartition) -> Option<TaskId> {
        let reads = |topic: &crate::topology::TopicIndex| self.topology.topic(*topic).name == partition.topic;
        let subtopology = self.topology.subtopologies.iter().position(|part| part.topics.iter().any(reads))?;
        Some(TaskId { subtopology, partition: partition.partition })
    }
}
