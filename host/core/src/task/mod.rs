//! A task: one partition's share of a subtopology, and the way of one record through it.
//!
//! Rows wait in the [`group`], are given the times that a plugin finds by [`extract`], are offered to a [`step`], go from node
//! to node, through a plugin by way of [`call`], and end in [`sink`]. [`life`] says what can become of a task.

pub(crate) mod aggregate;
mod call;
mod changes;
mod dynamic_sink;
mod extract;
mod flat_map;
mod group;
mod instances;
mod join;
pub mod life;
pub(crate) mod map;
mod metrics;
mod output;
mod peek;
mod shown;
mod sides;
mod sink;
mod stateful;
mod step;
mod stream_join;
mod suppress;
mod table;
mod table_join;
mod timers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

pub use metrics::{NodeMetrics, REASONS_MAX};

use crate::ports::{CreateFault, Digest, Outgoing, Position, ProcessorSupplier};
use crate::record::{RecordBatch, Rows, Taken, TopicName, TopicPartition};
use crate::state::TaskState;
use crate::thread::{Report, ReportKind};
use crate::topology::{EventTime, NodeIndex, NodeKind, NodeName, Topology};
use group::{PartitionGroup, StreamTime};
pub(crate) use instances::Running;
use instances::{Instances, Role};
use life::{Cause, State};
pub(crate) use stateful::Replays;
use step::{Done, Poison};

/// A subtopology and a partition; shown as `0_3`, as Kafka Streams does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// Index of the subtopology.
    pub subtopology: usize,
    /// The partition of its input topics.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// What is committed with a task's positions, as JSON in the offset metadata (brokers take 4 KB at most).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Committed {
    /// Stream time in milliseconds since 1970 UTC; none before the first row.
    pub stream_time: Option<i64>,
    /// The highest deployment revision that the task has run.
    pub revision: u64,
}

impl Committed {
    /// What `metadata` says; metadata of somebody else says nothing.
    #[must_use]
    pub fn read(metadata: Option<&str>) -> Self {
        metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn write(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// What tasks are run with: the thread's, lent for the length of a call.
pub(crate) struct Environment<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) partitions: &'a BTreeMap<TopicName, i32>,
    pub(crate) supplier: &'a mut dyn ProcessorSupplier,
    pub(crate) metrics: &'a mut [NodeMetrics],
    /// The host's clock, in milliseconds since 1970 UTC.
    pub(crate) now_ms: i64,
    /// How long a task waits for partitions that have no rows, in milliseconds.
    pub(crate) idle_ms_max: i64,
}

/// Where a record stands; none where no record is at fault.
type Coordinates = Option<(TopicPartition, i64)>;

fn coordinates(poison: &Poison, taken: &Taken) -> Coordinates {
    let (partition, offset) = taken.coordinates(poison.origin);
    (offset >= 0).then(|| (partition.clone(), offset))
}

/// One partition's share of a subtopology.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    state: State,
    group: PartitionGroup,
    instances: Instances,
    /// None: the subtopology has no stores.
    stored: Option<Rc<RefCell<TaskState>>>,
    /// When the first timer by the host's clock is due, in milliseconds since 1970 UTC.
    wall_due: Option<i64>,
    /// How long the task waits for partitions that have no rows, in milliseconds since 1970 UTC.
    idle_until: Option<i64>,
    /// As the last commit left it: where a reset goes back to.
    committed: Vec<(TopicPartition, i64)>,
    committed_with: Committed,
    /// The node at whose row the task stopped; none: its stores do not answer.
    failed_at: Option<NodeIndex>,
    /// Deployments that could not be started here, not to be tried again.
    refused: BTreeMap<NodeIndex, u64>,
}

impl Task {
    pub(crate) fn new(id: TaskId) -> Self {
        Self {
            id,
            state: State::Running,
            group: PartitionGroup::default(),
            instances: Instances::new(id),
            stored: None,
            wall_due: None,
            idle_until: None,
            committed: Vec::new(),
            committed_with: Committed::default(),
            failed_at: None,
            refused: BTreeMap::new(),
        }
    }

    /// Adds an input partition.
    pub(crate) fn add(&mut self, position: &Position) {
        let with = Committed::read(position.metadata.as_deref());
        self.group.add(position.partition.clone(), position.offset, with.stream_time);
        self.committed.push((position.partition.clone(), position.offset));
        self.committed_with.stream_time = self.committed_with.stream_time.max(with.stream_time);
        self.committed_with.revision = self.committed_with.revision.max(with.revision);
    }

