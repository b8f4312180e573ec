//! What a task does for its stores: opens and restores them, lets out what a commit or a timer brings, and hands committed
//! writes on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::aggregate::{NodeClock, changed};
use super::instances::Instances;
use super::life::{Cause, State};
use super::step::{Done, Poison, Scope, Step};
use super::stream_join::SideClock;
use super::{Environment, Stepped, Task};
use crate::ports::{Outgoing, StateStore, StoreError};
use crate::record::{RecordBatch, Taken, TopicName, TopicPartition};
use crate::state::{ReplayFrom, RestoreError, Restoring, TIMER_WALL, TaskState, keys, ttl};
use crate::thread::{Report, ReportKind};
use crate::topology::{Emit, NodeIndex, NodeKind, StoreIndex, StoreKind, Topology};

/// What is to be replayed of which changelog.
pub(crate) type Replays = Vec<(TopicPartition, ReplayFrom)>;

/// Rows of a store with a time below are not needed any more.
pub(crate) type Expiry = (StoreIndex, i64);

impl Task {
    /// Takes the stores over; says what is to be replayed before the task runs.
    pub(crate) fn open(
        &mut self,
        store: Arc<dyn StateStore>,
        topology: &Topology,
        topic_ids: &BTreeMap<TopicName, String>,
        (now_ms, age_max_ms): (i64, i64),
    ) -> Result<Replays, StoreError> {
        self.stored = Some(Rc::new(RefCell::new(TaskState::new(self.id, store, topology, topic_ids))));
        self.restore_again((now_ms, age_max_ms))
    }

