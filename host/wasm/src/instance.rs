use std::time::Duration;

use weir_core::ports::{Call, Output, Processor, Trap};

use crate::bindings::exports::weir::plugin::{processing, timing};
use crate::bindings::weir::plugin::types;
use crate::columns::{self, Gathered};
use crate::running::{Running, Scope, malformed};

/// A plugin at work for one task: a component instance with a memory of its own, and the resource made in it.
///
/// After a trap it answers every call with a trap: what its memory holds is anyone's guess.
#[derive(Debug)]
pub struct Instance {
    running: Running,
    exports: Exports,
}

struct Exports {
    processing: processing::Guest,
    timing: Option<timing::Guest>,
}

impl Instance {
    pub(crate) fn new(running: Running, processing: processing::Guest, timing: Option<timing::Guest>) -> Self {
        Self { running, exports: Exports { processing, timing } }
    }
}

impl Processor for Instance {
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        debug_assert!(!call.rows.is_empty(), "a call has at least one row");
        let Self { running, exports } = self;
        running.run(scope(call), call.rows.len(), |running, deadline| {
            let gathered = Gathered::new(call.rows, running.plugin.artifact().manifest().reads);
            let processor = exports.processing.processor();
            let output = processor.call_process(&mut running.store, running.resource, gathered.batch());
            checked(running, output, deadline)
        })
    }

    fn on_timers(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        let Self { running, exports } = self;
        let Some(timing) = &exports.timing else {
            return Err(malformed("a timer is due, but the plugin exports no `weir:plugin/timing`".to_owned()));
        };
        let Some(&at) = call.rows.timestamps.first() else { return Ok(Output::default()) };
        debug_assert!(call.rows.timestamps.iter().all(|other| *other == at), "timers of one call have one time");
        running.run(scope(call), call.rows.len(), |running, deadline| {
            let names = call.rows.keys.gather();
            let output = timing.call_on_timers(&mut running.store, running.resource, columns::lent(&names), at);
            checked(running, output, deadline)
        })
    }
}

fn scope<'a>(call: &Call<'a>) -> Scope<'a> {
    Scope { rows: call.rows, taken: call.taken, state: call.state }
}

fn checked(running: &mut Running, output: wasmtime::Result<types::Output>, deadline: Duration) -> Result<Output, Trap> {
    let output = output.map_err(|error| running.trap(&error, deadline))?;
    running.check_output(columns::bytes(&output), deadline)?;
    columns::checked(output).map_err(malformed)
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports").field("timing", &self.timing.is_some()).finish_non_exhaustive()
    }
}
