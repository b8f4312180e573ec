use std::cell::RefCell;
use std::rc::Rc;

use super::stores::{self, Kept};
use super::{Emitted, Record, Result, batch, host, outcomes};
use crate::state::{State as _, Store};
use crate::{Column, Problem, Processor};

/// A plugin with stores and timers of its own, for a test that takes several steps.
///
/// Between two calls of [`Driver::pipe`] nothing but the stores is kept, as on a host.
pub struct Driver<P: Processor> {
    config: P::Config,
    kept: Rc<RefCell<Kept>>,
}

impl<P: Processor> Driver<P> {
    /// A plugin configured by `config` (JSON; `null` where there is none), with empty stores.
    ///
    /// # Errors
    /// What `P` finds wrong with the configuration.
    pub fn new(config: &str) -> Result<Self, Vec<Problem>> {
        host::configure(config);
        Ok(Self { config: P::configure(config)?, kept: Rc::default() })
    }

    /// Runs the plugin on a batch of records, in as many calls as it takes. One outcome for each.
    ///
    /// # Panics
    /// Where the plugin does.
    pub fn pipe(&mut self, records: &[Record]) -> Vec<Result> {
        let declaration = P::declaration();
        let mut all = Vec::new();
        while all.len() < records.len() {
            let rest = &records[all.len()..];
            let output = self.call(rest, |config, state| P::process(config, state, batch(&declaration, rest)));
            let taken = output.taken.map_or(rest.len(), |taken| taken as usize);
            all.extend(outcomes(&rest[..taken], &output));
        }
        all
    }

    /// Runs one record.
    ///
    /// # Errors
    /// The [`crate::Reject`] of the record.
    ///
    /// # Panics
    /// Where the plugin does.
    pub fn pipe_one(&mut self, record: impl Into<Record>) -> Result {
        self.pipe(&[record.into()]).remove(0)
    }

    /// Runs the timers that are due at `time` or before, those of one time in one call: what each has emitted. Both clocks
    /// stand at `time` then. Timers that a timer sets are due too, where their time has come.
    ///
    /// # Panics
    /// Where the plugin does.
    pub fn advance(&mut self, time: i64) -> Vec<Result> {
        self.kept.borrow_mut().now_ms = time;
        let mut all = Vec::new();
        loop {
            let due = self.kept.borrow().timers.values().copied().filter(|at| *at <= time).min();
            let Some(at) = due else { return all };
            let mut names = Vec::new();
            self.kept.borrow_mut().timers.retain(|name, due| {
                let later = *due != at;
                if !later {
                    names.push(name.clone());
                }
                later
            });
            let rows: Vec<Record> = names.iter().map(|name| Record::tombstone().key(name).timestamp(at)).collect();
            let names: Column = names.iter().map(|name| Some(name.as_slice())).collect();
            let output = self.call(&rows, |config, state| P::on_timers(config, state, names, at));
            all.extend(outcomes(&rows, &output));
        }
    }

    /// The timers that are set: name and time, by name.
    #[must_use]
    pub fn timers(&self) -> Vec<(String, i64)> {
        let kept = self.kept.borrow();
        kept.timers.iter().map(|(name, at)| (String::from_utf8_lossy(name).into_owned(), *at)).collect()
    }

    /// Looks into the store `name` or fills it: `driver.store("counts", |counts: &mut KeyValue<Str, i64>| counts.get("a"))`.
    pub fn store<S: Store, T>(&mut self, name: &str, work: impl FnOnce(&mut S) -> T) -> T {
        stores::enter(&self.kept);
        let mut store = S::open(name);
        let result = work(&mut store);
        store.keep();
        store.flush();
        result
    }

    fn call<T>(&mut self, rows: &[Record], call: impl FnOnce(&P::Config, &mut P::State) -> T) -> T {
        stores::enter(&self.kept);
        let mut state = P::State::open();
        host::with(rows, || call(&self.config, &mut state))
    }
}

impl<P: Processor> std::fmt::Debug for Driver<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("kept", &self.kept).finish_non_exhaustive()
    }
}

/// Every emitted record of outcomes that are all good.
///
/// # Panics
/// Where a record was refused.
#[must_use]
#[allow(clippy::panic)]
pub fn all_emitted(outcomes: Vec<Result>) -> Vec<Emitted> {
    let good = |outcome: Result| outcome.unwrap_or_else(|reject| panic!("a record was refused: {reject:?}"));
    outcomes.into_iter().flat_map(good).collect()
}
