//! `weir:plugin/metrics`: named numbers, given out if the call succeeds. In wit/metrics.wit.

use crate::bindings::weir::plugin::metrics;
use crate::guest::Guest;
use crate::metrics::{Change, Update};

impl Guest {
    fn update(&mut self, name: String, change: Change) -> wasmtime::Result<()> {
        self.meter.charge(name.len() + size_of::<Update>())?;
        self.metrics.push(Update { name, change });
        Ok(())
    }
}

impl metrics::Host for Guest {
    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.update(name, Change::Count(by))
    }

    fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.update(name, Change::Gauge(value))
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.update(name, Change::Observe(value))
    }
}
