//! A whole batch folded by a plugin in one call: what a call costs is paid once. For aggregates without windows and over
//! tumbling and hopping ones, where what a row adds to does not depend on what the rows before it made.
//!
//! Only when all of it is well: where the plugin traps or refuses a row, nothing was written and the rows go one by one.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::fold::Span;
use super::results::stored;
use super::time::starts;
use super::{Fault, Refused, Work};
use crate::ports::Groups;
use crate::record::Column;
use crate::state::keys;
use crate::topology::WindowKind;

/// Rows of one key and window.
struct Group {
    /// The row that its key is taken from.
    first: usize,
    window: Span,
    rows: Vec<u32>,
    is_new: bool,
    /// Of the newest row so far, before the batch.
    at: Option<i64>,
}

/// What the rows of a batch go into.
#[derive(Default)]
struct Plan {
    /// By place in the store, in the order in which the rows meet them.
    groups: IndexMap<Box<[u8]>, Group, FxBuildHasher>,
    /// Of each fold in row order: its row, its group, and its place among the group's rows.
    folds: Vec<(usize, usize, usize)>,
}

/// Whether aggregates over such windows can be folded in groups.
fn is_possible(kind: Option<WindowKind>) -> bool {
    matches!(kind, None | Some(WindowKind::Hopping { .. }))
}

impl<'a> Work<'a> {
    /// Folds the whole batch; false: nothing was done, the rows are to go one by one.
    pub(super) fn take_all(&mut self, refused: &mut Refused) -> Result<bool, Fault> {
        if !self.fold.takes_groups() || !is_possible(self.kind()) || self.rows.len() < 2 {
            return Ok(false);
        }
        let before = self.clock;
        let mut planned = Refused::default();
        let plan = self.plan(&mut planned)?;
        if plan.folds.is_empty() {
            *refused = planned;
            return Ok(true);
        }
        let every_row = self.results.emits_updates();
        let groups = self.groups(&plan, every_row)?;
        let Some(accumulators) = self.fold.add_all(&groups)? else {
            self.clock = before;
            return Ok(false);
        };
        self.keep(&plan, &accumulators, every_row);
        self.emit(&plan, &accumulators, every_row);
        self.close_all(before)?;
        *refused = planned;
        Ok(true)
    }

    /// Which row goes into which groups. The clock goes on; nothing is written.
    fn plan(&mut self, refused: &mut Refused) -> Result<Plan, Fault> {
        let mut plan = Plan::default();
        let mut place = Vec::new();
        for row in 0..self.rows.len() {
            let Some(key) = self.rows.keys.get(row) else {
                refused.nulls += 1;
                continue;
            };
            let at = self.rows.timestamps[row];
            let Some(WindowKind::Hopping { size_ms, advance_ms }) = self.kind() else {
                if self.rows.values.get(row).is_none() {
                    refused.nulls += 1;
                    continue;
                }
                self.clock.stream = self.clock.stream.max(at);
                place.clear();
                place.push(keys::DATA);
                place.extend_from_slice(key);
                self.plan_one(&mut plan, &place, row, None)?;
                continue;
            };
            self.clock.stream = self.clock.stream.max(at);
            let close_time = self.clock.stream.saturating_sub(self.grace());
            let (mut folded, mut dropped) = (0, 0);
            for start in starts(at, size_ms, advance_ms) {
                let end = start.saturating_add(size_ms);
                if end <= close_time {
                    dropped += 1;
                    continue;
                }
                keys::write_window(&mut place, key, start);
                self.plan_one(&mut plan, &place, row, Some((start, end)))?;
                self.wrote(start);
                folded += 1;
            }
            refused.late_windows += dropped;
            if dropped > 0 && folded == 0 {
                refused.late.push(row as u32);
            }
        }
        Ok(plan)
    }

