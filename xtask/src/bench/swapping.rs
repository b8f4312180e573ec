//! Swaps of a plugin while the host works through a backlog as fast as it can: no swap meets an idle task.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::measure::Figures;
use super::peers::{LISTEN, Peer};
use crate::host::Host;
use crate::{paths, swap};

const SWAPS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause that the host has seen at a swap.
pub fn measure(bench: &Bench, input: &str, round: usize) -> Result<Figures> {
    let group = format!("swap-{round}");
    let output = format!("{group}-out");
    bench.make_topic(&output)?;
    let mut command = Peer::Weir.command(("validate", "validate"), &group, (input, &output), bench)?;
    command.extend(["--log", "warn"].map(str::to_owned));
    let host = Host::start(&command, LISTEN, bench.folder().join(format!("{group}.log")))?;
    let swaps = swap::back_and_forth(&host.http, &paths::plugins().join("order-details.wasm"), SWAPS, PAUSE)?;
    let (taken, end) = host.progress()?;
    host.stop()?;
    bench.delete_topics(&group)?;
    let figures = [
        ("swaps", swaps.done as f64),
        ("longest_pause_ms", swaps.longest_pause_ms),
        // More than 0: the host was at work until the last swap.
        ("backlog_left", (end - taken) as f64),
    ];
    Ok(Figures(figures.map(|(name, value)| (name.to_owned(), value)).into()))
}
