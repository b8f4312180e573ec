use std::borrow::Cow;

use super::{Pending, State};
use crate::processor::{current_row, each_row_with};
use crate::{Batch, Column, Out, Output, Port, Reject, boundary};

/// Timers of the node, durable and named. A timer that is set runs the function `on_timer` of `#[weir::processor(..)]`.
#[derive(Debug, Default)]
pub struct Timers {
    changes: Vec<(u32, Vec<u8>, Change)>,
    /// Those of rows that have succeeded.
    kept: usize,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    At(i64),
    After(u64),
    Cancel,
}

/// A timer that is due.
#[derive(Clone, Copy, Debug)]
pub struct Timer<'a> {
    /// As it was named when it was set.
    pub name: &'a [u8],
    /// When it was due, in milliseconds since 1970 UTC: for a timer by the host's clock, by that clock.
    pub at: i64,
}

impl<'a> Timer<'a> {
    /// The name as text.
    #[must_use]
    pub fn name_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }
}

impl Timers {
    /// Sets the timer `name`, or moves it, to be due when stream time reaches `at`, in milliseconds since 1970 UTC.
    pub fn schedule(&mut self, name: impl AsRef<[u8]>, at: i64) {
        self.change(name.as_ref(), Change::At(at));
    }

    /// Sets the timer `name`, or moves it, to be due in `delay_ms` by the host's clock. So a replay may differ.
    pub fn schedule_after(&mut self, name: impl AsRef<[u8]>, delay_ms: u64) {
        self.change(name.as_ref(), Change::After(delay_ms));
    }

    /// Removes the timer `name`, if there is one.
    pub fn cancel(&mut self, name: impl AsRef<[u8]>) {
        self.change(name.as_ref(), Change::Cancel);
    }

    fn change(&mut self, name: &[u8], change: Change) {
        self.changes.push((current_row().unwrap_or_default(), name.to_vec(), change));
    }
}

impl Pending for Timers {
    fn keep(&mut self) {
        self.kept = self.changes.len();
    }

    fn forget(&mut self) {
        self.changes.truncate(self.kept);
    }

    fn flush(&mut self) {
        for (row, name, change) in self.changes.drain(..) {
            match change {
                Change::At(at) => boundary::schedule(row, &name, at),
                Change::After(delay_ms) => boundary::schedule_after(row, &name, delay_ms),
                Change::Cancel => boundary::cancel(&name),
            }
        }
        self.kept = 0;
    }
}

/// Calls `timer` with each timer of a call. What it emits has the timer's name for a key and its time for a timestamp.
pub fn each_timer<S: State, M>(
    state: &mut S,
    names: Column,
    at: i64,
    ports: &'static [Port],
    mut timer: impl FnMut(Timer<'_>, &mut Out<M>, &mut S) -> Result<(), Reject>,
) -> Output {
    let count = names.len();
    let timestamps = at.to_le_bytes().repeat(count);
    let batch = Batch { count: count as u32, keys: Some(names), values: None, timestamps: Some(timestamps) };
    each_row_with(state, batch, ports, |row, out, state| {
        timer(Timer { name: row.key().unwrap_or_default(), at }, out, state)
    })
}
