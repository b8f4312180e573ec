//! A plugin as the host calls it: what it declares, how it is made, how a batch goes through it row by row.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::state::State;
use crate::{Batch, Column, Out, Output, Problem, Reject, Row, Rows};

/// A `process` node's plugin. `#[weir::processor]` and `#[weir::batch]` implement it.
pub trait Processor: 'static {
    /// What `&Config<..>` asks for; `()` where nothing does.
    type Config: 'static;

    /// Its stores and timers; `()` where it has none.
    type State: State;

    /// What it tells of itself, without a configuration.
    fn declaration() -> Declaration;

    /// Reads the node's configuration.
    ///
    /// # Errors
    /// Its mistakes, each with where it is.
    fn configure(text: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Maps a batch.
    fn process(config: &Self::Config, state: &mut Self::State, batch: Batch) -> Output;

    /// Timers are due, all of one time.
    ///
    /// # Panics
    /// The plugin sets none, so whose they are nobody knows.
    #[allow(clippy::panic)]
    fn on_timers(config: &Self::Config, state: &mut Self::State, names: Column, at: i64) -> Output {
        _ = (config, state, names);
        panic!("a timer is due at {at}, but this plugin sets none")
    }
}

/// What a plugin declares of itself; the host's `inspect` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// Whether it reads keys. Values it always reads.
    pub reads_keys: bool,
    /// Whether it reads timestamps.
    pub reads_timestamps: bool,
    /// The format of the keys that it reads; "" is any.
    pub key_format: &'static str,
    /// The format of the values.
    pub value_format: &'static str,
    /// Its output ports; none declared: one, `out`.
    pub ports: &'static [Port],
}

/// An output port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, in the topology and in [`crate::Emit::port`].
    pub name: &'static str,
    /// The format of its values; "" is any.
    pub value_format: &'static str,
}

/// What a plugin's function returns: `()`, or `Result<(), Reject>` where it can refuse a record.
pub trait Outcome {
    /// As the one of them that says everything.
    ///
    /// # Errors
    /// The record is refused.
    fn into_result(self) -> Result<(), Reject>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Reject> {
        Ok(())
    }
}

impl Outcome for Result<(), Reject> {
    fn into_result(self) -> Self {
        self
    }
}

/// Calls `row` with each record of `batch`. What a refused record has emitted is taken back.
pub fn each_row<M>(
    batch: Batch,
    ports: &'static [Port],
    mut row: impl FnMut(Row<'_>, &mut Out<M>) -> Result<(), Reject>,
) -> Output {
    each_row_with(&mut (), batch, ports, |record, out, ()| row(record, out))
}

/// The same with stores and timers: what a refused record has changed there is taken back too.
pub fn each_row_with<S: State, M>(
    state: &mut S,
    batch: Batch,
    ports: &'static [Port],
    mut row: impl FnMut(Row<'_>, &mut Out<M>, &mut S) -> Result<(), Reject>,
) -> Output {
    state.prefetch(batch.keys.as_ref());
    let rows = Rc::new(Rows::from(batch));
    let mut out = Out::new(rows.clone(), ports);
    let mut rejects = Vec::new();
    for index in 0..rows.len() as u32 {
        set_current_row(Some(index));
        out.row = index;
        let before = out.done();
        match row(rows.row(index), &mut out, state) {
            Ok(()) => state.each(&mut |part| part.keep()),
            Err(reject) => {
                state.each(&mut |part| part.forget());
                out.take_back_to(before);
                rejects.push(reject.into_abi(index));
            }
        }
        if out.stopped() {
            break;
        }
    }
    set_current_row(None);
    state.each(&mut |part| part.flush());
    out.finish(rejects)
}

/// The record in progress: what a panic or a log line is about. A component has one thread.
static CURRENT_ROW: AtomicU32 = AtomicU32::new(NO_ROW);

/// No record is in progress.
const NO_ROW: u32 = u32::MAX;

pub(crate) fn set_current_row(row: Option<u32>) {
    CURRENT_ROW.store(row.unwrap_or(NO_ROW), Ordering::Relaxed);
}

pub(crate) fn current_row() -> Option<u32> {
    Some(CURRENT_ROW.load(Ordering::Relaxed)).filter(|&row| row != NO_ROW)
}

/// Ties a [`Processor`] to the exports of the contract; `weir::export!` names it.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

/// An instance at work for a task: nothing but its configuration, and the handles of its stores.
pub struct Instance<P: Processor>(P::Config, RefCell<P::State>);

impl<P: Processor> std::fmt::Debug for Instance<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

mod exports {
    use std::cell::RefCell;

    use super::{Exported, Instance, Processor, last_words};
    use crate::abi::exports::weir::plugin::description;
    use crate::abi::processing::{processing, timing};
    use crate::abi::weir::plugin::manifest;
    use crate::state::State;
    use crate::{Batch, Column, Output, Problem};

    impl<P: Processor> description::Guest for Exported<P> {
        fn describe() {
            last_words();
            let this = P::declaration();
            manifest::about(this.name, this.version, crate::SDK);
            manifest::reads(this.reads_keys, true, this.reads_timestamps);
            manifest::input(this.key_format, this.value_format);
            for port in this.ports {
                manifest::port(port.name, "", port.value_format);
            }
            for store in P::State::stores() {
                manifest::store(store.name, store.kind, store.key_format, store.value_format);
            }
            if P::State::TIMERS {
                manifest::timers();
            }
        }
    }

    impl<P: Processor> processing::Guest for Exported<P> {
        type Processor = Instance<P>;

        fn create(config: String) -> Result<processing::Processor, Vec<Problem>> {
            last_words();
            let config = P::configure(&config)?;
            Ok(processing::Processor::new(Instance::<P>(config, RefCell::new(P::State::open()))))
        }
    }

    impl<P: Processor> processing::GuestProcessor for Instance<P> {
        fn process(&self, rows: Batch) -> Output {
            P::process(&self.0, &mut self.1.borrow_mut(), rows)
        }
    }

    impl<P: Processor> timing::Guest for Exported<P> {
        fn on_timers(instance: timing::ProcessorBorrow<'_>, names: Column, at: i64) -> Output {
            let this = instance.get::<Instance<P>>();
            P::on_timers(&this.0, &mut this.1.borrow_mut(), names, at)
        }
    }
}

/// Sees to it that a panic tells the host its text, its place and the record in progress before it traps.
pub(crate) fn last_words() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        crate::abi::weir::plugin::logging::fault(current_row(), message, &place);
    }));
}
