//! The plugin of an aggregate node: rows of a key and window folded into one value.

use crate::abi::aggregation::{Folded, Groups};
use crate::column::u32_at;
use crate::processor::set_current_row;
use crate::{Batch, Column, Decode, Encode, Format, Part, Problem, Reject};

/// What an aggregator does with a row. `#[weir::aggregator]` over the `impl` makes it a plugin.
///
/// ```
/// use weir::prelude::*;
///
/// #[derive(Default)]
/// struct Total;
///
/// #[weir::aggregator]
/// impl Aggregator for Total {
///     type Row<'a> = Str<'a>;
///     type Value = i64;
///
///     fn initial(&self) -> i64 {
///         0
///     }
///
///     fn add(&self, total: &mut i64, row: Str<'_>) -> Result<(), Reject> {
///         *total += row.parse::<i64>().map_err(|error| Reject::new("total.number", error.to_string()))?;
///         Ok(())
///     }
///
///     fn merge(&self, left: i64, right: i64) -> i64 {
///         left + right
///     }
/// }
///
/// let (total, rejects) = weir::test::fold::<Total>("null", None, &["1", "two", "3"]);
/// assert_eq!(total, Some(4_i64.to_be_bytes().to_vec()));
/// assert_eq!(rejects[0].1.code(), "total.number");
/// ```
pub trait Aggregator: Sized + 'static {
    /// A row's value as it is read.
    type Row<'a>: Decode<'a> + Format;
    /// What the rows of a group come to. It is kept between calls as bytes.
    type Value: for<'a> Decode<'a> + Encode + Format;

    /// The value of a group without rows.
    fn initial(&self) -> Self::Value;

    /// Takes a row in. What a refused row did to `value` is undone.
    ///
    /// # Errors
    /// The row is refused, for the node's error policy.
    fn add(&self, value: &mut Self::Value, row: Self::Row<'_>) -> Result<(), Reject>;

    /// The value of two sessions that have become one, `left` the earlier. An aggregator with it may be used for sessions.
    fn merge(&self, left: Self::Value, right: Self::Value) -> Self::Value {
        let _ = right;
        left
    }
}

/// An [`Aggregator`] as a plugin; the macro implements it.
pub trait AggregatorPlugin: Aggregator {
    /// Whether it has a `merge` of its own.
    const MERGES: bool;
    /// The crate's name.
    const NAME: &'static str;
    /// The crate's version.
    const VERSION: &'static str;

    /// Reads the node's configuration.
    ///
    /// # Errors
    /// Its mistakes, each with where it is.
    fn configure(text: &str) -> Result<Self, Vec<Problem>>;
}

/// Folds each group's rows into its accumulator.
pub(crate) fn fold<A: Aggregator>(aggregator: &A, work: &Groups) -> Folded {
    let groups = work.row_ends.len() / 4;
    let mut folding = Folding {
        aggregator,
        rows: &work.rows,
        accumulators: Column::with_capacity(groups, work.accumulators.data.len()),
        rejects: Vec::new(),
        bytes: Vec::new(),
    };
    let mut first = 0;
    for group in 0..groups {
        let end = u32_at(&work.row_ends, group);
        let before = work.accumulators.get(group);
        match work.every_row {
            true => folding.by_row(before, first..end, true),
            false => folding.group(before, first..end),
        }
        first = end;
    }
    set_current_row(None);
    Folded { accumulators: folding.accumulators, rejects: folding.rejects }
}

/// Merges pairs of accumulators.
pub(crate) fn merge<A: Aggregator>(aggregator: &A, left: &Column, right: &Column) -> Column {
    let mut merged = Column::with_capacity(left.len(), left.data.len());
    for pair in 0..left.len() {
        let (left, right) = (left.get(pair), right.get(pair));
        // One without a value adds nothing to the other.
        let (Some(both_left), Some(both_right)) = (left, right) else {
            merged.push(left.or(right));
            continue;
        };
        let value = aggregator.merge(kept::<A>(both_left), kept::<A>(both_right));
        let present = written::<A>(&value, &mut merged.data);
        merged.close_cell(present);
    }
    merged
}

