//! `weir:plugin/logging`: lines for the host's log, bounded in volume, and a guest's last words. In wit/logging.wit.

use crate::bindings::weir::plugin::logging::{self, Level};
use crate::guest::Guest;
use crate::log_lines::TARGET;
use crate::trap::LastWords;

impl logging::Host for Guest {
    fn enabled(&mut self, at: Level) -> wasmtime::Result<bool> {
        self.meter.charge(0)?;
        Ok(match at {
            Level::Trace => tracing::enabled!(target: TARGET, tracing::Level::TRACE),
            Level::Debug => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
            Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
            Level::Error => tracing::enabled!(target: TARGET, tracing::Level::ERROR),
        })
    }

    fn log(&mut self, at: Level, row: Option<u32>, message: String) -> wasmtime::Result<()> {
        self.meter.charge(message.len())?;
        self.log.push(at, row, message);
        Ok(())
    }

    fn fault(&mut self, row: Option<u32>, message: String, trace: String) -> wasmtime::Result<()> {
        self.meter.charge(message.len() + trace.len())?;
        self.last_words = Some(LastWords { row, message, trace });
        Ok(())
    }
}
