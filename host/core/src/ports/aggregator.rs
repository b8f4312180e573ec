use super::{Reject, Trap};
use crate::record::{Column, Rows, Taken};

/// The plugin of an aggregate node, for one task: folds rows into accumulators. The host finds the windows and reads and
/// writes the store.
pub trait Aggregator {
    /// Folds each group's rows, in order, into its accumulator.
    ///
    /// # Errors
    /// [`Trap`]: the call has left nothing, and the instance is not to be called again.
    fn fold(&mut self, groups: &Groups<'_>) -> Result<Folded, Trap>;

    /// The accumulators of merged sessions: cell `i` of `left`, the earlier one, with cell `i` of `right`.
    ///
    /// # Errors
    /// [`Trap`]; a plugin that does not declare that it merges is refused at a session window before.
    fn merge(&mut self, keys: &Column, left: &Column, right: &Column) -> Result<Column, Trap>;
}

/// The work of one call of [`Aggregator::fold`]. A row that is in several windows is in several groups.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    /// The key of each group.
    pub keys: Column,
    /// The window of each group, start and end in milliseconds since 1970 UTC; none: no windows.
    pub windows: Option<Vec<(i64, i64)>>,
    /// What each group has so far; null: nothing yet.
    pub accumulators: Column,
    /// Group `g` owns the rows `row_ends[g-1]..row_ends[g]`, with `row_ends[-1] = 0`.
    pub row_ends: Vec<u32>,
    /// The rows, group by group.
    pub rows: Rows,
    /// Where the rows came from.
    pub taken: &'a Taken,
    /// One accumulator for each row (emit on update) instead of one for each group.
    pub every_row: bool,
}

/// What [`Aggregator::fold`] returned, columns checked, counts not yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// One for each group, or for each row where [`Groups::every_row`]; null deletes. A rejected row's cell repeats what was
    /// before it.
    pub accumulators: Column,
    /// Rows that the plugin refuses, for the node's error policy; each has left the accumulator as it was.
    pub rejects: Vec<Reject>,
}
