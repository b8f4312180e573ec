//! `cargo xtask bench [--runs N] [--orders N] [PART...]`: Weir against its peers, the same work on the same broker in the same
//! run; a table of ratios in target/bench/report.md. `tests/bench/README.md` says how each figure is taken.

mod embedded;
mod measure;
mod peers;
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
use measure::Bench;
use table::Table;

/// What to measure.
struct Settings {
    runs: usize,
    orders: u64,
    parts: Vec<String>,
}

const PARTS: [&str; 5] = ["forward", "validate", "latency", "embedded", "swap"];

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
                part if PARTS.contains(&part) => settings.parts.push(part.to_owned()),
                other => bail!("unknown: {other}; parts are {}", PARTS.join(", ")),
            }
        }
        if settings.parts.is_empty() {
            settings.parts = PARTS.map(str::to_owned).into();
        }
        Ok(settings)
    }
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
    let input = "orders";
    step("load", &format!("{} orders of some 120 bytes", settings.orders), || bench.load(input, settings.orders))?;
    let wants = |part: &str| settings.parts.iter().any(|wanted| wanted == part);
    for round in 0..settings.runs {
        for (part, peers) in [("forward", peers::FORWARD), ("validate", peers::VALIDATE)] {
            for peer in peers.iter().filter(|_| wants(part)) {
                let what = format!("{part} in {} ({} of {})", peer.name(), round + 1, settings.runs);
                let figures = step("drain", &what, || bench.drain(*peer, part, input, round))?;
                println!("    {figures}");
                table.add(part, *peer, &figures);
            }
        }
        for peer in [peers::Peer::Streams, peers::Peer::Weir].iter().filter(|_| wants("latency")) {
            let what = format!("5 k/s forward in {} ({} of {})", peer.name(), round + 1, settings.runs);
            let figures = step("latency", &what, || bench.latency(*peer, round))?;
            println!("    {figures}");
            table.add("latency", *peer, &figures);
        }
        if wants("swap") {
            let what = format!("under full load ({} of {})", round + 1, settings.runs);
            let figures = step("swap", &what, || swapping::measure(bench, input, round))?;
            println!("    {figures}");
            table.add("swap", peers::Peer::Weir, &figures);
        }
        if wants("embedded") {
            let what = format!("validate on the embedded log ({} of {})", round + 1, settings.runs);
            let figures =
                step("embedded", &what, || embedded::measure(bench, settings.orders.min(ORDERS_EMBEDDED_MAX)))?;
            println!("    {figures}");
            table.add("embedded", peers::Peer::Weir, &figures);
        }
    }
    Ok(table)
}

/// Where the Kafka Streams peer's classes are.
fn classes(folder: &std::path::Path) -> PathBuf {
    folder.join("classes")
}
