//! A plugin as the host calls it: what it declares, how it is made, how a batch goes through it row by row.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Batch, Out, Output, Problem, Reject, Row, Rows};

/// A `process` node's plugin. `#[weir::processor]` and `#[weir::batch]` implement it.
pub trait Processor: 'static {
    /// What `&Config<..>` asks for; `()` where nothing does.
    type Config: 'static;

    /// What it tells of itself, without a configuration.
    fn declaration() -> Declaration;

    /// Reads the node's configuration.
    ///
    /// # Errors
    /// Its mistakes, each with where it is.
    fn configure(text: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Maps a batch.
    fn process(config: &Self::Config, batch: Batch) -> Output;
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
    let rows = Rc::new(Rows::from(batch));
    let mut out = Out::new(rows.clone(), ports);
    let mut rejects = Vec::new();
    for index in 0..rows.len() as u32 {
        CURRENT_ROW.store(index, Ordering::Relaxed);
        out.row = index;
        let before = out.done();
        if let Err(reject) = row(rows.row(index), &mut out) {
            out.take_back_to(before);
            rejects.push(reject.into_abi(index));
        }
        if out.stopped() {
            break;
        }
    }
    CURRENT_ROW.store(NO_ROW, Ordering::Relaxed);
    out.finish(rejects)
}

/// The record in progress: what a panic or a log line is about. A component has one thread.
static CURRENT_ROW: AtomicU32 = AtomicU32::new(NO_ROW);

/// No record is in progress.
const NO_ROW: u32 = u32::MAX;

pub(crate) fn current_row() -> Option<u32> {
    Some(CURRENT_ROW.load(Ordering::Relaxed)).filter(|&row| row != NO_ROW)
}

/// Ties a [`Processor`] to the exports of the contract; `weir::export!` names it.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

/// An instance at work for a task: nothing but its configuration.
#[derive(Debug)]
pub struct Instance<P: Processor>(P::Config);

mod exports {
    use super::{Exported, Instance, Processor, last_words};
    use crate::abi::exports::weir::plugin::{description, processing};
    use crate::abi::weir::plugin::manifest;
    use crate::{Batch, Output, Problem};

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
        }
    }

    impl<P: Processor> processing::Guest for Exported<P> {
        type Processor = Instance<P>;

        fn create(config: String) -> Result<processing::Processor, Vec<Problem>> {
            last_words();
            P::configure(&config).map(|config| processing::Processor::new(Instance::<P>(config)))
        }
    }

    impl<P: Processor> processing::GuestProcessor for Instance<P> {
        fn process(&self, rows: Batch) -> Output {
            P::process(&self.0, rows)
        }
    }
}

/// Sees to it that a panic tells the host its text, its place and the record in progress before it traps.
fn last_words() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        crate::abi::weir::plugin::logging::fault(current_row(), message, &place);
    }));
}
