use std::time::{Duration, Instant};

use weir_core::record::{Rows, Taken};

use crate::bindings::weir::plugin::logging::Level;
use crate::config::Limits;
use crate::guest::Place;

/// The target of plugins' lines, for the log's filter.
pub(crate) const TARGET: &str = "weir::plugin";
/// The bounds on volume are per this time.
const PERIOD: Duration = Duration::from_secs(1);

/// A guest's log lines: held until the call ends, because only then are its rows at hand to say where they came from.
#[derive(Debug)]
pub(crate) struct LogLines {
    lines: Vec<(Level, Option<u32>, String)>,
    lines_max: u32,
    bytes_max: usize,
    since: Instant,
    lines_in_period: u32,
    bytes_in_period: usize,
    dropped: u64,
}

impl LogLines {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            lines: Vec::new(),
            lines_max: limits.log_lines_per_second_max,
            bytes_max: limits.log_bytes_per_second_max,
            since: Instant::now(),
            lines_in_period: 0,
            bytes_in_period: 0,
            dropped: 0,
        }
    }

    /// Holds a line, or counts it where the period's volume is used up.
    pub(crate) fn push(&mut self, level: Level, row: Option<u32>, message: String) {
        if self.since.elapsed() >= PERIOD {
            (self.since, self.lines_in_period, self.bytes_in_period) = (Instant::now(), 0, 0);
        }
        if self.lines_in_period >= self.lines_max || self.bytes_in_period + message.len() > self.bytes_max {
            self.dropped += 1;
            return;
        }
        self.lines_in_period += 1;
        self.bytes_in_period += message.len();
        self.lines.push((level, row, message));
    }

    /// Gives the lines out, those about a row of the call with its coordinates.
    pub(crate) fn flush(&mut self, place: &Place, call: Option<(&Rows, &Taken)>) {
        for (level, row, message) in self.lines.drain(..) {
            let origin = call
                .zip(row)
                .and_then(|((rows, taken), row)| rows.origins.get(row as usize).map(|origin| (taken, *origin)));
            match origin.map(|(taken, origin)| taken.coordinates(origin)) {
                Some((from, offset)) => emit(level, place, Some((from.to_string(), offset)), &message),
                None => emit(level, place, None, &message),
            }
        }
        if self.dropped > 0 {
            let (node, task, dropped) = (place.node.as_str(), place.task_name(), std::mem::take(&mut self.dropped));
            tracing::warn!(target: TARGET, node, task, dropped_lines = dropped, "the plugin logs more than its bound");
        }
    }
}

fn emit(level: Level, place: &Place, from: Option<(String, i64)>, message: &str) {
    let (node, task) = (place.node.as_str(), place.task_name());
    let (from, offset) = (from.as_ref().map(|(from, _)| from.as_str()), from.as_ref().map(|(_, offset)| offset));
    // A level is part of a line's static description, hence an arm for each.
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(target: TARGET, tracing::Level::$level, node, task, from, offset, "{message}")
        };
    }
    match level {
        Level::Trace => line!(TRACE),
        Level::Debug => line!(DEBUG),
        Level::Info => line!(INFO),
        Level::Warn => line!(WARN),
        Level::Error => line!(ERROR),
    }
}
