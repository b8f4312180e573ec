//! Named numbers for the host's `/metrics`. What a call counted that was undone is dropped.

use crate::boundary;

/// Adds `by` to the counter `name`.
pub fn count(name: &str, by: u64) {
    boundary::count(name, by);
}

/// Sets the gauge `name`.
pub fn gauge(name: &str, value: f64) {
    boundary::gauge(name, value);
}

/// Adds an observation to the distribution `name`.
pub fn observe(name: &str, value: f64) {
    boundary::observe(name, value);
}
