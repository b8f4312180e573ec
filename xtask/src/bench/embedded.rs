//! The whole way on the embedded log, durable: a backlog is loaded, then a host is started on it and watched.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use super::measure::Figures;
use super::peers::{LISTEN, topology_file};
use crate::host::Host;
use crate::paths;

const LINES: u64 = 1000;
const POLL: Duration = Duration::from_millis(20);
const DRAIN_WAIT: Duration = Duration::from_secs(120);

/// Orders per second from 30 % to the end, and how soon the host was ready.
pub fn measure(bench: &Bench, orders: u64) -> Result<Figures> {
    let state = bench.folder().join("state/embedded");
    if state.exists() {
        fs::remove_dir_all(&state).with_context(|| format!("cannot empty {}", state.display()))?;
    }
    let command = |topology: &str, topics| -> Result<Vec<String>> {
        let file = topology_file(topology, "embedded", topics, bench.folder())?;
        let weir = paths::target().join("release/weir").display().to_string();
        let state = state.display().to_string();
        Ok([&weir, "run", &file, "--state-dir", &state, "--listen", LISTEN, "--log", "warn"].map(str::to_owned).into())
    };
    let log = |host: &str| bench.folder().join(format!("{host}.log"));
    // A host that reads another topic, so that the backlog stays one.
    let loader = Host::start(&command("forward", ("idle", "orders"))?, LISTEN, log("loader"))?;
    load(orders)?;
    loader.stop()?;
    let host = Host::start(&command("validate", ("orders", "validations"))?, LISTEN, log("embedded"))?;
    let ready = host.ready;
    let (rate, total) = watch(&host)?;
    host.stop()?;
    if total != orders as i64 {
        bail!("{total} orders in the log, {orders} were loaded");
    }
    let figures = [("steady_rate", rate.round()), ("ready_s", (ready.as_secs_f64() * 100.0).round() / 100.0)];
    Ok(Figures(figures.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn load(orders: u64) -> Result<()> {
    let mut produce = Command::new(paths::target().join("release/weir"))
        .args(["produce", "orders", "--host", LISTEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start weir produce")?;
    let mut stdin = produce.stdin.take().context("its input is piped")?;
    for first in (0..orders).step_by(LINES as usize) {
        let mut lines = String::new();
        for number in first..(first + LINES).min(orders) {
            writeln!(
                lines,
                "{{\"key\":\"k{}\",\"value\":{{\"id\":\"order-{number:09}\",\"customerId\":{},\"state\":\"CREATED\",\
                 \"product\":\"JUMPERS\",\"quantity\":{},\"price\":{}.25}}}}",
                number % 10_000,
                number % 9973,
                number as i64 % 21 - 1,
                number % 100
            )?;
        }
        stdin.write_all(lines.as_bytes()).context("weir produce ended")?;
    }
    drop(stdin);
    if !produce.wait()?.success() {
        bail!("weir produce failed");
    }
    Ok(())
}

fn watch(host: &Host) -> Result<(f64, i64)> {
    let begin = Instant::now();
    let mut warm: Option<(Instant, i64)> = None;
    loop {
        let (taken, end) = host.progress()?;
        let now = Instant::now();
        if warm.is_none() && taken * 10 >= end * 3 {
            warm = Some((now, taken));
        }
        if taken == end && end > 0 {
            let (since, from) = warm.unwrap_or((begin, 0));
            return Ok(((taken - from) as f64 / (now - since).as_secs_f64(), end));
        }
        if begin.elapsed() > DRAIN_WAIT {
            bail!("{taken} of {end} orders after {DRAIN_WAIT:?}");
        }
        thread::sleep(POLL);
    }
}
