//! Calling a plugin: a trap is narrowed down to the row that traps alone on a fresh instance, and only that row is at fault.
//!
//! A call is a savepoint within the step: it leaves its output at its end or nothing, so only the calls of one node are
//! repeated, and what other nodes did in the step stands.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ports::{Call, Output, Trap};
use crate::record::Rows;
use crate::task::output;
use crate::task::step::{Poison, Problem, Step};
use crate::thread::ReportKind;
use crate::topology::NodeIndex;

/// How a call ended that did not return rows.
enum Failure {
    /// It trapped; on an instance that was never called before?
    Trapped { trap: Trap, fresh: bool },
    /// There is no instance to call.
    NoInstance(Problem),
}

impl Step<'_> {
    /// The outputs of the plugin at `index` for `rows`, by port, in row order.
    pub(crate) fn process(&mut self, index: NodeIndex, rows: &Rows) -> Result<Vec<(u32, Rows)>, Poison> {
        let mut outputs = Ports::default();
        // Ranges of rows still to be called, the next one last. Bounded: a range is pushed only in parts or shortened,
        // or once more whole for a fresh instance.
        let mut pending = Vec::from([Range { start: 0, end: rows.len() }]);
        let mut unexplained: Option<Trap> = None;
        while let Some(range) = pending.pop() {
            match self.call(index, rows, &range) {
                Ok((given, output, taken)) => {
                    if taken < range.len() {
                        pending.push(range.start + taken..range.end);
                    }
                    self.take_in(index, &given, output, &mut outputs)?;
                }
                Err(Failure::Trapped { trap, fresh }) => {
                    self.metrics(index).trap(trap.kind.as_str());
                    self.scope.instances.discard(index);
                    if range.len() > 1 {
                        narrow(&mut pending, &range, trap.row);
                        unexplained = Some(trap);
                    } else if !fresh {
                        pending.push(range);
                        unexplained = Some(trap);
                    } else {
                        unexplained = None;
                        self.refuse(index, rows.origins[range.start], trap.into())?;
                    }
                }
                Err(Failure::NoInstance(problem)) => {
                    // Not the row's fault, so no policy: the task stops here until there is a version that starts.
                    return Err(Poison { origin: rows.origins[range.start], node: index, problem });
                }
            }
        }
        if let Some(trap) = unexplained {
            let kind = ReportKind::Retried { reason: trap.kind.as_str().to_owned(), message: trap.message };
            self.report(index, None, kind);
        }
        Ok(outputs.finish())
    }

    fn call(&mut self, index: NodeIndex, rows: &Rows, range: &Range<usize>) -> Result<(Rows, Output, usize), Failure> {
        let given = if *range == (0..rows.len()) {
            rows.clone()
        } else {
            rows.select(&(range.start as u32..range.end as u32).collect::<Vec<_>>())
        };
        let scope = &mut self.scope;
        let borrowed = match scope.instances.borrow(index, scope.supplier) {
            Some(Ok(borrowed)) => borrowed,
            Some(Err(fault)) => return Err(Failure::NoInstance(Problem::not_started(fault.to_string()))),
            None => {
                let node = &scope.topology.node(index).name;
                return Err(Failure::NoInstance(Problem::not_started(format!(
                    "no plugin is deployed at node `{node}`"
                ))));
            }
        };
        let fresh = borrowed.fresh;
        let result = borrowed.processor.process(&Call { rows: &given, taken: scope.taken, state: None });
        let checked = result.and_then(|output| {
            let taken = output::check(&output, given.len())?;
            Ok((output, taken))
        });
        match checked {
            Ok((output, taken)) => Ok((given, output, taken)),
            Err(trap) => Err(Failure::Trapped { trap, fresh }),
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

impl From<Trap> for Problem {
    fn from(trap: Trap) -> Self {
        Self { reason: trap.kind.as_str().to_owned(), message: trap.message, backtrace: trap.backtrace }
    }
}

impl Problem {
    fn not_started(message: String) -> Self {
        Self { reason: "not-started".to_owned(), message, backtrace: String::new() }
    }
}

/// Outputs of several calls, by port.
#[derive(Default)]
struct Ports(BTreeMap<u32, Vec<Rows>>);

impl Ports {
    fn push(&mut self, (rows, ports): (Rows, Option<Vec<u32>>)) {
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

    fn finish(self) -> Vec<(u32, Rows)> {
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
