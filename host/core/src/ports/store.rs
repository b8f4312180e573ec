use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use thiserror::Error;

use super::Position;
use crate::task::TaskId;
use crate::topology::StoreIndex;

/// The stores of one task as of its last applied transaction: ordered maps of bytes, one for each store of its subtopology.
///
/// Kinds of stores (key-value, window, session) are encodings of keys above this ([`crate::state`]). A store holds committed
/// state only, so any thread may read it at any time; one thread, the task's, calls [`StateStore::apply`].
///
/// What was applied need not survive a kill: a store that comes back stands at some state that was once applied as a whole,
/// with the checkpoint of that moment, and the changelog is replayed from there.
pub trait StateStore: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, store: StoreIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The value of each of `keys`, in their order. Keys may repeat and come in any order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get_many(&self, store: StoreIndex, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// At most `limit` entries of `range`, ascending by key, or descending where `backward`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn range(&self, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) -> Result<Entries, StoreError>;

    /// What the stores stand at. Empty: they are new.
    ///
    /// # Errors
    /// [`StoreError`].
    fn checkpoint(&self) -> Result<Checkpoint, StoreError>;

    /// Takes in the changes and the checkpoint that goes with them: all or nothing, and a reader sees all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is there.
    fn apply(&self, changes: &Changes) -> Result<(), StoreError>;

    /// Empties a store and forgets how far its changelog was replayed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn clear(&self, store: StoreIndex) -> Result<(), StoreError>;

    /// Rows of `store` whose key ends in a time (see [`crate::state::keys`]) below `before`, in milliseconds since 1970 UTC,
    /// are not needed any more. A hint: when they go, and whether, no result may show.
    fn expire(&self, store: StoreIndex, before: i64);

    /// Makes durable what was applied: called when the task is closed in peace.
    ///
    /// # Errors
    /// [`StoreError`].
    fn flush(&self) -> Result<(), StoreError>;
}

/// Opens the stores of tasks.
pub trait StateSupplier {
    /// The stores of `task`, as they were kept, or new and empty. What cannot be read is thrown away with a word in the
    /// log, since the changelog has it; stores without a changelog are an error then.
    ///
    /// # Errors
    /// [`StoreError`]: no disk space, no permission, in use by another process.
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError>;
}

/// Keys and values, in the order asked for.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A range of keys in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub lower: Bound<Vec<u8>>,
    /// The last key.
    pub upper: Bound<Vec<u8>>,
}

impl KeyRange {
    /// The keys from `lower` on and before `upper`.
    #[must_use]
    pub fn between(lower: Vec<u8>, upper: Vec<u8>) -> Self {
        Self { lower: Bound::Included(lower), upper: Bound::Excluded(upper) }
    }

    /// The keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let upper = match prefix.iter().rposition(|&byte| byte != u8::MAX) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut upper = prefix[..=last].to_vec();
                upper[last] += 1;
                Bound::Excluded(upper)
            }
        };
        Self { lower: Bound::Included(prefix.to_vec()), upper }
    }

    /// Whether no key can be in it. `BTreeMap::range` panics on such ranges.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
                lower >= upper
            }
            _ => false,
        }
    }
}

/// What one transaction, or a batch of a changelog, changes in a task's stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In order: of a key given twice the last counts. A value of `None` deletes.
    pub writes: Vec<(StoreIndex, Vec<u8>, Option<Vec<u8>>)>,
    /// Replaces what it names of the checkpoint and leaves the rest.
    pub checkpoint: Checkpoint,
}

/// How far a task's stores have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of each store with a changelog: where to go on replaying.
    pub changelogs: BTreeMap<StoreIndex, Replayed>,
    /// The input positions as committed together with this state; empty while only replayed.
    pub positions: Vec<Position>,
    /// When this was applied, in milliseconds since 1970 UTC by the host's clock.
    pub applied_at_ms: i64,
}

impl Checkpoint {
    /// Replaces what `newer` names and leaves the rest. It always names a time.
    pub fn take_in(&mut self, newer: &Checkpoint) {
        self.changelogs.extend(newer.changelogs.iter().map(|(store, replayed)| (*store, replayed.clone())));
        for position in &newer.positions {
            match self.positions.iter_mut().find(|known| known.partition == position.partition) {
                Some(known) => known.clone_from(position),
                None => self.positions.push(position.clone()),
            }
        }
        self.applied_at_ms = newer.applied_at_ms;
    }
}

/// How far a changelog has been taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The next offset to read.
    pub next: i64,
    /// The identity of the topic that was read: one that was deleted and made again has another. Empty: unknown.
    pub topic_id: String,
}

/// Why a store cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The disk refuses: full, not permitted, gone. The message names path and cause.
    #[error("{0}")]
    Io(String),
    /// What is on disk is not what was written: the store is to be made anew from its changelog.
    #[error("{0}")]
    Corrupt(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_string_of_its_length_or_shorter() {
        let upper = |prefix: &[u8]| KeyRange::prefix(prefix).upper;
        assert_eq!(upper(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(upper(&[1, 255, 255]), Bound::Excluded(vec![2]));
        assert_eq!(upper(&[255]), Bound::Unbounded);
        assert_eq!(upper(b""), Bound::Unbounded);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let between = |lower: &[u8], upper: &[u8]| KeyRange::between(lower.to_vec(), upper.to_vec());
        assert!(between(b"b", b"a").is_empty());
        assert!(between(b"a", b"a").is_empty());
        assert!(!between(b"a", b"b").is_empty());
        let whole = KeyRange { lower: Bound::Included(vec![1]), upper: Bound::Included(vec![1]) };
        assert!(!whole.is_empty());
    }
}
