//! Calling a plugin: a trap is narrowed down to the row that traps alone on a fresh instance, and only that row is at fault.
//!
//! A call is a savepoint within the step: it leaves its output at its end or nothing, so only the calls of one node are
//! repeated, and what other nodes did in the step stands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::ports::{Call, Output, Processor, StateCell, Trap};
use crate::record::Rows;
use crate::state::NodeAccess;
use crate::task::output;
use crate::task::step::{Poison, Problem, Step};
use crate::thread::ReportKind;
use crate::topology::{NodeIndex, NodeKind};

/// How a call ended that did not return rows.
enum Failure {
    /// It trapped; on an instance that was never called before?
    Trapped { trap: Trap, fresh: bool },
    /// Nothing of the rows': there is no instance to call, or its store does not answer.
    Stopped(Problem),
    /// A timer that was set in the call is due before row so and so of it: the call is undone.
    Cut(usize),
}

/// What a call returned.
struct Returned {
    given: Rows,
    output: Output,
    taken: usize,
    /// Timers set by stream time: the row, and when each is due.
    scheduled: Vec<(u32, i64)>,
}

impl Step<'_> {
    /// The outputs of the plugin at `index` for `rows`, by port, in row order.
    pub(crate) fn process(&mut self, index: NodeIndex, rows: &Rows) -> Result<Vec<(u32, Rows)>, Poison> {
        let mut outputs = Ports::default();
        let mut done = 0;
        while done < rows.len() {
            done += self.process_some(index, &rows.slice(done..rows.len()), &mut outputs)?;
        }
        Ok(outputs.finish())
    }

    /// Puts `rows` through the plugin up to where a timer that they set is due; says how many.
    pub(crate) fn process_some(&mut self, index: NodeIndex, rows: &Rows, outputs: &mut Ports) -> Result<usize, Poison> {
        let mut calls = Narrowing::of(rows.len());
        let mut end = rows.len();
        while let Some(range) = calls.pending.pop() {
            match self.call(index, rows, &range) {
                Ok(Returned { given, output, taken, scheduled }) => {
                    if taken < range.len() {
                        calls.pending.push(range.start + taken..range.end);
                    }
                    if let Some(before) = self.first_due_after(rows, range.start + taken, &scheduled) {
                        end = end.min(before);
                        calls.pending.iter_mut().for_each(|range| range.end = range.end.min(before));
                        calls.pending.retain(|range| !range.is_empty());
                    }
                    self.take_in(index, &given, output, outputs)?;
                }
                Err(Failure::Cut(before)) => {
                    // The instance has seen rows that it is to see again.
                    self.scope.instances.discard(index);
                    end = range.start + before;
                    calls.pending.clear();
                    calls.pending.push(range.start..end);
                }
                Err(Failure::Trapped { trap, fresh }) => {
                    self.metrics(index).trap(trap.kind.as_str());
                    self.scope.instances.discard(index);
                    if let Some(trap) = calls.trapped(&range, trap, fresh) {
                        self.refuse(index, rows.origins[range.start], trap.into())?;
                    }
                }
                Err(Failure::Stopped(problem)) => {
                    // Not the row's fault, so no policy: the task stops here until there is a version that starts.
                    return Err(Poison { origin: rows.origins[range.start], node: index, problem });
                }
            }
        }
        if let Some(trap) = calls.unexplained {
            self.report(index, None, trap.retried());
        }
        Ok(end)
    }

    fn call(&mut self, index: NodeIndex, rows: &Rows, range: &Range<usize>) -> Result<Returned, Failure> {
        let given = rows.slice(range.clone());
        let access = self.access(index, &given);
        let (result, fresh) = self.invoke(index, &given, access.as_ref(), |plugin, call| plugin.process(call))?;
        let checked = result.and_then(|output| {
            let taken = output::check(&output, given.len())?;
            Ok((output, taken))
        });
        let Some(access) = access else {
            return match checked {
                Ok((output, taken)) => Ok(Returned { given, output, taken, scheduled: Vec::new() }),
                Err(trap) => Err(Failure::Trapped { trap, fresh }),
            };
        };
        let mut access = access.borrow_mut();
        let failure = match (access.failed.take(), checked) {
            (Some(error), _) => Failure::Stopped(Problem::of_store(&error)),
            (None, Err(trap)) => Failure::Trapped { trap, fresh },
            (None, Ok((output, taken))) => match self.cut(&given, taken, &access.scheduled) {
                None => {
                    let scheduled = std::mem::take(&mut access.scheduled);
                    return Ok(Returned { given, output, taken, scheduled });
                }
                Some(before) => Failure::Cut(before),
            },
        };
        access.undo_all();
        Err(failure)
    }

    /// The first row that is to see a timer fired that was set by a row before it in the same call.
    fn cut(&self, given: &Rows, taken: usize, scheduled: &[(u32, i64)]) -> Option<usize> {
        let stream_time = |row: usize| self.scope.taken.stream_times[given.origins[row] as usize];
        let due = |&(row, at): &(u32, i64)| (row as usize + 1..taken).find(|&later| stream_time(later) >= at);
        scheduled.iter().filter_map(due).min()
    }

    /// The first of `rows`, from row `from` on, that is to see a timer of `scheduled` fired.
    fn first_due_after(&self, rows: &Rows, from: usize, scheduled: &[(u32, i64)]) -> Option<usize> {
        let first = scheduled.iter().map(|&(_, at)| at).min()?;
        (from..rows.len()).find(|&row| self.scope.taken.stream_times[rows.origins[row] as usize] >= first)
    }

    /// The stores and timers of the plugin at `index`, for a call with `given`; none: it has neither.
    pub(crate) fn access(&self, index: NodeIndex, given: &Rows) -> Option<Rc<RefCell<NodeAccess>>> {
        let NodeKind::Process(plugin) = &self.scope.topology.node(index).kind else { return None };
        if plugin.stores.is_empty() && plugin.timers.is_none() {
            return None;
        }
        let state = self.scope.state.as_ref()?;
        let last = given.origins.last().map_or(0, |&origin| origin as usize);
        let stream_time = self.scope.taken.stream_times.get(last).copied().unwrap_or(i64::MIN);
        let access = NodeAccess::new(state, self.scope.topology, plugin, stream_time, self.scope.now_ms);
        Some(Rc::new(RefCell::new(access)))
    }

    /// Calls the instance at `index`; says also whether it was never called before.
    fn invoke(
        &mut self,
        index: NodeIndex,
        given: &Rows,
        access: Option<&Rc<RefCell<NodeAccess>>>,
        work: impl FnOnce(&mut dyn Processor, &Call<'_>) -> Result<Output, Trap>,
    ) -> Result<(Result<Output, Trap>, bool), Failure> {
        let scope = &mut self.scope;
        let borrowed = match scope.instances.borrow::<dyn Processor>(index, scope.supplier) {
            Some(Ok(borrowed)) => borrowed,
            Some(Err(fault)) => return Err(Failure::Stopped(Problem::not_started(fault.to_string()))),
            None => {
                let node = &scope.topology.node(index).name;
                return Err(Failure::Stopped(Problem::not_started(format!("no plugin is deployed at node `{node}`"))));
            }
        };
        let state = access.map(|access| access.clone() as StateCell);
        let call = Call { rows: given, taken: scope.taken, state: state.as_ref() };
        Ok((work(borrowed.plugin, &call), borrowed.fresh))
    }

    /// Calls the plugin's timers with `given`, once more on a fresh instance where it trapped and had been called before.
    pub(crate) fn fire(&mut self, index: NodeIndex, given: &Rows, outputs: &mut Ports) -> Result<(), Poison> {
        let stop = |problem| Poison { origin: given.origins[0], node: index, problem };
        loop {
            let access = self.access(index, given);
            let (result, fresh) =
                match self.invoke(index, given, access.as_ref(), |plugin, call| plugin.on_timers(call)) {
                    Ok(called) => called,
                    Err(Failure::Stopped(problem)) => return Err(stop(problem)),
                    Err(Failure::Trapped { .. } | Failure::Cut(_)) => return Ok(()),
                };
            let checked = result.and_then(|output| output::check(&output, given.len()).map(|_| output));
            if let Some(access) = access {
                let mut access = access.borrow_mut();
                if checked.is_err() {
                    access.undo_all();
                }
                if let Some(error) = access.failed.take() {
                    return Err(stop(Problem::of_store(&error)));
                }
            }
            match checked {
                Ok(output) => return self.take_in(index, given, output, outputs),
                Err(trap) => {
                    self.metrics(index).trap(trap.kind.as_str());
                    self.scope.instances.discard(index);
                    if fresh {
                        return self.refuse(index, given.origins[0], trap.into());
                    }
                }
            }
        }
    }

    fn take_in(
        &mut self,
        index: NodeIndex,
        given: &Rows,
        mut output: Output,
        outputs: &mut Ports,
    ) -> Result<(), Poison> {
        let mut rejects = std::mem::take(&mut output.rejects);
        rejects.sort_by_key(|reject| reject.row);
        for reject in rejects {
            let problem = Problem { reason: reject.code, message: reject.message, backtrace: String::new() };
            self.refuse(index, given.origins[reject.row as usize], problem)?;
        }
        outputs.push(output::rows(output, given));
        Ok(())
    }
}

