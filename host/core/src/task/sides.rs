//! The two sides of a join, and the order in which their rows take turns.

use crate::record::Rows;
use crate::task::step::{Arrived, Step};
use crate::topology::NodeIndex;

/// A side of a join; the place of its parts in pairs of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) fn other(self) -> Self {
        if self == Self::Left { Self::Right } else { Self::Left }
    }

    pub(super) fn place(self) -> usize {
        self as usize
    }
}

/// The row that something follows from: its side and its place there.
pub(super) type Cause = (Side, usize);

impl Step<'_> {
    /// The rows of the left side and of the right side of join `index`, whose last input is the right one.
    pub(super) fn sides(&self, index: NodeIndex, arrived: Arrived) -> [Rows; 2] {
        let last = self.scope.topology.node(index).inputs.len() - 1;
        let (right, left): (Arrived, Arrived) = arrived.into_iter().partition(|(input, _)| *input == last);
        [left, right].map(|part| Rows::interleave(part.into_iter().map(|(_, rows)| rows).collect()))
    }
}

/// The rows of both sides in the order in which the task took them; `right_first`: of one that came to both, the right side's.
pub(super) fn in_order(sides: &[Rows; 2], right_first: bool) -> impl Iterator<Item = Cause> + '_ {
    let mut next = [0, 0];
    std::iter::from_fn(move || {
        let head = |side: Side| {
            let second = (side == Side::Right) != right_first;
            sides[side.place()].origins.get(next[side.place()]).map(|&origin| (origin, second, side))
        };
        let (_, _, side) =
            [Side::Left, Side::Right].into_iter().filter_map(head).min_by_key(|&(at, second, _)| (at, second))?;
        let row = next[side.place()];
        next[side.place()] += 1;
        Some((side, row))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_sides_come_by_their_origins_and_those_of_one_as_the_file_has_the_sides() {
        let rows = |origins: &[u32]| Rows { origins: origins.to_vec(), ..Rows::default() };
        let sides = [rows(&[1, 1, 4, 6]), rows(&[0, 1, 5, 6])];
        let (left, right) = (|row| (Side::Left, row), |row| (Side::Right, row));
        let order = |right_first| in_order(&sides, right_first).collect::<Vec<_>>();
        let first = [right(0), left(0), left(1), right(1), left(2), right(2), left(3), right(3)];
        assert_eq!(order(false), first);
        let first = [right(0), right(1), left(0), left(1), left(2), right(2), right(3), left(3)];
        assert_eq!(order(true), first);
    }
}
