use weir_core::ports::{Aggregator, Folded, Groups, Trap};
use weir_core::record::{Column, Rows, Taken};

use crate::bindings::exports::weir::plugin::aggregation;
use crate::columns::{self, Gathered, lent};
use crate::manifest::Reads;
use crate::running::{Running, Scope, malformed};

/// An aggregator at work for one task. As [`Instance`](crate::Instance), after a trap it answers with traps.
pub struct AggregatorInstance {
    running: Running,
    guest: aggregation::Guest,
}

impl AggregatorInstance {
    pub(crate) fn new(running: Running, guest: aggregation::Guest) -> Self {
        Self { running, guest }
    }
}

impl Aggregator for AggregatorInstance {
    fn fold(&mut self, groups: &Groups<'_>) -> Result<Folded, Trap> {
        let scope = Scope { rows: &groups.rows, taken: groups.taken, state: None };
        let Self { running, guest } = self;
        running.run(scope, groups.rows.len(), |running, deadline| {
            let reads = running.plugin.artifact().manifest().reads;
            let times = |of: fn(&(i64, i64)) -> i64| groups.windows.as_ref().map(|all| all.iter().map(of).collect());
            let (starts, ends): (Option<Vec<i64>>, Option<Vec<i64>>) =
                (times(|window| window.0), times(|window| window.1));
            // The keys of the rows are those of their groups.
            let gathered = Gathered::new(&groups.rows, Reads { keys: false, ..reads });
            let work = aggregation::Groups {
                keys: reads.keys.then(|| lent(&groups.keys)),
                starts: starts.as_deref().map(bytemuck::cast_slice),
                ends: ends.as_deref().map(bytemuck::cast_slice),
                accumulators: lent(&groups.accumulators),
                row_ends: bytemuck::cast_slice(&groups.row_ends),
                rows: gathered.batch(),
                removals: None,
                every_row: groups.every_row,
            };
            let folded = guest.aggregator().call_fold(&mut running.store, running.resource, work);
            let folded = folded.map_err(|error| running.trap(&error, deadline))?;
            let bytes = columns::column_bytes(&folded.accumulators) + columns::reject_bytes(&folded.rejects);
            running.check_output(bytes, deadline)?;
            let wanted = if groups.every_row { groups.rows.len() } else { groups.keys.len() };
            checked(folded, wanted, groups.rows.len()).map_err(malformed)
        })
    }

    fn merge(&mut self, keys: &Column, left: &Column, right: &Column) -> Result<Column, Trap> {
        if !self.running.plugin.artifact().manifest().aggregates.merges {
            return Err(malformed(
                "sessions are to be merged, but the plugin does not declare that it merges".to_owned(),
            ));
        }
        // A merge is of no row: it has no coordinates and logs without.
        let (rows, taken) = (no_rows(), Taken::default());
        let scope = Scope { rows: &rows, taken: &taken, state: None };
        let Self { running, guest } = self;
        running.run(scope, left.len(), |running, deadline| {
            let keys = running.plugin.artifact().manifest().reads.keys.then(|| lent(keys));
            let merged =
                guest.aggregator().call_merge(&mut running.store, running.resource, keys, lent(left), lent(right));
            let merged = merged.map_err(|error| running.trap(&error, deadline))?;
            running.check_output(columns::column_bytes(&merged), deadline)?;
            let merged = columns::column("merged", merged).map_err(malformed)?;
            columns::cells("merged", merged.len(), left.len()).map_err(malformed)?;
            Ok(merged)
        })
    }
}

/// What `fold` returned as the core has it, or which part contradicts itself.
fn checked(folded: aggregation::Folded, wanted: usize, rows: usize) -> Result<Folded, String> {
    let accumulators = columns::column("accumulators", folded.accumulators)?;
    columns::cells("accumulators", accumulators.len(), wanted)?;
    let mut before = None;
    for reject in &folded.rejects {
        if reject.row as usize >= rows {
            return Err(format!("rejects: row {} of {rows}", reject.row));
        }
        if before.is_some_and(|before| reject.row <= before) {
            return Err(format!("rejects: row {} comes after row {}", reject.row, before.unwrap_or_default()));
        }
        before = Some(reject.row);
    }
    Ok(Folded { accumulators, rejects: columns::rejects(folded.rejects) })
}

fn no_rows() -> Rows {
    let none = || Column::default().into();
    Rows {
        keys: none(),
        values: none(),
        timestamps: Vec::new(),
        headers: None,
        windows: None,
        olds: None,
        origins: Vec::new(),
    }
}

impl std::fmt::Debug for AggregatorInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AggregatorInstance").field("running", &self.running).finish_non_exhaustive()
    }
}
