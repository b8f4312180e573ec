//! Event time by the plugin of a source. It is asked once for each row, before rows are put in order among partitions; what it
//! says is kept with them, so that the step meets a row without a time when its turn has come.

use std::collections::BTreeMap;
use std::ops::Range;

use super::call::Narrowing;
use super::group::Untimed;
use super::instances::Instances;
use super::map::NO_TIME;
use super::metrics::NodeMetrics;
use super::step::{Poison, Problem, Step};
use super::{Environment, Task};
use crate::ports::{Call, Extracted, Extractor, ProcessorSupplier, Trap, TrapKind};
use crate::record::Rows;
use crate::thread::Report;
use crate::topology::{ErrorPolicy, NodeIndex};

/// Why a row has no time.
#[derive(Clone, Debug)]
pub(crate) enum NoTime {
    /// The row's fault: its source's policy decides.
    Row(Problem),
    /// Not the row's: there is no instance to ask, and the task stops here.
    Stop(Problem),
}

/// The times of the first of the rows that were asked for, at least of one.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) timestamps: Vec<i64>,
    /// By the row's number among them.
    pub(crate) missing: BTreeMap<usize, NoTime>,
}

impl Task {
    /// Has the plugins of sources find the times of the rows that may come next. Reports what had to be tried again.
    pub(super) fn find_times(&mut self, rows_max: usize, environment: &mut Environment<'_>) -> Vec<Report> {
        let mut reports = Vec::new();
        // Bounded: each turn gives a time to the head of one partition.
        while let Some(untimed) = self.group.untimed(rows_max) {
            let topic = &untimed.taken.partitions[0].topic;
            let index = environment.topology.source_of(self.id.subtopology, topic);
            let node = environment.topology.node(index);
            let search = Search {
                node: index,
                instances: &mut self.instances,
                supplier: environment.supplier,
                metrics: &mut environment.metrics[index.0],
                ends_at_first: node.on_error == ErrorPolicy::Fail,
            };
            let (times, unexplained) = search.run(&untimed);
            self.group.timed(&untimed, times);
            reports.extend(unexplained.map(|trap| Report {
                task: self.id,
                node: node.name.clone(),
                version: self.instances.version(index).cloned(),
                at: None,
                kind: trap.retried(),
            }));
        }
        reports
    }
}

impl Step<'_> {
    /// The rows of source `index` without those that its plugin found no time for, by their origin.
    pub(crate) fn with_times(
        &mut self,
        index: NodeIndex,
        rows: Rows,
        missing: &BTreeMap<u32, NoTime>,
    ) -> Result<Rows, Poison> {
        if missing.is_empty() {
            return Ok(rows);
        }
        let mut found = Vec::with_capacity(rows.len());
        for (row, &origin) in rows.origins.iter().enumerate() {
            match missing.get(&origin) {
                None => found.push(row as u32),
                Some(NoTime::Row(problem)) => self.refuse(index, origin, problem.clone())?,
                Some(NoTime::Stop(problem)) => {
                    return Err(Poison { origin, node: index, problem: problem.clone() });
                }
            }
        }
        // The others came in, too.
        self.metrics(index).rows_in += (rows.len() - found.len()) as u64;
        Ok(rows.select(&found))
    }
}

/// A search for the times of some rows: as a `process` node's calls, narrowed down to the row that traps on a fresh instance.
struct Search<'s> {
    node: NodeIndex,
    instances: &'s mut Instances,
    supplier: &'s mut dyn ProcessorSupplier,
    metrics: &'s mut NodeMetrics,
    /// The task stops at the first row without a time: those behind it come again.
    ends_at_first: bool,
}

/// How a call ended that found no times.
enum Failure {
    /// It trapped; on an instance that was never called before?
    Trapped { trap: Trap, fresh: bool },
    /// There is no instance to call.
    Stopped(Problem),
}

