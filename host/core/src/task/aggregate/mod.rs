//! An aggregate node: rows of a key and window folded into one value, as Kafka Streams does it.
//!
//! [`time`] has the aggregates without windows and those with tumbling and hopping ones, [`sliding`] and [`session`] theirs;
//! all work on [`Work`], row by row in sequence order. A row that the fold refuses leaves nothing. What the store keeps is a
//! timestamp and an accumulator ([`accumulator`], or a plugin's bytes).
//!
//! Where this differs from Kafka Streams on purpose: a window that is to be emitted when it closes is kept until it was,
//! however far stream time jumps (Kafka Streams loses it once it is past its retention).

pub(crate) mod accumulator;
mod batch;
mod clock;
mod finals;
mod fold;
mod plugin;
mod results;
mod session;
mod sliding;
mod time;

pub(crate) use clock::NodeClock;
pub(crate) use results::{changed, store as write_stored, stored};

use std::cell::RefCell;
use std::rc::Rc;

use crate::ports::StoreError;
use crate::record::{Rows, Taken};
use crate::state::TaskState;
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{Aggregate, Emit, Function, NodeIndex, PORT_LATE, PORT_RESULTS, StoreKind, WindowKind};
use fold::{BuiltinFold, Fold};
use plugin::PluginFold;
use results::Results;

/// Why a row was not folded.
pub(super) enum Fault {
    /// The row's: its node's policy decides.
    Row(Problem),
    /// Not the row's: the task stops here.
    Stop(Problem),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Stop(Problem::of_store(&error))
    }
}

/// The folding of one batch.
struct Work<'a> {
    aggregate: &'a Aggregate,
    rows: &'a Rows,
    /// Where the rows came from.
    taken_from: &'a Taken,
    state: &'a mut TaskState,
    clock: NodeClock,
    fold: &'a mut dyn Fold,
    results: Results,
    /// Windows that took the row in hand, and those that were closed for it.
    taken: usize,
    dropped: usize,
    retention_ms: i64,
    /// Buffers for a key of the store and a value.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// What became of the rows of a batch.
#[derive(Default)]
struct Refused {
    /// Rows that the fold refuses.
    rows: Vec<(usize, Problem)>,
    /// Rows that came after all their windows had closed.
    late: Vec<u32>,
    late_windows: u64,
    nulls: u64,
    /// The row at which the task stops.
    stop: Option<(usize, Problem)>,
}

impl Step<'_> {
    /// What the aggregate at `index` makes of `rows`, by port.
    pub(crate) fn aggregate(
        &mut self,
        index: NodeIndex,
        aggregate: &Aggregate,
        rows: &Rows,
    ) -> Result<Vec<(u32, Rows)>, Poison> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let shared = self.state(index, rows)?;
        let retention = self.scope.retention(aggregate);
        let taken = self.scope.taken;
        let (results, refused) = match &aggregate.function {
            Function::Plugin(_) => {
                let mut fold = PluginFold::new(index, &mut self.scope, rows);
                let done = run(aggregate, (rows, taken), &shared, &mut fold, retention);
                if let Some(trap) = fold.finish() {
                    self.metrics(index).trap(trap.kind.as_str());
                }
                done
            }
            _ => {
                let mut fold = BuiltinFold::new(aggregate, rows);
                run(aggregate, (rows, taken), &shared, &mut fold, retention)
            }
        };
        let metrics = self.metrics(index);
        metrics.drop_rows("null-key-or-value", refused.nulls);
        metrics.drop_rows("late", refused.late_windows);
        for (row, problem) in refused.rows {
            self.refuse(index, rows.origins[row], problem)?;
        }
        if let Some((row, problem)) = refused.stop {
            return Err(Poison { origin: rows.origins[row], node: index, problem });
        }
        let mut outputs = vec![(PORT_RESULTS, results.into_rows(rows))];
        if !refused.late.is_empty() {
            outputs.push((PORT_LATE, rows.select(&refused.late)));
        }
        Ok(outputs)
    }

    /// The task's state, which a node with a store cannot do without.
    pub(crate) fn state(&self, index: NodeIndex, rows: &Rows) -> Result<Rc<RefCell<TaskState>>, Poison> {
        self.scope.state.clone().ok_or_else(|| Poison {
            origin: rows.origins.first().copied().unwrap_or_default(),
            node: index,
            problem: Problem {
                reason: "weir.store".to_owned(),
                message: "the task has no stores".to_owned(),
                ..Problem::default()
            },
        })
    }
}

