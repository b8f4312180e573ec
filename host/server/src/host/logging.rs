use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::problem::Problem;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// JSON, a line each.
    Json,
}

/// Sends log lines to stderr. `filter` is as the crate tracing-subscriber has it: `info`, or `warn,weir=debug`.
///
/// # Errors
/// `filter` is none.
pub fn start(format: LogFormat, filter: &str) -> Result<(), Problem> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Problem::bad_request(format!("--log `{filter}` is not a filter such as `info`: {error}")))?;
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
