//! `cargo xtask bench [--runs N] [--orders N] [PART...]`: Weir against its peers, the same work on the same broker in the same
//! run; a table of ratios in target/bench/report.md. `tests/bench/README.md` says how each figure is taken.

mod drains;
mod embedded;
mod measure;
mod peers;
mod restoring;
mod swapping;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::kafka::Broker;
use crate::paths;
use crate::process::run as run_command;
use crate::step::step;
use crate::{plugins, setup};
use drains::{DRAINS, Drain, Input};
use measure::{Bench, Figures, Run};
use peers::{Peer, VALIDATE};
use table::Table;

/// What to measure.
struct Settings {
    runs: usize,
    orders: u64,
    parts: Vec<String>,
}

/// Beside [`DRAINS`].
const OTHERS: [&str; 5] = ["latency", "swap", "embedded", "restore", "crash"];

/// Loaded through the shell, line by line, so fewer than on Kafka.
const ORDERS_EMBEDDED_MAX: u64 = 2_000_000;

impl Settings {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut settings = Self { runs: 3, orders: 4_000_000, parts: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(&argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().with_context(|| format!("{argument} needs a number"))?;
                text.replace('_', "").parse().with_context(|| format!("{argument} {text}: not a number"))
            };
            match argument {
                "--runs" => settings.runs = usize::try_from(number()?)?,
                "--orders" => settings.orders = number()?,
                part if parts().any(|known| known == part) => settings.parts.push(part.to_owned()),
                other => bail!("unknown: {other}; parts are {}", parts().collect::<Vec<_>>().join(", ")),
            }
        }
        if settings.parts.is_empty() {
            settings.parts = parts().map(str::to_owned).collect();
        }
        Ok(settings)
    }
}

fn parts() -> impl Iterator<Item = &'static str> {
    DRAINS.iter().map(|drain| drain.part).chain(OTHERS)
}

/// Measures and writes the report.
pub fn run(arguments: &[&str]) -> Result<()> {
    let settings = Settings::parse(arguments)?;
    setup::run()?;
    setup::install_for_rocksdb()?;
    plugins::run()?;
    step("build", "weir and the bare copy", || {
        run_command(cargo("build")?.args(["--quiet", "--release", "--workspace", "--bins"]))
    })?;
    let folder = paths::target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    step("peer", "compile the Kafka Streams peer", || peers::compile(&folder))?;
    let broker = step("kafka", "start Apache Kafka", Broker::start_for_tests)?;
    let bench = Bench::new(broker.address(), folder)?;
    let table = measure_all(&settings, &bench)?;
    drop(broker);
    let report = bench.folder().join("report.md");
    fs::write(&report, table.markdown()).with_context(|| format!("cannot write {}", report.display()))?;
    println!("\n{}\nwritten to {}", table.markdown(), report.display());
    Ok(())
}

fn measure_all(settings: &Settings, bench: &Bench) -> Result<Table> {
    let mut table = Table::default();
    let wants = |part: &str| settings.parts.iter().any(|wanted| wanted == part);
    for round in 0..settings.runs {
        let round = Round { settings, bench, round };
        for drain in DRAINS.iter().filter(|drain| wants(drain.part)) {
            // Its stores are what is restored.
            if drain.part != "unique" || !wants("restore") {
                round.drain(drain, &mut table)?;
            }
        }
        if wants("restore") {
            round.restore(&mut table)?;
        }
        if wants("crash") {
            bench.load(Input::Large, settings.orders)?;
            round.take("crash", Peer::Weir, &mut table, || restoring::after_crash(bench, round.round))?;
        }
        for peer in VALIDATE.iter().filter(|_| wants("latency")) {
            round.take("latency", *peer, &mut table, || bench.latency(*peer, round.round))?;
        }
        if wants("swap") {
            bench.load(Input::Orders, settings.orders)?;
            let input = Input::Orders.topic();
            round.take("swap", Peer::Weir, &mut table, || swapping::measure(bench, input, round.round))?;
        }
        if wants("embedded") {
            let orders = settings.orders.min(ORDERS_EMBEDDED_MAX);
            round.take("embedded", Peer::Weir, &mut table, || embedded::measure(bench, orders))?;
        }
    }
    Ok(table)
}

/// One of the runs of all parts.
struct Round<'a> {
    settings: &'a Settings,
    bench: &'a Bench,
    round: usize,
}

impl Round<'_> {
    fn take(&self, part: &str, peer: Peer, table: &mut Table, measure: impl FnOnce() -> Result<Figures>) -> Result<()> {
        let figures = step(part, &self.named(peer), measure)?;
        println!("    {figures}");
        table.add(part, peer, &figures);
        Ok(())
    }

    fn named(&self, peer: Peer) -> String {
        format!("{} ({} of {})", peer.name(), self.round + 1, self.settings.runs)
    }

    fn drain(&self, drain: &Drain, table: &mut Table) -> Result<()> {
        self.bench.load(drain.input, self.settings.orders)?;
        for &peer in drain.peers {
            self.take(drain.part, peer, table, || {
                let run = Run::new(self.bench, drain, peer, self.round)?;
                let figures = run.drain()?;
                run.clean_up()?;
                Ok(figures)
            })?;
        }
        Ok(())
    }

    fn restore(&self, table: &mut Table) -> Result<()> {
        let drain = drains::named("unique").context("the drain whose stores are restored")?;
        self.bench.load(drain.input, self.settings.orders)?;
        for &peer in drain.peers {
            let (drained, restored) =
                step("restore", &self.named(peer), || restoring::after_drain(self.bench, drain, peer, self.round))?;
            println!("    {drained}\n    {restored}");
            table.add("unique", peer, &drained);
            table.add("restore", peer, &restored);
        }
        Ok(())
    }
}

/// Where the Kafka Streams peer's classes are.
fn classes(folder: &std::path::Path) -> PathBuf {
    folder.join("classes")
}
