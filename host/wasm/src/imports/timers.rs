//! `weir:plugin/timers`: durable and named. When a timer is due is the engine's business. In wit/timers.wit.

use crate::bindings::weir::plugin::timers;
use crate::guest::Guest;
use crate::trap::Misuse;

impl Guest {
    fn check_row(&self, function: &str, row: u32) -> Result<(), Misuse> {
        if (row as usize) < self.rows {
            return Ok(());
        }
        Err(Misuse(format!("{function} is called for row {row} of {}", self.rows)))
    }
}

impl timers::Host for Guest {
    fn schedule(&mut self, row: u32, name: Vec<u8>, at: i64) -> wasmtime::Result<()> {
        self.meter.charge(name.len())?;
        self.check_row("timers.schedule", row)?;
        self.access("timers.schedule", |state| state.schedule(row, &name, at))
    }

    fn schedule_after(&mut self, row: u32, name: Vec<u8>, delay_ms: u64) -> wasmtime::Result<()> {
        self.meter.charge(name.len())?;
        self.check_row("timers.schedule-after", row)?;
        self.access("timers.schedule-after", |state| state.schedule_after(row, &name, delay_ms))
    }

    fn cancel(&mut self, name: Vec<u8>) -> wasmtime::Result<()> {
        self.meter.charge(name.len())?;
        self.access("timers.cancel", |state| state.cancel(&name))
    }
}