fn run(
    aggregate: &Aggregate,
    (rows, taken_from): (&Rows, &Taken),
    state: &Rc<RefCell<TaskState>>,
    fold: &mut dyn Fold,
    retention_ms: i64,
) -> (Results, Refused) {
    let mut state = state.borrow_mut();
    let mut refused = Refused::default();
    let results = Results::new(aggregate.emit, aggregate.window.is_some());
    let clock = match NodeClock::load(&mut state, aggregate.store) {
        Ok(clock) => clock,
        Err(error) => {
            refused.stop = Some((0, Problem::of_store(&error)));
            return (results, refused);
        }
    };
    let mut work = Work {
        aggregate,
        rows,
        taken_from,
        state: &mut state,
        clock,
        fold,
        results,
        taken: 0,
        dropped: 0,
        retention_ms,
        key: Vec::new(),
        value: Vec::new(),
    };
    if let Err(error) = work.prefetch() {
        refused.stop = Some((0, Problem::of_store(&error)));
    }
    let all_at_once = match work.take_all(&mut refused) {
        Ok(done) => done,
        Err(Fault::Row(problem) | Fault::Stop(problem)) => {
            refused.stop = Some((0, problem));
            true
        }
    };
    for row in 0..if all_at_once { 0 } else { rows.len() } {
        if refused.stop.is_some() {
            break;
        }
        work.take(row, &mut refused);
    }
    if work.aggregate.window.is_some() && work.clock != clock {
        work.clock.save(work.state, aggregate.store);
    }
    (work.results, refused)
}

impl Work<'_> {
    /// Takes row `row` in; a row that is refused leaves nothing.
    fn take(&mut self, row: usize, refused: &mut Refused) {
        (self.taken, self.dropped) = (0, 0);
        let before = (self.state.mark(), self.clock, self.results.len());
        let done = self.fold.begin(row).map_err(Fault::Row).and_then(|()| self.dispatch(row));
        match done {
            Ok(true) => {}
            Ok(false) => refused.nulls += 1,
            Err(fault) => {
                self.state.undo(before.0);
                self.clock = before.1;
                self.results.truncate(before.2);
                match fault {
                    Fault::Row(problem) => refused.rows.push((row, problem)),
                    Fault::Stop(problem) => refused.stop = Some((row, problem)),
                }
                return;
            }
        }
        refused.late_windows += self.dropped as u64;
        if self.dropped > 0 && self.taken == 0 {
            refused.late.push(row as u32);
        }
    }

    /// False: the row is dropped for a null.
    fn dispatch(&mut self, row: usize) -> Result<bool, Fault> {
        let has_value = self.rows.values.get(row).is_some();
        let kind = self.aggregate.window.map(|window| window.kind);
        let takes_null = matches!(kind, Some(WindowKind::Hopping { .. } | WindowKind::Session { .. }));
        let Some(key) = self.rows.keys.get(row) else { return Ok(false) };
        if !has_value && !takes_null {
            return Ok(false);
        }
        let at = self.rows.timestamps[row];
        self.clock.stream = self.clock.stream.max(at);
        match kind {
            None => self.unwindowed(row, key, at)?,
            Some(WindowKind::Hopping { size_ms, advance_ms }) => self.hopping(row, key, at, (size_ms, advance_ms))?,
            Some(WindowKind::Sliding { difference_ms }) => self.sliding(row, key, at, difference_ms)?,
            Some(WindowKind::Session { gap_ms }) => self.session(row, key, at, gap_ms)?,
        }
        Ok(true)
    }

    fn grace(&self) -> i64 {
        self.aggregate.window.map_or(0, |window| window.grace_ms)
    }

    fn emits_on_close(&self) -> bool {
        self.aggregate.emit == Emit::Close
    }

    /// Window starts and session ends below this are past the store's retention: as if they were not there.
    fn oldest(&self) -> i64 {
        let slack = i64::from(!self.emits_on_close() || matches!(self.kind(), Some(WindowKind::Session { .. })));
        self.clock.store.saturating_sub(self.retention_ms).saturating_add(slack)
    }

    fn kind(&self) -> Option<WindowKind> {
        self.aggregate.window.map(|window| window.kind)
    }
}

/// How long a store keeps windows; for ever where it has none.
pub(crate) fn retention(kind: StoreKind) -> i64 {
    kind.retention_ms().unwrap_or(i64::MAX / 4)
}
