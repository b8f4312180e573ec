use std::fmt;

use crate::{Level, boundary};

/// Writes a line to the host's log, about the record in progress: `weir::log(Level::Warn, format_args!("late by {ms} ms"))`.
///
/// Nothing is formatted below the level that the host keeps.
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    if boundary::log_enabled(level) {
        boundary::log(level, crate::processor::current_row(), &message.to_string());
    }
}
