//! A suppress node: the last result of each key and window waits until its window closes, or for a time.
//!
//! What waits is in the node's store: a row for each key and window, an index by the time it waits for, and the totals. As
//! in Kafka Streams, a result keeps the place of the first one that waited, and time is the highest timestamp of the results
//! that came here.

use super::aggregate::NodeClock;
use crate::ports::{KeyRange, StoreError};
use crate::record::{Column, Rows};
use crate::state::{TaskState, keys};
use crate::task::step::{Poison, Problem, Step};
use crate::topology::{NodeIndex, Suppress, SuppressUntil, WhenFull};

/// Rows that one page of the index brings.
const PAGE_ROWS: usize = 1_000;
/// What a waiting row costs beside key and value.
const ROW_BYTES: u64 = 64;
/// Name of the row that holds the totals.
const TOTALS: &str = "totals";

struct Held<'a> {
    suppress: &'a Suppress,
    state: &'a mut TaskState,
    clock: NodeClock,
    rows: u64,
    bytes: u64,
    out: Released,
}

#[derive(Default)]
struct Released {
    keys: Column,
    values: Column,
    timestamps: Vec<i64>,
    windows: Vec<(i64, i64)>,
    origins: Vec<u32>,
}

/// A result that waits.
struct Waiting {
    /// What it waits for.
    due: i64,
    at: i64,
    value: Option<Vec<u8>>,
}

enum Fault {
    Store(StoreError),
    Full,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Step<'_> {
    /// The rows that need wait no longer, once `rows` are in.
    pub(crate) fn suppress(&mut self, index: NodeIndex, suppress: &Suppress, rows: &Rows) -> Result<Rows, Poison> {
        if rows.is_empty() {
            return Ok(Rows::default());
        }
        let shared = self.state(index, rows)?;
        let mut state = shared.borrow_mut();
        let mut taken = 0;
        let mut work = || -> Result<Released, Fault> {
            let mut held = Held::load(suppress, &mut state)?;
            for row in 0..rows.len() {
                taken = row;
                held.take(rows, row)?;
            }
            held.save();
            Ok(held.out)
        };
        match work() {
            Ok(released) => Ok(released.into_rows(rows.windows.is_some())),
            Err(fault) => {
                let problem = match fault {
                    Fault::Store(error) => Problem::of_store(&error),
                    Fault::Full => full(suppress),
                };
                Err(Poison { origin: rows.origins[taken], node: index, problem })
            }
        }
    }
}

fn full(suppress: &Suppress) -> Problem {
    let Suppress { rows_max, bytes_max, .. } = suppress;
    let message = format!(
        "more than {rows_max} rows or {bytes_max} bytes would have to wait here: raise `rows-max` or `bytes-max`, or say \
         `when-full: emit-early`"
    );
    Problem { reason: "weir.suppress-full".to_owned(), message, backtrace: String::new() }
}

impl<'a> Held<'a> {
    fn load(suppress: &'a Suppress, state: &'a mut TaskState) -> Result<Self, StoreError> {
        let clock = NodeClock::load(state, suppress.store)?;
        let totals = state.get(suppress.store, &keys::own(TOTALS))?.unwrap_or_default();
        let total = |at: usize| totals.get(at..at + 8).and_then(keys::time).map_or(0, i64::unsigned_abs);
        let (rows, bytes) = (total(0), total(8));
        Ok(Self { suppress, state, clock, rows, bytes, out: Released::default() })
    }

    fn save(&mut self) {
        let mut totals = Vec::with_capacity(16);
        keys::push_time(&mut totals, self.rows as i64);
        keys::push_time(&mut totals, self.bytes as i64);
        self.state.put(self.suppress.store, &keys::own(TOTALS), Some(&totals));
        self.clock.save(self.state, self.suppress.store);
    }

