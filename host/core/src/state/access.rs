use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;

use super::buffer::Mark;
use super::{TaskState, keys, ttl};
use crate::ports::{AccessError, Entries, KeyRange, StateAccess, StoreError, StoreHandle};
use crate::topology::{PluginRef, StoreIndex, StoreKind, Topology};

/// A timer's row says by which clock it is due: by stream time, at that time.
pub(crate) const TIMER_STREAM: u8 = keys::BY_TIME;
/// By the host's clock.
pub(crate) const TIMER_WALL: u8 = keys::BY_WALL_TIME;

/// The most entries of a page: what a plugin asks for beyond it comes with its next page.
const PAGE_ENTRIES_MAX: usize = 10_000;

/// A node's view of its task's state, for one call of its plugin.
pub(crate) struct NodeAccess {
    state: Rc<RefCell<TaskState>>,
    stores: Vec<(StoreIndex, Expiry)>,
    timers: Option<StoreIndex>,
    /// Stream time as the call's rows have it, for entries with a time to live: one row a call then.
    stream_time: i64,
    now_ms: i64,
    marks: Vec<Mark>,
    begin: Mark,
    /// Timers set by stream time in this call: the row, and when it is due.
    pub(crate) scheduled: Vec<(u32, i64)>,
    /// The store failed: not the plugin's fault.
    pub(crate) failed: Option<StoreError>,
}

#[derive(Clone, Copy)]
enum Expiry {
    Never,
    /// Values begin with the stream time at which they were written.
    Ttl(i64),
}

impl NodeAccess {
    /// A view for a call of `plugin`; none: it has neither stores nor timers.
    pub(crate) fn new(
        state: &Rc<RefCell<TaskState>>,
        topology: &Topology,
        plugin: &PluginRef,
        stream_time: i64,
        now_ms: i64,
    ) -> Self {
        let expiry = |index: StoreIndex| match topology.store(index).kind {
            StoreKind::KeyValue { ttl_ms: Some(ttl) } => Expiry::Ttl(ttl),
            _ => Expiry::Never,
        };
        let begin = state.borrow().mark();
        Self {
            state: state.clone(),
            stores: plugin.stores.iter().map(|(_, index)| (*index, expiry(*index))).collect(),
            timers: plugin.timers,
            stream_time,
            now_ms,
            marks: Vec::new(),
            begin,
            scheduled: Vec::new(),
            failed: None,
        }
    }

    /// Takes back all that the call did.
    pub(crate) fn undo_all(&mut self) {
        self.state.borrow_mut().undo(self.begin);
        self.scheduled.clear();
    }

    fn store(&self, handle: StoreHandle) -> Result<(StoreIndex, Expiry), AccessError> {
        let found = self.stores.get(handle.0 as usize).copied();
        found.ok_or_else(|| AccessError::Misuse(format!("the node has no store {}", handle.0)))
    }

    fn timers(&self) -> Result<StoreIndex, AccessError> {
        self.timers.ok_or_else(|| {
            AccessError::Misuse("the node has no timers: write `timers: true` in its `process`".to_owned())
        })
    }

    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, AccessError> {
        result.map_err(|error| {
            self.failed = Some(error.clone());
            AccessError::Store(error)
        })
    }

    /// The value without the time that it was written at; none: it has expired.
    fn live(&self, expiry: Expiry, stored: Vec<u8>) -> Option<Vec<u8>> {
        let Expiry::Ttl(ttl) = expiry else { return Some(stored) };
        let (at, value) = ttl::split(&stored)?;
        (self.stream_time < at.saturating_add(ttl)).then(|| value.to_vec())
    }

    fn set_timer(&mut self, clock: u8, name: &[u8], at: i64) -> Result<(), AccessError> {
        self.cancel(name)?;
        let timers = self.timers()?;
        let mut due = vec![clock];
        keys::push_time(&mut due, at);
        let mut state = self.state.borrow_mut();
        state.put(timers, &keys::key_value(name), Some(&due));
        state.put(timers, &keys::by(clock, at, name, b""), Some(b""));
        Ok(())
    }
}

impl StateAccess for NodeAccess {
    fn get(&mut self, store: StoreHandle, key: &[u8]) -> Result<Option<Vec<u8>>, AccessError> {
        let (index, expiry) = self.store(store)?;
        let read = self.state.borrow_mut().get(index, key).map(|value| value.map(<[u8]>::to_vec));
        Ok(self.note(read)?.and_then(|stored| self.live(expiry, stored)))
    }

    fn get_many(&mut self, store: StoreHandle, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, AccessError> {
        let (index, _) = self.store(store)?;
        let read = self.state.borrow_mut().prefetch(index, keys.iter().copied());
        self.note(read)?;
        keys.iter().map(|key| self.get(store, key)).collect()
    }

    fn put(&mut self, store: StoreHandle, key: &[u8], value: Option<&[u8]>) -> Result<(), AccessError> {
        let (index, expiry) = self.store(store)?;
        match expiry {
            Expiry::Never => self.state.borrow_mut().put(index, key, value),
            Expiry::Ttl(_) => {
                let written = ttl::put(&mut self.state.borrow_mut(), index, key, value, self.stream_time);
                self.note(written)?;
            }
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
        let (index, expiry) = self.store(store)?;
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let (mut range, mut page) = (range.clone(), Entries::new());
        loop {
            let wanted = limit - page.len();
            let read = self.state.borrow_mut().range(index, &range, wanted, backward);
            let entries = self.note(read)?;
            let is_last = entries.len() < wanted;
            if let Some((last, _)) = entries.last() {
                let beyond = Bound::Excluded(last.clone());
                *(if backward { &mut range.upper } else { &mut range.lower }) = beyond;
            }
            page.extend(entries.into_iter().filter_map(|(key, stored)| Some((key, self.live(expiry, stored)?))));
            // Expired ones are not counted: a page is short only at the end.
            if is_last || page.len() >= limit {
                return Ok(page);
            }
        }
    }

    fn mark(&mut self) -> u32 {
        self.marks.push(self.state.borrow().mark());
        self.marks.len() as u32 - 1
    }

    fn undo(&mut self, mark: u32) -> Result<(), AccessError> {
        let Some(&to) = self.marks.get(mark as usize) else {
            return Err(AccessError::Misuse(format!("there is no mark {mark} in this call")));
        };
        self.marks.truncate(mark as usize + 1);
        self.state.borrow_mut().undo(to);
        Ok(())
    }

    fn schedule(&mut self, row: u32, name: &[u8], at: i64) -> Result<(), AccessError> {
        self.set_timer(TIMER_STREAM, name, at)?;
        self.scheduled.push((row, at));
        Ok(())
    }

    fn schedule_after(&mut self, _: u32, name: &[u8], delay_ms: u64) -> Result<(), AccessError> {
        let delay = i64::try_from(delay_ms).unwrap_or(i64::MAX);
        self.set_timer(TIMER_WALL, name, self.now_ms.saturating_add(delay))
    }

    fn cancel(&mut self, name: &[u8]) -> Result<(), AccessError> {
        let timers = self.timers()?;
        let row = keys::key_value(name);
        let read = self.state.borrow_mut().get(timers, &row).map(|value| value.map(<[u8]>::to_vec));
        let Some(due) = self.note(read)? else { return Ok(()) };
        let mut state = self.state.borrow_mut();
        state.put(timers, &row, None);
        if let Some((&clock, at)) = due.split_first()
            && let Some(at) = keys::time(at)
        {
            state.put(timers, &keys::by(clock, at, name, b""), None);
        }
        Ok(())
    }
}
