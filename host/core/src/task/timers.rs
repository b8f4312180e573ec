//! Timers of plugins: rows of the node's store, one by name and one in an index by the time at which it is due.
//!
//! A timer of stream time that is due fires before the row that brings that time is taken; rows are cut there, so that a
//! batch comes to the same end as its rows one by one.

use std::ops::Bound;

use crate::ports::KeyRange;
use crate::record::{Column, Rows};
use crate::state::{TIMER_STREAM, TIMER_WALL, keys};
use crate::task::call::Ports;
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{NodeIndex, StoreIndex};

/// Times for which a node's timers fire in one step. Who sets a timer from a timer for a time already past would go on for
/// ever.
const FIRINGS_MAX: usize = 100_000;

/// Timers of one time that one call gets.
const TIMERS_PER_CALL_MAX: usize = 10_000;

impl Step<'_> {
    /// [`Step::process`] for a node with timers.
    pub(crate) fn process_timed(
        &mut self,
        index: NodeIndex,
        timers: StoreIndex,
        rows: &Rows,
    ) -> Result<Vec<(u32, Rows)>, Poison> {
        let mut outputs = Ports::default();
        let (mut next, mut last_origin) = (0, 0);
        for _ in 0..rows.len() + FIRINGS_MAX {
            let due = self.first_due(index, timers, TIMER_STREAM)?;
            let reaches =
                |row: &usize| due.is_some_and(|due| self.scope.taken.stream_times[rows.origins[*row] as usize] >= due);
            let cut = (next..rows.len()).find(reaches).unwrap_or(rows.len());
            if cut > next {
                let some: Vec<u32> = (next as u32..cut as u32).collect();
                let some = if next == 0 && cut == rows.len() { rows.clone() } else { rows.select(&some) };
                next += self.process_some(index, &some, &mut outputs)?;
                last_origin = rows.origins[next - 1];
                continue;
            }
            let stream_times = &self.scope.taken.stream_times;
            let Some(due) = due else { return Ok(outputs.finish()) };
            let reached = stream_times.partition_point(|&time| time < due);
            if reached == stream_times.len() {
                return Ok(outputs.finish());
            }
            // A timer that was set for a time already past fires after the row that set it.
            let origin = last_origin.max(reached as u32);
            self.fire_at(index, timers, (TIMER_STREAM, due), origin, &mut outputs)?;
        }
        Err(self.too_many_firings(index))
    }

    /// Fires the timers at `index` that are due by the host's clock; says whether there were any.
    pub(crate) fn fire_overdue(
        &mut self,
        index: NodeIndex,
        timers: StoreIndex,
    ) -> Result<Option<Vec<(u32, Rows)>>, Poison> {
        let mut outputs = Ports::default();
        let now = self.scope.now_ms;
        for firing in 0..FIRINGS_MAX {
            let due = self.first_due(index, timers, TIMER_WALL)?.filter(|&due| due <= now);
            let Some(due) = due else {
                return Ok((firing > 0).then(|| outputs.finish()));
            };
            self.fire_at(index, timers, (TIMER_WALL, due), 0, &mut outputs)?;
        }
        Err(self.too_many_firings(index))
    }

    fn first_due(&self, index: NodeIndex, timers: StoreIndex, clock: u8) -> Result<Option<i64>, Poison> {
        let first = self.timers(index, timers, KeyRange::prefix(&[clock]), 1)?;
        Ok(first.first().and_then(|(row, _)| keys::split_by_time(row)).map(|(due, ..)| due))
    }

    fn timers(
        &self,
        index: NodeIndex,
        timers: StoreIndex,
        range: KeyRange,
        limit: usize,
    ) -> Result<crate::ports::Entries, Poison> {
        let state = self.state(index, &Rows::default())?;
        let read = state.borrow_mut().range(timers, &range, limit, false);
        read.map_err(|error| Poison { origin: 0, node: index, problem: Problem::of_store(&error) })
    }

    /// Fires all timers of one clock and time together.
    fn fire_at(
        &mut self,
        index: NodeIndex,
        timers: StoreIndex,
        (clock, due): (u8, i64),
        origin: u32,
        outputs: &mut Ports,
    ) -> Result<(), Poison> {
        let upper = due
            .checked_add(1)
            .map_or(Bound::Excluded(vec![clock + 1]), |next| Bound::Excluded(keys::from_time(clock, next)));
        let range = KeyRange { lower: Bound::Included(keys::from_time(clock, due)), upper };
        let rows = self.timers(index, timers, range, TIMERS_PER_CALL_MAX)?;
        let names: Vec<Vec<u8>> = rows.iter().filter_map(|(row, _)| Some(keys::split_by_time(row)?.1)).collect();
        let state = self.state(index, &Rows::default())?;
        for (row, name) in rows.iter().zip(&names) {
            let mut state = state.borrow_mut();
            state.put(timers, &row.0, None);
            state.put(timers, &keys::key_value(name), None);
        }
        let fired: Column = names.iter().map(|name| Some(&name[..])).collect();
        let values: Column = names.iter().map(|_| None).collect();
        let given = Rows {
            keys: fired.into(),
            values: values.into(),
            timestamps: vec![due; names.len()],
            headers: None,
            windows: None,
            olds: None,
            origins: vec![origin; names.len()],
        };
        self.fire(index, &given, outputs)
    }

    fn too_many_firings(&self, index: NodeIndex) -> Poison {
        let message = format!(
            "timers fired for {FIRINGS_MAX} times in one step and more are due: a timer that sets a timer must set it for \
             later than now"
        );
        let problem = Problem { reason: "weir.timers".to_owned(), message, backtrace: String::new() };
        Poison { origin: 0, node: index, problem }
    }
}