    fn take(&mut self, rows: &Rows, row: usize) -> Result<(), Fault> {
        let at = rows.timestamps[row];
        self.clock.stream = self.clock.stream.max(at);
        let key = rows.keys.get(row).unwrap_or_default();
        let window = rows.windows.as_ref().map_or((0, 0), |windows| windows[row]);
        let place = keys::session(key, window.0, window.1);
        let before = self.state.get(self.suppress.store, &place)?.and_then(Waiting::read);
        let due = before.as_ref().map_or_else(|| self.due(at, window), |before| before.due);
        let value = rows.values.get(row).map(<[u8]>::to_vec);
        match &before {
            Some(before) => self.bytes -= before.bytes(key).min(self.bytes),
            None => {
                self.rows += 1;
                self.state.put(self.suppress.store, &index(due, key, window), Some(b""));
            }
        }
        let waiting = Waiting { due, at, value };
        self.bytes += waiting.bytes(key);
        self.state.put(self.suppress.store, &place, Some(&waiting.write()));
        let limit = self.clock.stream.saturating_sub(self.wait());
        self.release(rows.origins[row], Some(limit))?;
        while self.is_full() {
            if self.suppress.when_full == WhenFull::Fail || !self.release(rows.origins[row], None)? {
                return Err(Fault::Full);
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows > self.suppress.rows_max || self.bytes > self.suppress.bytes_max
    }

    fn due(&self, at: i64, window: (i64, i64)) -> i64 {
        match self.suppress.until {
            SuppressUntil::WindowCloses { .. } => window.1,
            SuppressUntil::TimeLimit { .. } => at,
        }
    }

    fn wait(&self) -> i64 {
        match self.suppress.until {
            SuppressUntil::WindowCloses { grace_ms } => grace_ms,
            SuppressUntil::TimeLimit { limit_ms } => limit_ms,
        }
    }

    /// Lets go what is due at `limit` or before, or where there is no limit the one row that has waited longest. False: there
    /// was none.
    fn release(&mut self, origin: u32, limit: Option<i64>) -> Result<bool, StoreError> {
        let store = self.suppress.store;
        let range = match limit {
            Some(limit) => keys::until(keys::BY_TIME, limit),
            None => KeyRange::prefix(&[keys::BY_TIME]),
        };
        let page_rows = if limit.is_some() { PAGE_ROWS } else { 1 };
        let mut released = false;
        loop {
            let page = self.state.range(store, &range, page_rows, false)?;
            let is_last = page.len() < page_rows || limit.is_none();
            for (at, _) in page {
                released = true;
                self.state.put(store, &at, None);
                self.let_go(&at, origin)?;
            }
            if is_last {
                return Ok(released);
            }
        }
    }

    fn let_go(&mut self, index: &[u8], origin: u32) -> Result<(), StoreError> {
        let Some((_, key, detail)) = keys::split_by_time(index) else { return Ok(()) };
        let time = |at: usize| detail.get(at..at + 8).and_then(keys::time).unwrap_or_default();
        let window = (time(0), time(8));
        let place = keys::session(&key, window.0, window.1);
        let Some(waiting) = self.state.get(self.suppress.store, &place)?.and_then(Waiting::read) else {
            return Ok(());
        };
        self.state.put(self.suppress.store, &place, None);
        self.rows = self.rows.saturating_sub(1);
        self.bytes -= waiting.bytes(&key).min(self.bytes);
        // A window that is gone has no final result.
        if waiting.value.is_some() || matches!(self.suppress.until, SuppressUntil::TimeLimit { .. }) {
            self.out.push(&key, &waiting, window, origin);
        }
        Ok(())
    }
}

fn index(due: i64, key: &[u8], window: (i64, i64)) -> Vec<u8> {
    let mut detail = Vec::with_capacity(16);
    keys::push_time(&mut detail, window.0);
    keys::push_time(&mut detail, window.1);
    keys::by_time(due, key, &detail)
}

impl Waiting {
    fn bytes(&self, key: &[u8]) -> u64 {
        key.len() as u64 + self.value.as_ref().map_or(0, Vec::len) as u64 + ROW_BYTES
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + self.value.as_ref().map_or(0, Vec::len));
        keys::push_time(&mut bytes, self.due);
        keys::push_time(&mut bytes, self.at);
        bytes.push(u8::from(self.value.is_some()));
        bytes.extend_from_slice(self.value.as_deref().unwrap_or_default());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (due, rest) = bytes.split_at_checked(keys::TIME_BYTES)?;
        let (at, rest) = rest.split_at_checked(keys::TIME_BYTES)?;
        let (&has_value, value) = rest.split_first()?;
        let value = (has_value == 1).then(|| value.to_vec());
        Some(Self { due: keys::time(due)?, at: keys::time(at)?, value })
    }
}

impl Released {
    fn push(&mut self, key: &[u8], waiting: &Waiting, window: (i64, i64), origin: u32) {
        self.keys.push(Some(key));
        self.values.push(waiting.value.as_deref());
        self.timestamps.push(waiting.at);
        self.windows.push(window);
        self.origins.push(origin);
    }

    fn into_rows(self, windowed: bool) -> Rows {
        Rows {
            keys: self.keys.into(),
            values: self.values.into(),
            timestamps: self.timestamps,
            headers: None,
            windows: windowed.then_some(self.windows),
            olds: None,
            origins: self.origins,
        }
    }
}
