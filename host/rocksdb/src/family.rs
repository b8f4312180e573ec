use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use weir_core::topology::{Store, StoreIndex};

/// Rows of a family with an earlier time, in milliseconds since 1970 UTC, may go when files are compacted.
pub(crate) type ExpiredBefore = Arc<AtomicI64>;

/// The family that holds a task's checkpoint. No store's: those have a colon.
pub(crate) const POSITIONS: &str = "positions";

/// A store that lies on disk.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) index: StoreIndex,
    /// The store's name in the topology.
    pub(crate) store: String,
    /// The column family's name.
    pub(crate) name: String,
    pub(crate) has_changelog: bool,
    /// None: its keys end in no time.
    pub(crate) expired_before: Option<ExpiredBefore>,
}

impl Family {
    pub(crate) fn new(index: StoreIndex, store: &Store) -> Self {
        let expires = store.kind.retention_ms().is_some();
        Self {
            index,
            store: store.name.clone(),
            name: family_name(store.kind.as_str(), &store.name),
            has_changelog: store.restored_from().is_some(),
            expired_before: expires.then(|| Arc::new(AtomicI64::new(i64::MIN))),
        }
    }

    pub(crate) fn expire(&self, before: i64) {
        if let Some(expired_before) = &self.expired_before {
            expired_before.fetch_max(before, Ordering::Relaxed);
        }
    }
}

/// The kind is part of the name: a store that became one of another kind has rows that nobody could read.
fn family_name(kind: &str, store: &str) -> String {
    format!("{kind}:{store}")
}

/// Kind and store of a family; none: it is no store's.
pub(crate) fn split_name(family: &str) -> Option<(&str, &str)> {
    family.split_once(':')
}