impl Search<'_> {
    /// The times, and a trap that did not come again.
    fn run(mut self, untimed: &Untimed) -> (Times, Option<Trap>) {
        let mut calls = Narrowing::of(untimed.rows.len());
        let mut times = Times::default();
        while let Some(range) = calls.pending.pop() {
            match self.call(untimed, &range) {
                Ok((given, extracted)) => times.add(&given, extracted),
                Err(Failure::Trapped { trap, fresh }) => {
                    self.metrics.trap(trap.kind.as_str());
                    self.instances.discard(self.node);
                    if let Some(trap) = calls.trapped(&range, trap, fresh) {
                        times.lacks(NoTime::Row(trap.into()));
                    }
                }
                Err(Failure::Stopped(problem)) => {
                    times.lacks(NoTime::Stop(problem));
                    break;
                }
            }
            if self.ends_at_first && !times.missing.is_empty() {
                break;
            }
        }
        (times, calls.unexplained)
    }

    fn call(&mut self, untimed: &Untimed, range: &Range<usize>) -> Result<(Rows, Extracted), Failure> {
        let given = untimed.rows.slice(range.clone());
        let borrowed = match self.instances.borrow::<dyn Extractor>(self.node, self.supplier) {
            Some(Ok(borrowed)) => borrowed,
            Some(Err(fault)) => return Err(Failure::Stopped(Problem::not_started(fault.to_string()))),
            None => {
                let message = "no plugin is deployed that finds the times of this source".to_owned();
                return Err(Failure::Stopped(Problem::not_started(message)));
            }
        };
        let fresh = borrowed.fresh;
        let call = Call { rows: &given, taken: &untimed.taken, state: None };
        let checked = borrowed.plugin.extract(&call).and_then(|extracted| check(extracted, given.len()));
        match checked {
            Ok(extracted) => Ok((given, extracted)),
            Err(trap) => Err(Failure::Trapped { trap, fresh }),
        }
    }
}

/// What a call returned, held against its `count` rows.
fn check(extracted: Extracted, count: usize) -> Result<Extracted, Trap> {
    let malformed =
        |message: String| Err(Trap { kind: TrapKind::Malformed, message, backtrace: String::new(), row: None });
    let cells = extracted.timestamps.as_ref().map_or(count, Vec::len);
    if cells != count {
        return malformed(format!("`timestamps` has {cells} cells for {count} rows"));
    }
    if let Some(reject) = extracted.rejects.iter().find(|reject| reject.row as usize >= count) {
        return malformed(format!("a reject names row {}, but there are {count} rows", reject.row));
    }
    Ok(extracted)
}

impl Times {
    /// Adds what a call for the next rows, `given`, returned.
    fn add(&mut self, given: &Rows, extracted: Extracted) {
        let first = self.timestamps.len();
        self.timestamps.extend(extracted.timestamps.as_ref().unwrap_or(&given.timestamps));
        for (row, at) in self.timestamps.iter().enumerate().skip(first).filter(|(_, at)| **at < 0) {
            let message = format!("the plugin's {at} is no time: whole milliseconds since 1970 are");
            let problem = Problem { reason: "weir.timestamp".to_owned(), message, backtrace: String::new() };
            self.missing.insert(row, NoTime::Row(problem));
        }
        for reject in extracted.rejects {
            let problem = Problem { reason: reject.code, message: reject.message, backtrace: String::new() };
            self.missing.insert(first + reject.row as usize, NoTime::Row(problem));
        }
        for row in self.missing.range(first..).map(|(row, _)| *row) {
            self.timestamps[row] = NO_TIME;
        }
    }

    /// The next row has none.
    fn lacks(&mut self, why: NoTime) {
        self.missing.insert(self.timestamps.len(), why);
        self.timestamps.push(NO_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Reject;
    use crate::record::RecordBatch;

    fn given() -> Rows {
        let mut batch = RecordBatch::default();
        [5, -1, 7].iter().for_each(|&at| batch.push(0, at, None, Some(b"v"), &[]));
        Rows::from_batch(batch)
    }

    fn reject(row: u32) -> Reject {
        Reject { row, code: "c".into(), message: "m".into() }
    }

    #[test]
    fn times_that_are_not_the_rows_are_malformed() {
        for (extracted, message) in [
            (Extracted { timestamps: Some(vec![1, 2]), rejects: vec![] }, "`timestamps` has 2 cells for 3 rows"),
            (Extracted { timestamps: None, rejects: vec![reject(3)] }, "a reject names row 3, but there are 3 rows"),
        ] {
            let trap = check(extracted, 3).unwrap_err();
            assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Malformed, message));
        }
    }

    #[test]
    fn a_row_that_is_rejected_or_before_1970_has_no_time_and_the_others_have_theirs() {
        let reasons = |times: &Times| -> Vec<(usize, String)> {
            let reason = |why: &NoTime| match why {
                NoTime::Row(problem) | NoTime::Stop(problem) => problem.reason.clone(),
            };
            times.missing.iter().map(|(row, why)| (*row, reason(why))).collect()
        };
        let mut times = Times::default();
        times.add(&given(), Extracted { timestamps: Some(vec![10, 11, -3]), rejects: vec![reject(1)] });
        assert_eq!(times.timestamps, [10, NO_TIME, NO_TIME]);
        assert_eq!(reasons(&times), [(1, "c".to_owned()), (2, "weir.timestamp".to_owned())]);
        times.add(&given(), Extracted::default());
        assert_eq!(times.timestamps[3..], [5, NO_TIME, 7]);
        assert_eq!(reasons(&times)[2], (4, "weir.timestamp".to_owned()));
    }
}