/// The calls of a plugin with some rows, narrowed down where they trap until one row traps alone on a fresh instance.
pub(super) struct Narrowing {
    /// Ranges of rows still to be called, the next one last, so that they come in row order. Bounded: a range is pushed only
    /// in parts or shortened, or once more whole for a fresh instance.
    pub(super) pending: Vec<Range<usize>>,
    /// A trap that no row is at fault for, so far.
    pub(super) unexplained: Option<Trap>,
}

impl Narrowing {
    pub(super) fn of(rows: usize) -> Self {
        Self { pending: Vec::from([Range { start: 0, end: rows }]), unexplained: None }
    }

    /// The call of `range` trapped, on an instance that was never called before if `fresh`: it is to be called again, in parts
    /// where it has several rows. The trap, if its one row is at fault.
    pub(super) fn trapped(&mut self, range: &Range<usize>, trap: Trap, fresh: bool) -> Option<Trap> {
        if range.len() == 1 && fresh {
            self.unexplained = None;
            return Some(trap);
        }
        if range.len() > 1 {
            narrow(&mut self.pending, range, trap.row);
        } else {
            self.pending.push(range.clone());
        }
        self.unexplained = Some(trap);
        None
    }
}

/// Cuts a range that trapped: around the row that the guest named, else in halves.
fn narrow(pending: &mut Vec<Range<usize>>, range: &Range<usize>, named: Option<u32>) {
    let named = named.map(|row| range.start + row as usize).filter(|row| range.contains(row));
    let cuts = match named {
        Some(row) => [range.start, row, row + 1, range.end],
        None => {
            let middle = range.start + range.len() / 2;
            [range.start, middle, middle, range.end]
        }
    };
    let parts = cuts.windows(2).rev().map(|cut| cut[0]..cut[1]);
    pending.extend(parts.filter(|part| !part.is_empty()));
}

