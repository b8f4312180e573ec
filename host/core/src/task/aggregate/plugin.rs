//! Folds by an `aggregator` plugin, a call for each batch or, where that fails and for sliding and session windows, for each
//! row and window. A row that traps on a fresh instance is at fault.

use super::Fault;
use super::fold::{Fold, Span};
use crate::ports::{Aggregator, Folded, Groups, ProcessorSupplier, Trap, TrapKind};
use crate::record::{Column, Rows, Taken};
use crate::task::instances::Instances;
use crate::task::step::{Problem, Scope};
use crate::topology::NodeIndex;

pub(super) struct PluginFold<'s> {
    node: NodeIndex,
    instances: &'s mut Instances,
    supplier: &'s mut dyn ProcessorSupplier,
    taken: &'s Taken,
    rows: &'s Rows,
    trap: Option<Trap>,
}

/// How a call ended that gave no accumulators.
enum Failure {
    Trapped(Trap),
    NoInstance(Problem),
}

impl<'s> PluginFold<'s> {
    pub(super) fn new(node: NodeIndex, scope: &'s mut Scope<'_>, rows: &'s Rows) -> Self {
        Self { node, instances: scope.instances, supplier: scope.supplier, taken: scope.taken, rows, trap: None }
    }

    /// The last trap, if there was one.
    pub(super) fn finish(self) -> Option<Trap> {
        self.trap
    }

    /// Calls the instance; once more on a fresh one where it trapped and had been called before.
    fn call<T>(&mut self, work: impl Fn(&mut dyn Aggregator) -> Result<T, Trap>) -> Result<T, Fault> {
        loop {
            match self.try_call(&work) {
                Ok(done) => return Ok(done),
                Err((Failure::NoInstance(problem), _)) => return Err(Fault::Stop(problem)),
                Err((Failure::Trapped(trap), fresh)) => {
                    self.instances.discard(self.node);
                    self.trap = Some(trap.clone());
                    if fresh {
                        return Err(Fault::Row(trap.into()));
                    }
                }
            }
        }
    }

    fn try_call<T>(&mut self, work: impl Fn(&mut dyn Aggregator) -> Result<T, Trap>) -> Result<T, (Failure, bool)> {
        match self.instances.borrow::<dyn Aggregator>(self.node, self.supplier) {
            Some(Ok(borrowed)) => {
                let fresh = borrowed.fresh;
                work(borrowed.plugin).map_err(|trap| (Failure::Trapped(trap), fresh))
            }
            Some(Err(fault)) => Err((Failure::NoInstance(Problem::not_started(fault.to_string())), true)),
            None => {
                let problem = Problem::not_started("no aggregator is deployed at this node".to_owned());
                Err((Failure::NoInstance(problem), true))
            }
        }
    }
}

impl Fold for PluginFold<'_> {
    fn begin(&mut self, _: usize) -> Result<(), Problem> {
        Ok(())
    }

    fn add(
        &mut self,
        row: usize,
        key: &[u8],
        window: Span,
        accumulator: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let groups = Groups {
            keys: one(Some(key)),
            windows: window.map(|window| vec![window]),
            accumulators: one(accumulator),
            row_ends: vec![1],
            rows: self.rows.select(&[row as u32]),
            taken: self.taken,
            every_row: false,
        };
        let folded = self.call(|plugin| plugin.fold(&groups).and_then(|folded| checked(folded, 1)))?;
        if let Some(reject) = folded.rejects.into_iter().next() {
            return Err(Fault::Row(Problem { reason: reject.code, message: reject.message, ..Problem::default() }));
        }
        Ok(folded.accumulators.get(0).map(<[u8]>::to_vec))
    }

    fn add_all(&mut self, groups: &Groups<'_>) -> Result<Option<Column>, Fault> {
        let wanted = if groups.every_row { groups.rows.len() } else { groups.row_ends.len() };
        match self.try_call(|plugin| plugin.fold(groups).and_then(|folded| checked(folded, wanted))) {
            Ok(folded) if folded.rejects.is_empty() => Ok(Some(folded.accumulators)),
            Ok(_) => Ok(None),
            Err((Failure::NoInstance(problem), _)) => Err(Fault::Stop(problem)),
            Err((Failure::Trapped(trap), _)) => {
                self.instances.discard(self.node);
                self.trap = Some(trap);
                Ok(None)
            }
        }
    }

    fn takes_groups(&self) -> bool {
        true
    }

    fn merge(&mut self, key: &[u8], left: &[u8], right: &[u8]) -> Result<Vec<u8>, Fault> {
        let (keys, left, right) = (one(Some(key)), one(Some(left)), one(Some(right)));
        let merged = self.call(|plugin| {
            let merged = plugin.merge(&keys, &left, &right)?;
            if merged.len() == 1 { Ok(merged) } else { Err(malformed(merged.len(), 1)) }
        })?;
        Ok(merged.get(0).unwrap_or_default().to_vec())
    }

    fn result(&self, accumulator: &[u8]) -> Option<Vec<u8>> {
        Some(accumulator.to_vec())
    }
}

fn one(cell: Option<&[u8]>) -> Column {
    [cell].into_iter().collect()
}

fn checked(folded: Folded, wanted: usize) -> Result<Folded, Trap> {
    let given = folded.accumulators.len();
    if given != wanted {
        return Err(malformed(given, wanted));
    }
    Ok(folded)
}

fn malformed(given: usize, wanted: usize) -> Trap {
    let message = format!("it returned {given} accumulators for {wanted}");
    Trap { kind: TrapKind::Malformed, message, backtrace: String::new(), row: None }
}
