//! A join of two streams: each row with those of the other side that have its key and are near in time.
//!
//! As in Kafka Streams, row by row in the order in which the task took them: a row first lets go those that have waited in
//! vain ([`waiting`]), then is joined with what the other side's store shows ([`side`]), and is kept in its own side's store
//! last. No row is too late: what the other side still shows is found, whatever the row's time. What Kafka Streams keeps in
//! memory, and forgets, is in the stores here: a restart shows in no result.

mod pairs;
mod side;
mod waiting;

pub(crate) use side::SideClock;

use crate::ports::StoreError;
use crate::record::Rows;
use crate::state::TaskState;
use crate::task::sides::{Cause, Side, in_order};
use crate::task::step::{Arrived, Poison, Problem, Step};
use crate::topology::{JoinHow, NodeIndex, StreamJoin};
use pairs::Pairs;
use side::Kept;
use waiting::Waiting;

/// The joining of one batch.
struct Work<'a> {
    join: &'a StreamJoin,
    /// The rows of the left side and of the right side.
    sides: &'a [Rows; 2],
    state: &'a mut TaskState,
    kept: [Kept; 2],
    /// None: rows that find nothing are nobody's.
    waiting: Option<Waiting>,
    pairs: Pairs,
    /// Of the row in hand: times and sequence numbers of the rows that it was joined with.
    found: Vec<(i64, u64)>,
    nulls: u64,
}

impl Step<'_> {
    /// What the join at `index` makes of the rows of both sides.
    pub(crate) fn stream_join(
        &mut self,
        index: NodeIndex,
        join: &StreamJoin,
        arrived: Arrived,
    ) -> Result<Rows, Poison> {
        let sides = self.sides(index, arrived);
        let Some(some) = sides.iter().find(|rows| !rows.is_empty()) else { return Ok(Rows::default()) };
        let shared = self.state(index, some)?;
        let mut state = shared.borrow_mut();
        let mut origin = some.origins[0];
        let mut work = || -> Result<(Pairs, u64), StoreError> {
            let mut work = Work::load(join, &sides, &mut state)?;
            for cause in in_order(&sides, join.right_first) {
                origin = sides[cause.0.place()].origins[cause.1];
                work.take(cause)?;
            }
            Ok(work.finish())
        };
        let (pairs, nulls) =
            work().map_err(|error| Poison { origin, node: index, problem: Problem::of_store(&error) })?;
        drop(state);
        self.metrics(index).drop_rows("null-key-or-value", nulls);
        self.joined(index, join, pairs, &sides)
    }
}

impl<'a> Work<'a> {
    fn load(join: &'a StreamJoin, sides: &'a [Rows; 2], state: &'a mut TaskState) -> Result<Self, StoreError> {
        let retention = join.within.retention_ms();
        let kept = [Kept::load(state, join.left, retention)?, Kept::load(state, join.right, retention)?];
        let waiting = join.waiting.map(|store| Waiting::load(state, store)).transpose()?;
        Ok(Self { join, sides, state, kept, waiting, pairs: Pairs::default(), found: Vec::new(), nulls: 0 })
    }

    /// What was joined, and how many rows were dropped for a null.
    fn finish(self) -> (Pairs, u64) {
        for kept in &self.kept {
            kept.save(self.state);
        }
        if let Some(waiting) = &self.waiting {
            waiting.save(self.state);
        }
        (self.pairs, self.nulls)
    }

    /// Whether all rows of `side` are wanted, be they joined or not.
    fn wants_all(&self, side: Side) -> bool {
        match self.join.how {
            JoinHow::Inner => false,
            JoinHow::Left => side == Side::Left,
            JoinHow::Outer => true,
        }
    }

    /// How much earlier and later than a row of `side` its partners may be.
    fn around(&self, side: Side) -> (i64, i64) {
        let within = self.join.within;
        match side {
            Side::Left => (within.before_ms, within.after_ms),
            Side::Right => (within.after_ms, within.before_ms),
        }
    }

    fn take(&mut self, cause: Cause) -> Result<(), StoreError> {
        let (side, row) = cause;
        let sides = self.sides;
        let rows = &sides[side.place()];
        let at = rows.timestamps[row];
        // Rows that are dropped move time, too.
        let time = self.waiting.as_mut().map_or(i64::MAX, |waiting| waiting.moved(at));
        let (key, value) = match (rows.keys.get(row), rows.values.get(row)) {
            (Some(key), Some(value)) => (key, value),
            (None, Some(value)) if self.wants_all(side) => {
                self.pairs.alone(side, None, value, at, cause);
                return Ok(());
            }
            _ => {
                self.nulls += 1;
                return Ok(());
            }
        };
        // What comes behind stream time closes nothing.
        if at == time {
            self.close(cause)?;
        }
        let (before, after) = self.around(side);
        let until = at.wrapping_add(after).max(0);
        let found = self.find(cause, (key, value), (at.wrapping_sub(before).max(0), until))?;
        if !found && self.wants_all(side) {
            match &mut self.waiting {
                Some(waiting) if until >= time => {
                    let sequence = self.kept[side.place()].next_sequence();
                    waiting.add(self.state, (at, side, key, sequence), value);
                }
                // Behind: nobody waits for its partners, although one may still come.
                _ => self.pairs.alone(side, Some(key), value, at, cause),
            }
        }
        self.kept[side.place()].put(self.state, key, at, value);
        Ok(())
    }

    /// Joins a row with what the other side shows of its key in `from..=until`. False: there is nothing.
    fn find(
        &mut self,
        cause: Cause,
        (key, value): (&[u8], &[u8]),
        (from, until): (i64, i64),
    ) -> Result<bool, StoreError> {
        let other = cause.0.other();
        let at = self.sides[cause.0.place()].timestamps[cause.1];
        let (pairs, found) = (&mut self.pairs, &mut self.found);
        found.clear();
        self.kept[other.place()].find(self.state, key, (from, until), |partner, sequence, partners| {
            pairs.both(cause, key, (value, partners), at.max(partner));
            found.push((partner, sequence));
        })?;
        let waited = self.wants_all(other);
        if let Some(waiting) = self.waiting.as_mut().filter(|_| waited) {
            for &(partner, sequence) in &self.found {
                waiting.remove(self.state, (partner, other, key, sequence))?;
            }
        }
        Ok(!self.found.is_empty())
    }

    /// Lets the rows go that have waited in vain, once the row of `cause` is there.
    fn close(&mut self, cause: Cause) -> Result<(), StoreError> {
        let (_, after) = self.around(cause.0);
        let (within, pairs) = (self.join.within, &mut self.pairs);
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        waiting.close(self.state, within, after, |side, key, value, at| pairs.alone(side, Some(key), value, at, cause))
    }
}
