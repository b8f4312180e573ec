//! Tables joined with tables of the same keys: a change of one side is joined with what the other side holds.

use super::changes::{Changes, Held, prefetch};
use super::join::joined;
use crate::ports::StoreError;
use crate::record::{Column, Rows};
use crate::task::sides::{Cause, Side, in_order};
use crate::task::step::{Arrived, Poison, Problem, Step};
use crate::topology::{JoinHow, NodeIndex, TableJoin};

/// The left and the right value of a joined row.
type Sides = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A change that a join sends on: of a row of one side, with both values to be joined; none: the joined row is gone.
struct Change {
    cause: Cause,
    values: Option<Sides>,
    timestamp: i64,
}

impl Step<'_> {
    /// The changes of the joined table. Their timestamps are the later one of both sides.
    pub(crate) fn join_tables(&mut self, index: NodeIndex, join: &TableJoin, arrived: Arrived) -> Result<Rows, Poison> {
        let sides = self.sides(index, arrived);
        let Some(some) = sides.iter().find(|rows| !rows.is_empty()) else { return Ok(Rows::default()) };
        let changes = self.changes_of(index, join, &sides, some)?;
        let lefts = changes.iter().map(|change| change.values.as_ref().and_then(|(left, _)| left.as_deref()));
        let order: Vec<(usize, usize)> =
            changes.iter().map(|Change { cause: (side, row), .. }| (side.place(), *row)).collect();
        // What a joiner reads of a row is the left side's, but for its key and headers, which both have.
        let rows = Rows {
            values: lefts.collect::<Column>().into(),
            timestamps: changes.iter().map(|change| change.timestamp).collect(),
            olds: None,
            windows: None,
            ..Rows::gather(&sides, &order)
        };
        self.with_values(index, &rows, |row| match &changes[row].values {
            None => Ok(None),
            Some((_, right)) => joined(&join.value, &rows, row, right.as_deref()),
        })
    }

    /// What is to be joined, in the order of the rows that cause it.
    fn changes_of(
        &mut self,
        index: NodeIndex,
        join: &TableJoin,
        sides: &[Rows; 2],
        some: &Rows,
    ) -> Result<Vec<Change>, Poison> {
        let [left, right] = sides;
        let shared = self.state(index, some)?;
        let mut state = shared.borrow_mut();
        let at_store =
            |origin: u32| move |error: StoreError| Poison { origin, node: index, problem: Problem::of_store(&error) };
        prefetch(&mut state, join.right, left).map_err(at_store(0))?;
        prefetch(&mut state, join.left, right).map_err(at_store(0))?;
        let lefts = Changes::new(join.left, left, join.sees_left);
        let rights = Changes::new(join.right, right, join.sees_right);
        // A row of both sides changes first the one that the other sees.
        let right_first = join.sees_right && !join.sees_left;
        let mut place = Vec::new();
        let mut changes = Vec::with_capacity(left.len() + right.len());
        for (side, row) in in_order(sides, right_first) {
            let is_left = side == Side::Left;
            let (rows, others) = (&sides[side.place()], if is_left { &rights } else { &lefts });
            let origin = rows.origins[row];
            let key = rows.keys.get(row).unwrap_or_default();
            let other = others.find(&mut state, &mut place, key, origin).map_err(at_store(origin))?;
            let new = rows.values.get(row);
            let old = rows.olds.as_ref().is_some_and(|olds| olds.get(row).is_some());
            let Some(is_there) = is_joined(join.how, is_left, (new.is_some(), old), other) else { continue };
            let [new, other_value] = [new, other.map(|(_, value)| value)].map(|value| value.map(<[u8]>::to_vec));
            let both = if is_left { (new, other_value) } else { (other_value, new) };
            let own = rows.timestamps[row];
            let timestamp = other.map_or(own, |(at, _)| own.max(at));
            changes.push(Change { cause: (side, row), values: is_there.then_some(both), timestamp });
        }
        Ok(changes)
    }
}

/// Whether there is a joined row after a change from `old` to `new`, by whether there are such; none: nothing is sent.
fn is_joined(how: JoinHow, is_left: bool, (new, old): (bool, bool), other: Held<'_>) -> Option<bool> {
    let other = other.is_some();
    match how {
        JoinHow::Inner => other.then_some(new),
        JoinHow::Left if is_left => (other || new || old).then_some(new),
        // A left row without a right one is joined with null.
        JoinHow::Left => other.then_some(true),
        JoinHow::Outer => (other || new || old).then_some(new || other),
    }
}