    /// Nobody knows whether the last transaction happened: the stores are brought up to what the changelogs say.
    pub(crate) fn restore_again(&mut self, (now_ms, age_max_ms): (i64, i64)) -> Result<Replays, StoreError> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        let replays = stored.borrow_mut().begin_restore(&self.committed, now_ms, age_max_ms)?;
        if !replays.is_empty() {
            self.moves(Cause::Unsettled);
        }
        Ok(replays)
    }

    pub(crate) fn has_stores(&self) -> bool {
        self.stored.is_some()
    }

    pub(crate) fn owns_changelog(&self, partition: &TopicPartition) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.borrow().owns_changelog(partition))
    }

    /// Takes in rows of a changelog. True: that was the last, and the task runs.
    pub(crate) fn replayed(
        &mut self,
        partition: &TopicPartition,
        rows: &RecordBatch,
        place: (i64, i64),
        restarted: bool,
        environment: &Environment<'_>,
    ) -> Result<bool, RestoreError> {
        if self.state != State::Restoring {
            return Ok(false);
        }
        let Some(stored) = self.stored.clone() else { return Ok(false) };
        let taken = stored.borrow_mut().restore(partition, rows, place, restarted, environment.now_ms);
        match taken {
            Some(Err(error)) => Err(error),
            Some(Ok(Restoring::Done)) => {
                self.moves(Cause::Restored);
                self.wall_due = self.first_wall_timer(environment.topology);
                Ok(true)
            }
            Some(Ok(Restoring::More)) | None => Ok(false),
        }
    }

    /// The changelogs that are being replayed, with the next offset and, once it is known, the end.
    pub(crate) fn restoring(&self) -> Vec<(TopicPartition, i64, Option<i64>)> {
        let Some(stored) = self.stored.as_ref().filter(|_| self.state == State::Restoring) else { return Vec::new() };
        stored.borrow().restoring().map(|(partition, next, end)| (partition.clone(), next, end)).collect()
    }

    /// The stores do not answer, or a changelog is no changelog: the task stops.
    pub(crate) fn fail_state(&mut self, topology: &Topology, reason: &str, message: String) -> Report {
        if matches!(self.state, State::Running | State::Restoring) {
            self.moves(Cause::Poisoned);
        }
        self.failed_at = None;
        self.group.clear();
        let node = topology.subtopologies[self.id.subtopology].sources[0];
        Report {
            task: self.id,
            node: topology.node(node).name.clone(),
            version: None,
            at: None,
            kind: ReportKind::Failed { reason: reason.to_owned(), message, backtrace: String::new() },
        }
    }

    /// What leaves with the commit: of each aggregate that emits then, the last results.
    ///
    /// # Errors
    /// A row of it is not let pass by a node further on: nothing of the transaction can be committed.
    pub(crate) fn flush(&mut self, environment: &mut Environment<'_>) -> Result<Stepped, Box<Report>> {
        let mut stepped = Stepped::default();
        // Also of a task that has stopped or is to be given up: what it did before is in the transaction.
        let Some(stored) = self.stored.clone() else { return Ok(stepped) };
        if let Err(error) = self.sweep(environment.topology) {
            return Err(Box::new(self.fail_state(environment.topology, "weir.store", error.to_string())));
        }
        for &index in &environment.topology.subtopologies[self.id.subtopology].nodes {
            let NodeKind::Aggregate(aggregate) = &environment.topology.node(index).kind else { continue };
            if aggregate.emit != Emit::Commit {
                continue;
            }
            let rows = changed(aggregate, &stored.borrow());
            if rows.is_empty() {
                continue;
            }
            let taken = self.without_records(rows.len());
            let passed = self.run(&taken, environment, |step| {
                step.pass(index, vec![(0, rows)]);
                Ok(())
            });
            match passed {
                Ok(done) => stepped.add(done, environment),
                Err(poison) => {
                    self.undo_step();
                    return Err(Box::new(self.fail(poison, None, environment)));
                }
            }
            self.end_step(environment.topology);
        }
        Ok(stepped)
    }

    /// Fires the timers that are due by the host's clock; none: there are none.
    pub(crate) fn tick(&mut self, environment: &mut Environment<'_>) -> Option<Stepped> {
        if self.state != State::Running || self.wall_due.is_none_or(|due| due > environment.now_ms) {
            return None;
        }
        let mut stepped = Stepped { wrote: true, ..Stepped::default() };
        let taken = self.without_records(1);
        let topology = environment.topology;
        for &index in &topology.subtopologies[self.id.subtopology].nodes {
            let NodeKind::Process(plugin) = &topology.node(index).kind else { continue };
            let Some(timers) = plugin.timers else { continue };
            let fired = self.run(&taken, environment, |step| {
                if let Some(outputs) = step.fire_overdue(index, timers)? {
                    step.pass(index, outputs);
                }
                Ok(())
            });
            match fired {
                Ok(done) => stepped.add(done, environment),
                Err(poison) => {
                    self.undo_step();
                    stepped.reports.push(self.fail(poison, None, environment));
                    break;
                }
            }
            self.end_step(topology);
        }
        Some(stepped)
    }

    /// When time alone gives the task something to do, in milliseconds since 1970 UTC by the host's clock.
    pub(crate) fn due(&self) -> Option<i64> {
        self.wall_due.into_iter().chain(self.idle_until).min().filter(|_| self.state == State::Running)
    }

    /// What the transaction adds to changelogs.
    pub(crate) fn changes(&self) -> Vec<Outgoing> {
        self.stored.as_ref().map_or_else(Vec::new, |stored| stored.borrow().changes())
    }

    /// About the bytes that the transaction will send to changelogs.
    pub(crate) fn written_bytes(&self) -> usize {
        self.stored.as_ref().map_or(0, |stored| stored.borrow().written_bytes())
    }

    /// The transaction is committed, and ended there in each partition: its writes go to the stores. To be called after
    /// [`Task::committed`].
    pub(crate) fn apply(
        &mut self,
        ends: &[(TopicPartition, i64)],
        now_ms: i64,
        topology: &Topology,
    ) -> Result<Vec<Expiry>, StoreError> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        let positions = self.positions().collect();
        let mut state = stored.borrow_mut();
        state.committed(ends, positions, now_ms)?;
        let expiries = self.expiries(&mut state, topology)?;
        for (store, before) in &expiries {
            state.expire(*store, *before);
        }
        Ok(expiries)
    }

    /// From which times on the rows of stores that expire by stream time are still needed.
    fn expiries(&self, state: &mut TaskState, topology: &Topology) -> Result<Vec<Expiry>, StoreError> {
        let part = &topology.subtopologies[self.id.subtopology];
        let mut expiries = Vec::new();
        for &store in &part.stores {
            let kind = topology.store(store).kind;
            let Some(retention) = kind.retention_ms() else { continue };
            let before = match (kind, topology.aggregate_of(store)) {
                (StoreKind::Joined { .. }, _) => SideClock::load(state, store)?.time.saturating_sub(retention),
                (_, Some(aggregate)) => NodeClock::load(state, store)?.expired(aggregate, retention),
                (_, None) => self.stream_time().map_or(i64::MIN, |time| time.saturating_sub(retention)),
            };
            expiries.push((store, before));
        }
        Ok(expiries)
    }

    fn sweep(&mut self, topology: &Topology) -> Result<(), StoreError> {
        let (Some(stored), Some(now)) = (&self.stored, self.group.stream_time()) else { return Ok(()) };
        for &store in &topology.subtopologies[self.id.subtopology].stores {
            if let StoreKind::KeyValue { ttl_ms: Some(ttl) } = topology.store(store).kind {
                ttl::sweep(&mut stored.borrow_mut(), store, now.saturating_sub(ttl))?;
            }
        }
        Ok(())
    }

    pub(super) fn undo_step(&mut self) {
        self.instances.undo_step();
        if let Some(stored) = &self.stored {
            stored.borrow_mut().undo_step();
        }
    }

    pub(super) fn end_step(&mut self, topology: &Topology) {
        self.instances.end_step();
        if let Some(stored) = &self.stored {
            stored.borrow_mut().end_step();
            self.wall_due = self.first_wall_timer(topology);
        }
    }

    pub(super) fn drop_writes(&mut self) {
        if let Some(stored) = &self.stored {
            stored.borrow_mut().aborted();
        }
    }

    pub(super) fn close_stores(&mut self, in_peace: bool) {
        if let Some(stored) = self.stored.take()
            && in_peace
        {
            // What is not made durable now is replayed by the next owner.
            let _ = stored.borrow().flush();
        }
    }

    fn first_wall_timer(&self, topology: &Topology) -> Option<i64> {
        let stored = self.stored.as_ref()?;
        let part = &topology.subtopologies[self.id.subtopology];
        let first = |index: &NodeIndex| {
            let NodeKind::Process(plugin) = &topology.node(*index).kind else { return None };
            let range = crate::ports::KeyRange::prefix(&[TIMER_WALL]);
            // A store that does not answer says so at the next row.
            let rows = stored.borrow_mut().range(plugin.timers?, &range, 1, false).ok()?;
            rows.first().and_then(|(row, _)| keys::split_by_time(row)).map(|(due, ..)| due)
        };
        part.nodes.iter().filter_map(first).min()
    }

    fn without_records(&self, rows: usize) -> Taken {
        let partition = self.group.partitions().next().cloned();
        let partition = partition.unwrap_or_else(|| TopicPartition::new("", self.id.partition));
        Taken::without_records(partition, rows, self.group.stream_time().unwrap_or(i64::MIN))
    }

    /// Does `work`, and what follows from it, as one step.
    pub(super) fn run(
        &mut self,
        taken: &Taken,
        environment: &mut Environment<'_>,
        work: impl FnOnce(&mut Step<'_>) -> Result<(), Poison>,
    ) -> Result<Done, Poison> {
        let instances: &mut Instances = &mut self.instances;
        let scope = Scope {
            task: self.id,
            topology: environment.topology,
            partitions: environment.partitions,
            supplier: environment.supplier,
            instances,
            state: self.stored.clone(),
            taken,
            now_ms: environment.now_ms,
        };
        let mut step = Step::new(scope);
        work(&mut step)?;
        step.run()?;
        Ok(step.finish())
    }
}

impl RestoreError {
    /// For the report: a reason and a message.
    pub(crate) fn describe(&self) -> (&'static str, String) {
        match self {
            Self::Malformed(partition, offset, problem) => {
                let message = format!(
                    "changelog record {partition}@{offset}: {problem}; the topic was written by somebody else, or the store \
                     has changed its kind: remove the record's topic and state, or rename the store"
                );
                ("weir.changelog", message)
            }
            Self::Store(error) => ("weir.store", error.to_string()),
        }
    }
}
