//! What is to be joined, and what is made of it.

use std::sync::Arc;

use crate::record::{Column, HeaderCells, Headers, Rows};
use crate::task::join::joined;
use crate::task::sides::{Cause, Side};
use crate::task::step::{Poison, Step};
use crate::topology::{NodeIndex, StreamJoin};

/// Rows of both sides that belong together, in order.
#[derive(Default)]
pub(super) struct Pairs {
    keys: Column,
    lefts: Column,
    rights: Column,
    timestamps: Vec<i64>,
    causes: Vec<Cause>,
}

impl Pairs {
    /// The row of `cause`, of value `own`, and one of the other side, of value `other`.
    pub(super) fn both(&mut self, cause: Cause, key: &[u8], (own, other): (&[u8], &[u8]), at: i64) {
        let (left, right) = if cause.0 == Side::Left { (own, other) } else { (other, own) };
        self.push(Some(key), (Some(left), Some(right)), at, cause);
    }

    /// A row of `side` for which there is none.
    pub(super) fn alone(&mut self, side: Side, key: Option<&[u8]>, value: &[u8], at: i64, cause: Cause) {
        let sides = if side == Side::Left { (Some(value), None) } else { (None, Some(value)) };
        self.push(key, sides, at, cause);
    }

    fn push(&mut self, key: Option<&[u8]>, (left, right): (Option<&[u8]>, Option<&[u8]>), at: i64, cause: Cause) {
        self.keys.push(key);
        self.lefts.push(left);
        self.rights.push(right);
        self.timestamps.push(at);
        self.causes.push(cause);
    }
}

impl Step<'_> {
    /// The rows that `pairs` are made into. A pair that the join has no value for is refused alone: its rows may have others.
    pub(super) fn joined(
        &mut self,
        index: NodeIndex,
        join: &StreamJoin,
        pairs: Pairs,
        sides: &[Rows; 2],
    ) -> Result<Rows, Poison> {
        let Pairs { keys, lefts, rights, timestamps, causes } = pairs;
        let headers = sides.iter().any(|rows| rows.headers.is_some()).then(|| {
            let mut headers = Headers::default();
            for &(side, row) in &causes {
                headers.push_row(sides[side.place()].headers.iter().flat_map(|headers| headers.row(row)));
            }
            HeaderCells::all(Arc::new(headers))
        });
        let rows = Rows {
            keys: keys.into(),
            values: lefts.into(),
            timestamps,
            headers,
            windows: None,
            olds: None,
            origins: causes.iter().map(|&(side, row)| sides[side.place()].origins[row]).collect(),
        };
        self.with_values(index, &rows, |row| joined(&join.value, &rows, row, rights.get(row)))
    }
}
