//! Stores and timers in ordered maps, as an engine would lend them for a call.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use weir_core::ports::{AccessError, Entries, KeyRange, StateAccess, StateCell, StoreHandle};

/// What a node keeps: its stores by their handles, its timers by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Rows by store and encoded key.
    pub rows: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    /// When each timer is due.
    pub timers: BTreeMap<Vec<u8>, i64>,
}

/// The state of one node, for a test.
#[derive(Debug, Default)]
pub struct Memory {
    /// What it keeps now.
    pub kept: Kept,
    marks: Vec<Kept>,
    /// The host's clock.
    pub now_ms: i64,
}

impl Memory {
    /// Empty, to be lent.
    pub fn shared() -> Rc<RefCell<Self>> {
        Rc::default()
    }

    /// A call begins: marks of the one before are gone.
    pub fn begin(&mut self) {
        self.marks.clear();
    }

    /// Takes out the timers that are due at `at` or before, in order of their times and names.
    pub fn due(&mut self, at: i64) -> Vec<(i64, Vec<u8>)> {
        let mut due: Vec<_> =
            self.kept.timers.iter().filter(|(_, due)| **due <= at).map(|(name, due)| (*due, name.clone())).collect();
        due.sort();
        due.iter().for_each(|(_, name)| _ = self.kept.timers.remove(name));
        due
    }
}

/// As a call takes it.
pub fn cell(memory: &Rc<RefCell<Memory>>) -> StateCell {
    memory.clone()
}

impl StateAccess for Memory {
    fn get(&mut self, store: StoreHandle, key: &[u8]) -> Result<Option<Vec<u8>>, AccessError> {
        Ok(self.kept.rows.get(&(store.0, key.to_vec())).cloned())
    }

    fn get_many(&mut self, store: StoreHandle, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, AccessError> {
        keys.iter().map(|key| self.get(store, key)).collect()
    }

    fn put(&mut self, store: StoreHandle, key: &[u8], value: Option<&[u8]>) -> Result<(), AccessError> {
        let key = (store.0, key.to_vec());
        match value {
            Some(value) => _ = self.kept.rows.insert(key, value.to_vec()),
            None => _ = self.kept.rows.remove(&key),
        }
        Ok(())
    }

    fn range(
        &mut self,
        store: StoreHandle,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, AccessError> {
        if range.is_empty() {
            return Ok(Entries::new());
        }
        let bound = |bound: &std::ops::Bound<Vec<u8>>, none: (u32, Vec<u8>)| match bound {
            std::ops::Bound::Included(key) => std::ops::Bound::Included((store.0, key.clone())),
            std::ops::Bound::Excluded(key) => std::ops::Bound::Excluded((store.0, key.clone())),
            std::ops::Bound::Unbounded => std::ops::Bound::Included(none),
        };
        let upper = match &range.upper {
            std::ops::Bound::Unbounded => std::ops::Bound::Excluded((store.0 + 1, Vec::new())),
            other => bound(other, (0, Vec::new())),
        };
        let rows = self.kept.rows.range((bound(&range.lower, (store.0, Vec::new())), upper));
        let row = |((_, key), value): (&(u32, Vec<u8>), &Vec<u8>)| (key.clone(), value.clone());
        Ok(if backward { rows.rev().take(limit).map(row).collect() } else { rows.take(limit).map(row).collect() })
    }

    fn mark(&mut self) -> u32 {
        self.marks.push(self.kept.clone());
        self.marks.len() as u32 - 1
    }

    fn undo(&mut self, mark: u32) -> Result<(), AccessError> {
        let Some(kept) = self.marks.get(mark as usize) else {
            return Err(AccessError::Misuse(format!("there is no mark {mark} in this call")));
        };
        self.kept = kept.clone();
        Ok(())
    }

    fn schedule(&mut self, _: u32, name: &[u8], at: i64) -> Result<(), AccessError> {
        self.kept.timers.insert(name.to_vec(), at);
        Ok(())
    }

    fn schedule_after(&mut self, row: u32, name: &[u8], delay_ms: u64) -> Result<(), AccessError> {
        let at = self.now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        self.schedule(row, name, at)
    }

    fn cancel(&mut self, name: &[u8]) -> Result<(), AccessError> {
        self.kept.timers.remove(name);
        Ok(())
    }
}
