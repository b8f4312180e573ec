//! What joins of streams have lately read of their sides, so that they need not ask the store for each row.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::keys;
use crate::ports::Entries;
use crate::topology::StoreIndex;

/// What is kept in memory at most; beyond it all is forgotten, and read anew.
const BYTES_MAX: usize = 32 << 20;

/// What a row or a key costs beside its bytes, for the bound.
const ENTRY_BYTES: usize = 64;

/// Most values fit in here without a memory of their own.
type Bytes = SmallVec<[u8; 24]>;

/// Rows of stores of kind `joined`, by store and key: of a key that is known all that there are from some time on, written or
/// not yet committed. It is to be forgotten where writes are taken back.
#[derive(Debug, Default)]
pub(super) struct Recent {
    stores: Vec<(StoreIndex, ByKey)>,
    bytes: usize,
}

/// Of each key, in the order in which they were first met.
type ByKey = IndexMap<Box<[u8]>, Known, FxBuildHasher>;

/// What is known of a key.
#[derive(Debug)]
struct Known {
    /// All rows of this time and later.
    from: i64,
    /// In order of their times, then as they came.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    at: i64,
    sequence: u64,
    value: Bytes,
}

impl Row {
    fn bytes(&self) -> usize {
        self.value.len() + ENTRY_BYTES
    }
}

impl Recent {
    fn of(&mut self, store: StoreIndex) -> &mut ByKey {
        // A task has few such stores.
        let at = self.stores.iter().position(|(known, _)| *known == store).unwrap_or_else(|| {
            self.stores.push((store, IndexMap::default()));
            self.stores.len() - 1
        });
        &mut self.stores[at].1
    }

    /// From which time on all rows of `key` are known; none: nothing is.
    pub(super) fn known_from(&mut self, store: StoreIndex, key: &[u8]) -> Option<i64> {
        self.of(store).get(key).map(|known| known.from)
    }

    /// Takes in all rows of `key` from time `from` on, as the store and what is written over it have them.
    pub(super) fn take_in(&mut self, store: StoreIndex, key: &[u8], from: i64, entries: Entries) {
        if self.bytes > BYTES_MAX {
            self.forget();
        }
        let row = |(place, value): (Vec<u8>, Vec<u8>)| {
            let (at, sequence) = keys::joined_at(&place)?;
            Some(Row { at, sequence, value: value.into() })
        };
        let rows: Vec<Row> = entries.into_iter().filter_map(row).collect();
        self.bytes += key.len() + ENTRY_BYTES + rows.iter().map(Row::bytes).sum::<usize>();
        self.of(store).insert(key.into(), Known { from, rows });
    }

    /// Notes a row that is written, if it belongs to what is known. Rows of a store come with ever higher numbers.
    pub(super) fn put(&mut self, store: StoreIndex, key: &[u8], (at, sequence): (i64, u64), value: &[u8]) {
        if self.bytes > BYTES_MAX {
            self.forget();
        }
        let Some(known) = self.of(store).get_mut(key).filter(|known| known.from <= at) else { return };
        let row = Row { at, sequence, value: value.into() };
        let bytes = row.bytes();
        let place = known.rows.iter().rposition(|other| other.at <= at).map_or(0, |before| before + 1);
        known.rows.insert(place, row);
        self.bytes += bytes;
    }

    /// Gives `each` the rows of `key` in `from..=until` that are known; those before `keep_from` need not be known any longer.
    pub(super) fn each(
        &mut self,
        store: StoreIndex,
        key: &[u8],
        (from, until): (i64, i64),
        keep_from: i64,
        mut each: impl FnMut(i64, u64, &[u8]),
    ) {
        let Some(known) = self.of(store).get_mut(key) else { return };
        let first = known.rows.partition_point(|row| row.at < from);
        for row in known.rows[first..].iter().take_while(|row| row.at <= until) {
            each(row.at, row.sequence, &row.value);
        }
        let old = known.rows.partition_point(|row| row.at < keep_from);
        // Rows move up in memory when some go: not for a few.
        if old > known.rows.len() / 2 {
            known.from = known.from.max(keep_from);
            let gone: usize = known.rows.drain(..old).map(|row| row.bytes()).sum();
            self.bytes -= gone.min(self.bytes);
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