    pub(crate) fn owns(&self, partition: &TopicPartition) -> bool {
        self.group.partitions().any(|own| own == partition)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn push(&mut self, partition: &TopicPartition, mut batch: RecordBatch, topology: &Topology) {
        // A failed task's partitions are paused; what was fetched before comes again when they are resumed.
        if self.state == State::Running {
            let source = topology.source_of(self.id.subtopology, &partition.topic);
            let time = match &topology.node(source).kind {
                NodeKind::Source(source) => source.timestamp.as_ref(),
                _ => None,
            };
            if let Some(EventTime::Expression(mapping)) = time {
                batch = map::with_timestamps(mapping.as_ref(), batch);
            }
            self.group.push(partition, batch, matches!(time, Some(EventTime::Plugin(_))));
        }
    }

    /// `partition` has no more rows at this moment.
    pub(crate) fn ended(&mut self, partition: &TopicPartition) {
        if self.state == State::Running {
            self.group.ended(partition);
        }
    }

    fn moves(&mut self, cause: Cause) {
        let after = life::next(self.state, cause);
        debug_assert!(after.is_some(), "task {}: {cause:?} in state {:?}", self.id, self.state);
        self.state = after.unwrap_or(self.state);
    }

    /// Takes the next rows through the nodes; none: no rows wait.
    pub(crate) fn step(&mut self, rows_max: usize, environment: &mut Environment<'_>) -> Option<Stepped> {
        if self.state != State::Running {
            return None;
        }
        if self.waits(environment) {
            return None;
        }
        let retried = self.find_times(rows_max, environment);
        let part = &environment.topology.subtopologies[self.id.subtopology];
        let mut offered = self.group.offer(if part.row_at_a_time { 1 } else { rows_max })?;
        let mut poison: Option<Poison> = None;
        let mut at = None;
        let done = loop {
            if offered.len() == 0 {
                break None;
            }
            match self.attempt(&offered, environment) {
                Ok(done) => break Some(done),
                Err(found) => {
                    // Undone. The rows before it may meet another poison earlier on, at a node further down.
                    self.undo_step();
                    at = coordinates(&found, &offered.taken);
                    offered = offered.prefix(found.origin as usize);
                    poison = (!found.is_full()).then_some(found);
                }
            }
        };
        self.end_step(environment.topology);
        let mut stepped = Stepped { wrote: offered.len() > 0, reports: retried, ..Stepped::default() };
        if let Some(done) = done {
            stepped.add(done, environment);
        }
        self.group.advance(&offered);
        if let Some(poison) = poison {
            stepped.reports.push(self.fail(poison, at, environment));
        }
        Some(stepped)
    }

    /// Whether rows that are there are to wait for earlier ones of a partition that has none yet.
    fn waits(&mut self, environment: &Environment<'_>) -> bool {
        let lacks_rows = environment.idle_ms_max >= 0 && self.group.lacks_rows();
        if !lacks_rows || self.group.awaits_rows() {
            // The idle time begins when all that is in the log has come.
            self.idle_until = None;
            return lacks_rows;
        }
        if environment.idle_ms_max == 0 {
            return false;
        }
        let until = *self.idle_until.get_or_insert(environment.now_ms.saturating_add(environment.idle_ms_max));
        environment.now_ms < until
    }

    fn attempt(&mut self, offered: &group::Offered, environment: &mut Environment<'_>) -> Result<Done, Poison> {
        let (topology, part) = (environment.topology, self.id.subtopology);
        self.run(&offered.taken, environment, |step| {
            for (partition, rows) in offered.parts() {
                let source = topology.source_of(part, &partition.topic);
                let rows = step.with_times(source, rows.clone(), &offered.without_time)?;
                step.send(source, 0, rows);
            }
            // Time has moved for all of them.
            topology.subtopologies[part].sources.iter().for_each(|&source| step.send(source, 0, Rows::default()));
            Ok(())
        })
    }

    fn fail(&mut self, poison: Poison, at: Coordinates, environment: &mut Environment<'_>) -> Report {
        // A task that is to be given up, or has stopped already, meets it with what it sends at its commit.
        if self.state == State::Running {
            self.moves(Cause::Poisoned);
            self.failed_at = Some(poison.node);
        }
        self.group.clear();
        let step::Problem { reason, message, backtrace } = poison.problem;
        Report {
            task: self.id,
            node: environment.topology.node(poison.node).name.clone(),
            version: self.instances.version(poison.node).cloned(),
            at,
            kind: ReportKind::Failed { reason, message, backtrace },
        }
    }

    /// Whether deployment `revision` of `node` is news to the task: neither running nor refused.
    pub(crate) fn wants(&self, node: NodeIndex, revision: u64) -> bool {
        let known = [self.instances.revision(node), self.refused.get(&node).copied()];
        self.state != State::Suspended && !known.contains(&Some(revision))
    }

    /// Runs `version` at `node` from here on.
    pub(crate) fn deploy(
        &mut self,
        node: (NodeIndex, &NodeName, &NodeKind),
        version: &Digest,
        revision: u64,
        supplier: &mut dyn ProcessorSupplier,
    ) -> Result<Deployed, CreateFault> {
        let role = match node.2 {
            NodeKind::Aggregate(_) => Role::Aggregator,
            NodeKind::Source(_) => Role::Extractor,
            _ => Role::Processor,
        };
        let before = match self.instances.deploy((node.0, node.1, role), version, revision, supplier) {
            Ok(before) => before,
            Err(fault) => {
                self.refused.insert(node.0, revision);
                return Err(fault);
            }
        };
        if role == Role::Extractor {
            self.group.forget_times();
        }
        let resumed = self.state == State::Failed && self.failed_at == Some(node.0);
        if resumed {
            self.moves(Cause::Deployed);
            self.failed_at = None;
        }
        Ok(Deployed { before, resumed })
    }

    /// What runs and is not yet recorded as running: of a revision that no commit of this task has carried.
    pub(crate) fn unrecorded(&self) -> Vec<Running> {
        let mut running = self.instances.running();
        let behind = self.is_behind();
        running.retain(|running| behind || running.revision > self.committed_with.revision);
        running
    }

    /// Its last owner ran a deployment that this host has not heard of yet: what runs here goes back behind it.
    pub(crate) fn is_behind(&self) -> bool {
        self.newest() < self.committed_with.revision
    }

    fn newest(&self) -> u64 {
        let running = self.instances.running();
        running.iter().map(|running| running.revision).max().unwrap_or(self.committed_with.revision)
    }

    /// Stream time as of the last commit: the same at every replay and batch size.
    pub(crate) fn committed_stream_time(&self) -> StreamTime {
        self.committed_with.stream_time
    }

    fn with(&self) -> Committed {
        Committed { stream_time: self.group.stream_time(), revision: self.newest() }
    }

    /// The positions to commit.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let metadata = self.with().write();
        self.group.positions().map(move |(partition, offset)| Position {
            partition,
            offset,
            metadata: Some(metadata.clone()),
        })
    }

