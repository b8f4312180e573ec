//! A stream thread: the tasks of its partitions and the one transaction that holds what they do.
//!
//! [`StreamThread::step`] is the state machine, a handler per file; [`Driver`] gives it a transport's events and does its
//! effects. The flow of one row: `Fetched` -> its task's group -> a step -> `Begin`, `Produce` -> `Commit` -> `Committed`.

mod assigned;
mod committed;
mod deployed;
mod driver;
mod effect;
mod ended;
mod event;
mod failed;
mod fetched;
mod lost;
mod purge;
mod recovered;
mod replayed;
mod restore;
mod revoked;
mod shutdown;
mod starts;
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

use crate::ports::{Digest, ProcessorSupplier, StateSupplier};
use crate::record::{TopicName, TopicPartition};
use crate::task::{Environment, NodeMetrics, Task, TaskId};
use crate::topology::{NodeIndex, Topology};
use purge::Purges;
use transaction::{Timing, Transaction};

/// Microseconds since 1970 UTC, never running backwards: the engine's only clock, always an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Milliseconds since 1970 UTC.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0 / 1_000
    }

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
    /// A task with rows in some of its partitions and none in others waits for rows that these have in the log, and so many
    /// milliseconds more for rows that are still to be written: Kafka Streams' `max.task.idle.ms`. Below 0: it does not wait.
    pub task_idle_ms_max: i64,
}

impl Default for ThreadConfig {
    fn default() -> Self {
        Self { commit_interval_us: 100_000, batch_rows_max: 4096, transaction_bytes_max: 64 << 20, task_idle_ms_max: 0 }
    }
}

/// Where the stores of a thread's tasks come from, and what is known of their changelogs.
pub struct Stores {
    /// Opens them.
    pub supplier: Box<dyn StateSupplier>,
    /// The identity of each changelog's topic, as far as it is known: a store kept of another one is not trusted.
    pub topic_ids: BTreeMap<TopicName, String>,
    /// A store that was last written longer ago, in milliseconds, is not trusted: compaction may have removed deletions
    /// that it has not seen. Half of Kafka's `delete.retention.ms`.
    pub age_max_ms: i64,
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
    /// Without a committed position: to be committed as they are before any row is taken.
    starts: Vec<TopicPartition>,
    stopping: bool,
    metrics: Vec<NodeMetrics>,
    /// None: a topology with stores cannot run.
    stores: Option<Stores>,
    purges: Purges,
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
            starts: Vec::new(),
            stopping: false,
            metrics,
            stores: None,
            purges: Purges::default(),
        }
    }

    /// The thread with stores for its tasks.
    #[must_use]
    pub fn with_stores(self, stores: Stores) -> Self {
        Self { stores: Some(stores), ..self }
    }

    /// Takes an event in at `now` and says what is to be done for it, in order.
    pub fn step(&mut self, event: Event, now: WallTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_recovery = matches!(event, Event::Recovered(_));
        match event {
            Event::Assigned(positions) => assigned::handle(self, &positions, now, &mut effects),
            Event::Revoked(partitions) => revoked::handle(self, partitions, now, &mut effects),
            Event::Lost(partitions) => lost::handle(self, &partitions, &mut effects),
            Event::Fetched(partition, batch) => fetched::handle(self, &partition, batch, now, &mut effects),
            Event::Ended(partition) => ended::handle(self, &partition, now, &mut effects),
            Event::Committed(committed) => committed::handle(self, &committed, now, &mut effects),
            Event::Replayed { partition, rows, next, end, restarted } => {
                replayed::handle(self, &partition, &rows, (next, end), restarted, now, &mut effects);
            }
            Event::CommitFailed(_) | Event::Broken(_) => failed::handle(self, &mut effects),
            Event::Recovered(positions) => recovered::handle(self, &positions, now, &mut effects),
            Event::Deployed { node, version, revision } => {
                deployed::handle(self, &node, version, revision, &mut effects);
            }
            Event::Tick => tick::handle(self, now, &mut effects),
            Event::Commit => self.commit(now, &mut effects),
            Event::Shutdown => shutdown::handle(self, now, &mut effects),
        }
        if !is_recovery {
            starts::commit(self, now, &mut effects);
        }
        effects
    }

    /// When a tick is due at the latest, if nothing else comes; none: there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<WallTime> {
        if !self.starts.is_empty() {
            return Some(WallTime::default());
        }
        let timer = self.tasks.values().filter_map(Task::due).min().map(|due| WallTime(due.saturating_mul(1_000)));
        match &self.transaction {
            Transaction::Open(open) => {
                let commit =
                    self.timing.early().min(WallTime(open.began.0.saturating_add(self.config.commit_interval_us)));
                Some(timer.map_or(commit, |timer| timer.min(commit)))
            }
            Transaction::Idle => timer,
            // Nothing is done before the answer.
            _ => None,
        }
    }

    /// A task, and what it is run with.
    fn task_with(&mut self, id: TaskId, now: WallTime) -> Option<(&mut Task, Environment<'_>)> {
        let task = self.tasks.get_mut(&id)?;
        let environment = Environment {
            topology: &self.topology,
            partitions: &self.partitions,
            supplier: self.supplier.as_mut(),
            metrics: &mut self.metrics,
            now_ms: now.millis(),
            idle_ms_max: self.config.task_idle_ms_max,
        };
        Some((task, environment))
    }

    /// The task that takes rows of `partition`.
    fn task_of(&self, partition: &TopicPartition) -> Option<TaskId> {
        let reads = |topic: &crate::topology::TopicIndex| self.topology.topic(*topic).name == partition.topic;
        let subtopology = self.topology.subtopologies.iter().position(|part| part.topics.iter().any(reads))?;
        Some(TaskId { subtopology, partition: partition.partition })
    }
}