struct Folding<'w, A> {
    aggregator: &'w A,
    rows: &'w Batch,
    accumulators: Column,
    rejects: Vec<crate::abi::weir::plugin::types::Reject>,
    /// The accumulator as it was after the last row that was taken in, where that is needed.
    bytes: Vec<u8>,
}

impl<A: Aggregator> Folding<'_, A> {
    /// One accumulator for the group. A refused row may have changed the value already: then it begins again, row by row.
    fn group(&mut self, before: Option<&[u8]>, rows: std::ops::Range<u32>) {
        let mut value = self.begin(before);
        for row in rows.clone() {
            if self.add(&mut value, row).is_err() {
                return self.by_row(before, rows, false);
            }
        }
        let present = written::<A>(&value, &mut self.accumulators.data);
        self.accumulators.close_cell(present);
    }

    /// The accumulator after each row, or after the last.
    fn by_row(&mut self, before: Option<&[u8]>, rows: std::ops::Range<u32>, every_row: bool) {
        let mut value = self.begin(before);
        let mut present = before.is_some();
        self.bytes.clear();
        self.bytes.extend_from_slice(before.unwrap_or_default());
        for row in rows {
            match self.add(&mut value, row) {
                Ok(()) => {
                    self.bytes.clear();
                    present = written::<A>(&value, &mut self.bytes);
                }
                Err(reject) => {
                    self.rejects.push(reject.into_abi(row));
                    value = self.begin(present.then_some(&self.bytes));
                }
            }
            if every_row {
                self.accumulators.push(present.then_some(&self.bytes));
            }
        }
        if !every_row {
            self.accumulators.push(present.then_some(&self.bytes));
        }
    }

    fn begin(&self, before: Option<&[u8]>) -> A::Value {
        before.map_or_else(|| self.aggregator.initial(), kept::<A>)
    }

    fn add(&self, value: &mut A::Value, row: u32) -> Result<(), Reject> {
        set_current_row(Some(row));
        let cell = self.rows.values.as_ref().and_then(|values| values.get(row as usize));
        self.aggregator.add(value, Decode::decode(cell, Part::Value)?)
    }
}

/// An accumulator that this plugin wrote. One that it did not is nobody's row: the host must not go on.
#[allow(clippy::panic)]
fn kept<A: Aggregator>(bytes: &[u8]) -> A::Value {
    A::Value::decode(Some(bytes), Part::Value)
        .unwrap_or_else(|reject| panic!("the store holds what this aggregator did not write: {}", reject.message()))
}

#[allow(clippy::panic)]
fn written<A: Aggregator>(value: &A::Value, into: &mut Vec<u8>) -> bool {
    value.encode(into).unwrap_or_else(|reject| panic!("the value cannot be kept: {}", reject.message()))
}

/// Ties an [`AggregatorPlugin`] to the exports of the contract; `weir::export_aggregator!` names it.
#[derive(Debug)]
pub struct ExportedAggregator<A>(A);

mod exports {
    use super::{AggregatorPlugin, ExportedAggregator};
    use crate::abi::aggregation::{Aggregator, Folded, Groups, Guest, GuestAggregator};
    use crate::abi::exports::weir::plugin::description;
    use crate::abi::weir::plugin::manifest;
    use crate::processor::last_words;
    use crate::{Column, Format, Problem};

    impl<A: AggregatorPlugin> description::Guest for ExportedAggregator<A> {
        fn describe() {
            last_words();
            manifest::about(A::NAME, A::VERSION, crate::SDK);
            manifest::reads(false, true, false);
            manifest::input("", <A::Row<'static> as Format>::FORMAT);
            manifest::port("out", "", <A::Value as Format>::FORMAT);
            manifest::aggregates(A::MERGES, false);
        }
    }

    impl<A: AggregatorPlugin> Guest for ExportedAggregator<A> {
        type Aggregator = Self;

        fn create(config: String) -> Result<Aggregator, Vec<Problem>> {
            last_words();
            A::configure(&config).map(|aggregator| Aggregator::new(Self(aggregator)))
        }
    }

    impl<A: AggregatorPlugin> GuestAggregator for ExportedAggregator<A> {
        fn fold(&self, work: Groups) -> Folded {
            super::fold(&self.0, &work)
        }

        fn merge(&self, _keys: Option<Column>, left: Column, right: Column) -> Column {
            super::merge(&self.0, &left, &right)
        }
    }
}
