//! Restores: of stores that are gone, and of stores that a killed host left.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use super::drains::{Drain, LARGE};
use super::measure::{Figures, Run};
use super::peers::{LISTEN, Peer};
use crate::host::Host;

const POLL: Duration = Duration::from_millis(100);
const LOAD_WAIT: Duration = Duration::from_secs(300);

/// Works the backlog off, loses the stores and restores them: the figures of both.
pub fn after_drain(bench: &Bench, drain: &Drain, peer: Peer, round: usize) -> Result<(Figures, Figures)> {
    let run = Run::new(bench, drain, peer, round)?;
    let drained = run.drain()?;
    lose_stores(&run)?;
    let restored = run.restore()?;
    run.clean_up()?;
    Ok((drained, restored))
}

/// 1 GB of state: what a host that was killed needs to go on, and what it needs when its stores are gone.
pub fn after_crash(bench: &Bench, round: usize) -> Result<Figures> {
    let run = Run::new(bench, &LARGE, Peer::Weir, round)?;
    let host = Host::start(run.command(), LISTEN, bench.folder().join(format!("{}.log", run.group())))?;
    let begin = Instant::now();
    loop {
        let (taken, end) = host.progress()?;
        if end > 0 && taken * 10 >= end * 9 {
            break;
        }
        if begin.elapsed() > LOAD_WAIT {
            bail!("{taken} of {end} orders after {LOAD_WAIT:?}");
        }
        thread::sleep(POLL);
    }
    // Killed at work.
    drop(host);
    let kept = run.restore()?;
    let bytes = size(&run.stores())?;
    lose_stores(&run)?;
    let full = run.restore()?;
    run.clean_up()?;
    let figure = |figures: &Figures, name: &str| figures.0.get(name).copied().unwrap_or(f64::NAN);
    let named = [
        ("state_gb", (bytes as f64 / 1e7).round() / 100.0),
        ("kept_s", figure(&kept, "restore_s")),
        ("full_s", figure(&full, "restore_s")),
        ("kept_rows", figure(&kept, "rows")),
        ("full_rows", figure(&full, "rows")),
        ("kept_total_s", figure(&kept, "total_s")),
        ("full_total_s", figure(&full, "total_s")),
        ("ratio", figure(&kept, "restore_s") / figure(&full, "restore_s")),
    ];
    Ok(Figures(named.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn lose_stores(run: &Run<'_>) -> Result<()> {
    let stores = run.stores();
    fs::remove_dir_all(&stores).with_context(|| format!("cannot remove {}", stores.display()))
}

/// Bytes of the files below `folder`.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