impl Trap {
    /// What is told of a trap that did not come again.
    pub(super) fn retried(self) -> ReportKind {
        ReportKind::Retried { reason: self.kind.as_str().to_owned(), message: self.message }
    }
}

impl From<Trap> for Problem {
    fn from(trap: Trap) -> Self {
        Self { reason: trap.kind.as_str().to_owned(), message: trap.message, backtrace: trap.backtrace }
    }
}

impl Problem {
    pub(crate) fn not_started(message: String) -> Self {
        Self { reason: "not-started".to_owned(), message, backtrace: String::new() }
    }
}

/// Outputs of several calls, by port.
#[derive(Default)]
pub(crate) struct Ports(BTreeMap<u32, Vec<Rows>>);

impl Ports {
    pub(crate) fn push(&mut self, (rows, ports): (Rows, Option<Vec<u32>>)) {
        if rows.is_empty() {
            return;
        }
        let Some(ports) = ports else {
            self.0.entry(0).or_default().push(rows);
            return;
        };
        let mut chosen: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (row, &port) in ports.iter().enumerate() {
            chosen.entry(port).or_default().push(row as u32);
        }
        for (port, chosen) in chosen {
            self.0.entry(port).or_default().push(rows.select(&chosen));
        }
    }

    pub(crate) fn finish(self) -> Vec<(u32, Rows)> {
        self.0.into_iter().map(|(port, parts)| (port, Rows::concat(parts))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_around_the_named_row_else_in_halves() {
        let cut = |range: Range<usize>, named| {
            let mut pending = vec![];
            narrow(&mut pending, &range, named);
            pending.reverse();
            pending
        };
        assert_eq!(cut(4..8, None), [4..6, 6..8]);
        assert_eq!(cut(4..8, Some(1)), [4..5, 5..6, 6..8]);
        assert_eq!(cut(4..8, Some(0)), [4..5, 5..8]);
        assert_eq!(cut(4..8, Some(9)), [4..6, 6..8]);
        assert_eq!(cut(4..6, Some(1)), [4..5, 5..6]);
    }
}