    fn plan_one(&mut self, plan: &mut Plan, place: &[u8], row: usize, window: Span) -> Result<(), Fault> {
        let index = match plan.groups.get_index_of(place) {
            Some(index) => index,
            None => {
                let found = self.state.get(self.aggregate.store, place)?.and_then(stored);
                let at = found.map(|(at, _)| at);
                let group = Group { first: row, window, rows: Vec::new(), is_new: at.is_none(), at };
                plan.groups.insert_full(place.into(), group).0
            }
        };
        let rows = &mut plan.groups[index].rows;
        plan.folds.push((row, index, rows.len()));
        rows.push(row as u32);
        Ok(())
    }

    fn groups(&mut self, plan: &Plan, every_row: bool) -> Result<Groups<'a>, Fault> {
        let (mut keys, mut accumulators) = (Column::default(), Column::default());
        let (mut row_ends, mut order) = (Vec::with_capacity(plan.groups.len()), Vec::with_capacity(plan.folds.len()));
        for (place, group) in &plan.groups {
            keys.push(self.rows.keys.get(group.first));
            let found = self.state.get(self.aggregate.store, place)?.and_then(stored);
            accumulators.push(found.map(|(_, accumulator)| accumulator));
            order.extend_from_slice(&group.rows);
            row_ends.push(order.len() as u32);
        }
        let windows: Option<Vec<(i64, i64)>> = plan.groups.values().map(|group| group.window).collect();
        Ok(Groups {
            keys,
            windows,
            accumulators,
            row_ends,
            rows: self.rows.select(&order),
            taken: self.taken_from,
            every_row,
        })
    }

    /// Keeps the last accumulator of each group.
    fn keep(&mut self, plan: &Plan, accumulators: &Column, every_row: bool) {
        let mut value = Vec::new();
        let mut end = 0;
        for (index, (place, group)) in plan.groups.iter().enumerate() {
            end += group.rows.len();
            let last = accumulators.get(if every_row { end - 1 } else { index });
            let times = group.rows.iter().map(|&row| self.rows.timestamps[row as usize]);
            let at = times.chain(group.at).max().unwrap_or_default();
            match last {
                None => self.state.put(self.aggregate.store, place, None),
                Some(accumulator) => {
                    super::results::store(&mut value, at, accumulator);
                    self.state.put(self.aggregate.store, place, Some(&value));
                }
            }
            if let Some((start, _)) = group.window.filter(|_| group.is_new)
                && let Some(key) = self.rows.keys.get(group.first)
            {
                self.opened(start, key);
            }
        }
    }

    /// A result for each row and window, in their order.
    fn emit(&mut self, plan: &Plan, accumulators: &Column, every_row: bool) {
        if !every_row {
            return;
        }
        let mut begins = Vec::with_capacity(plan.groups.len());
        let mut begin = 0;
        for group in plan.groups.values() {
            begins.push(begin);
            begin += group.rows.len();
        }
        let mut newest: Vec<Option<i64>> = plan.groups.values().map(|group| group.at).collect();
        for &(row, group, ordinal) in &plan.folds {
            let at = newest[group].map_or(self.rows.timestamps[row], |at| at.max(self.rows.timestamps[row]));
            newest[group] = Some(at);
            let value = accumulators.get(begins[group] + ordinal).and_then(|bytes| self.fold.result(bytes));
            self.results.update(row, value, at, plan.groups[group].window);
        }
    }

    /// Emits what the rows have closed, each row what it has: a window takes nothing from the rows after.
    fn close_all(&mut self, before: super::NodeClock) -> Result<(), Fault> {
        let Some(WindowKind::Hopping { size_ms, .. }) = self.kind().filter(|_| self.emits_on_close()) else {
            return Ok(());
        };
        let mut stream = before.stream;
        for row in 0..self.rows.len() {
            if self.rows.keys.get(row).is_none() {
                continue;
            }
            stream = stream.max(self.rows.timestamps[row]);
            let close_time = stream.saturating_sub(self.grace());
            self.emit_closed(row, close_time, close_time.saturating_sub(size_ms), size_ms)?;
        }
        Ok(())
    }
}