    /// The positions are committed as they are; the stores are told by [`Task::apply`].
    pub(crate) fn committed(&mut self) {
        self.committed = self.group.positions().collect();
        self.committed_with = self.with();
        self.instances.end_transaction();
    }

    /// The transaction did not happen: back to the last commit, or to `positions` where they were read anew. True: its
    /// partitions were paused and are to be resumed.
    pub(crate) fn reset(&mut self, positions: Option<&[Position]>) -> bool {
        let mut with: Option<Committed> = None;
        for position in positions.into_iter().flatten() {
            for (partition, offset) in &mut self.committed {
                if *partition == position.partition {
                    *offset = position.offset;
                    // A partition that nobody has committed yet knows nothing of the others'.
                    let (told, known) = (Committed::read(position.metadata.as_deref()), with.unwrap_or_default());
                    let stream_time = known.stream_time.max(told.stream_time);
                    with = Some(Committed { stream_time, revision: known.revision.max(told.revision) });
                }
            }
        }
        self.committed_with = with.unwrap_or(self.committed_with);
        self.go_back();
        let was_failed = self.state == State::Failed;
        if was_failed && self.failed_at.is_none() {
            return false; // its stores do not answer: no row helps
        }
        self.moves(Cause::Reset);
        self.failed_at = None;
        was_failed
    }

    /// The transaction did not happen, and the task has stopped: back to the last commit, to wait there.
    pub(crate) fn go_back(&mut self) {
        self.instances.undo_transaction();
        self.drop_writes();
        self.group.reset(&self.committed, self.committed_with.stream_time);
    }

    /// The group wants the partitions: no more rows.
    pub(crate) fn suspend(&mut self) {
        self.moves(Cause::Revoked);
        self.group.clear();
    }

    pub(crate) fn close(&mut self, cause: Cause) {
        self.moves(cause);
        self.close_stores(cause == Cause::Released);
    }

    /// Where a fetch has to go on: the next offset of each partition.
    pub(crate) fn offsets(&self) -> Vec<(TopicPartition, i64)> {
        self.group.positions().collect()
    }

    /// Where the last commit left each partition: the first row that the next transaction holds.
    pub(crate) fn committed_offsets(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.committed.iter().map(|(partition, offset)| (partition, *offset))
    }

    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        self.group.partitions().cloned().collect()
    }

    pub(crate) fn stream_time(&self) -> StreamTime {
        self.group.stream_time()
    }

    pub(crate) fn running(&self) -> Vec<Running> {
        self.instances.running()
    }
}

/// What a task's step gives the thread.
#[derive(Default)]
pub(crate) struct Stepped {
    /// Rows were taken, or something was written: the task is part of the transaction.
    pub(crate) wrote: bool,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) reports: Vec<Report>,
}

impl Stepped {
    fn add(&mut self, done: Done, environment: &mut Environment<'_>) {
        environment.count(&done);
        self.outgoing.extend(done.outgoing);
        self.reports.extend(done.reports);
    }
}

/// What a deployment did to a task.
pub(crate) struct Deployed {
    /// The version that it replaced.
    pub(crate) before: Option<Digest>,
    /// The task was FAILED at that node and goes on.
    pub(crate) resumed: bool,
}

impl Environment<'_> {
    fn count(&mut self, done: &Done) {
        for (node, metrics) in &done.metrics {
            self.metrics[node.0].add(metrics);
        }
    }
}
