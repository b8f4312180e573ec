//! `cargo xtask demo [--kafka [HOST:PORT]] [--once]`: the orders example at work. Orders come in, verdicts go out, the plugin
//! is swapped meanwhile, and what came of it is compared with a count of our own.

mod orders;
mod verdicts;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cargo;
use crate::host::Host;
use crate::kafka::Broker;
use crate::process::run as run_command;
use crate::step::step;
use crate::swap::{self, Swaps};
use crate::{paths, plugins, setup};
use orders::Orders;
use verdicts::Verdicts;

const LISTEN: &str = "127.0.0.1:8480";
const ORDERS: u64 = 100_000;
/// The first orders come as fast as they are taken, the others while versions are swapped.
const BACKLOG: u64 = 50_000;
/// Orders per second while versions are swapped.
const SWAP_RATE: u64 = 10_000;
/// Swaps, back and forth between two versions.
const SWAPS: usize = 4;
/// Between two swaps, so that each version does some work.
const SWAP_PAUSE: Duration = Duration::from_millis(400);
/// Verdicts that have not come so long after the others never will.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Where the demo runs.
enum Log {
    Embedded,
    OwnKafka(Broker),
    Kafka(String),
}

impl Log {
    fn bootstrap(&self) -> Option<String> {
        match self {
            Self::Embedded => None,
            Self::OwnKafka(broker) => Some(broker.address()),
            Self::Kafka(address) => Some(address.clone()),
        }
    }
}

/// Runs the demo; an error says which figure is wrong.
pub fn run(arguments: &[&str]) -> Result<()> {
    let once = arguments.contains(&"--once");
    let rest: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--once").collect();
    setup::run()?;
    plugins::run()?;
    step("build", "the host", || {
        // Without RocksDB, which alone takes longer to compile than all the rest: stores are in memory, and in the log.
        let bins =
            ["--quiet", "--release", "--workspace", "--exclude", "weir-rocksdb", "--bins", "--no-default-features"];
        run_command(cargo("build")?.args(bins))
    })?;
    let log = match rest.as_slice() {
        [] => Log::Embedded,
        ["--kafka"] => Log::OwnKafka(step("kafka", "start Apache Kafka", Broker::start_for_tests)?),
        ["--kafka", address] => Log::Kafka((*address).to_owned()),
        other => bail!("unknown: {}; usage: cargo xtask demo [--kafka [HOST:PORT]] [--once]", other.join(" ")),
    };
    let mut host = start(&log)?;
    let is_right = show(&host)?;
    if once {
        host.stop()?;
        if !is_right {
            bail!("a figure is wrong: the lines above say which");
        }
        return Ok(());
    }
    println!("  try       curl localhost:8480/api/v1/status");
    println!("            {} tail order-validations --from beginning --until-end | tail", weir().display());
    println!("            curl -T {} localhost:8480/api/v1/nodes/details/plugin", component().display());
    println!("  Ctrl-C ends it.");
    host.wait()
}

fn weir() -> PathBuf {
    paths::target().join("release/weir")
}

fn component() -> PathBuf {
    paths::plugins().join("order-details.wasm")
}

/// Starts a host of the example, with nothing in it where it holds the log itself.
fn start(log: &Log) -> Result<Host> {
    let folder = paths::target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (topology, state) = (topology(&folder)?, folder.join("state"));
    let mut command: Vec<String> =
        [weir(), "run".into(), topology, "--state-dir".into(), state].map(|word| word.display().to_string()).into();
    command.extend(["--listen", LISTEN].map(str::to_owned));
    let place = match log.bootstrap() {
        None => format!("embedded log in {}", folder.display()),
        Some(bootstrap) => {
            command.extend(["--bootstrap".to_owned(), bootstrap.clone()]);
            format!("Kafka at {bootstrap}")
        }
    };
    let host = Host::start(&command, LISTEN, folder.join("host.log"))?;
    println!("  weir      http://{LISTEN}   {place}   exactly once   ready in {:.2} s", host.ready.as_secs_f64());
    Ok(host)
}

/// The example's file, with the plugins where this build has put them.
fn topology(folder: &Path) -> Result<PathBuf> {
    let example = paths::root().join("examples/orders/topology.yaml");
    let text = fs::read_to_string(&example).with_context(|| format!("cannot read {}", example.display()))?;
    let text = text.replace("../../target/plugins", &paths::plugins().display().to_string());
    let file = folder.join("topology.yaml");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Produces, swaps, counts and prints; true: every figure is right.
fn show(host: &Host) -> Result<bool> {
    let orders = Orders::new();
    let begin = Instant::now();
    let mut producer = Command::new(weir())
        .args(["produce", "orders", "--host", LISTEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start weir produce")?;
    let mut lines = producer.stdin.take().context("its input is piped")?;
    for number in 0..BACKLOG {
        writeln!(lines, "{}", orders.line(number))?;
    }
    let swaps = thread::scope(|scope| {
        let swaps = scope.spawn(|| swap::back_and_forth(&host.http, &component(), SWAPS, SWAP_PAUSE));
        let paced = Instant::now();
        for number in BACKLOG..ORDERS {
            // Once the last swap is done, the rest may come as fast as it goes.
            let due = Duration::from_micros((number - BACKLOG) * 1_000_000 / SWAP_RATE);
            if let Some(early) = due.checked_sub(paced.elapsed())
                && !swaps.is_finished()
            {
                thread::sleep(early);
            }
            writeln!(lines, "{}", orders.line(number)).context("weir produce ended")?;
        }
        ensure!(swaps.is_finished(), "{} s of orders did not last for {SWAPS} swaps", (ORDERS - BACKLOG) / SWAP_RATE);
        swaps.join().map_err(|_| anyhow::anyhow!("the swaps panicked"))?
    })?;
    drop(lines);
    if !producer.wait()?.success() {
        bail!("weir produce failed");
    }
    let verdicts = verdicts::wait(&weir(), LISTEN, &orders, ORDERS, SILENCE_MAX)?;
    report(&verdicts, &orders, &swaps, begin);
    Ok(verdicts == orders.expected(ORDERS) && swaps.done == SWAPS)
}

fn report(verdicts: &Verdicts, orders: &Orders, swaps: &Swaps, begin: Instant) {
    let expected = orders.expected(ORDERS);
    let lost = expected.total().saturating_sub(verdicts.total());
    println!(
        "  orders    {ORDERS} produced in {:.1} s: {} PASS, {} FAIL, {} without a verdict; {lost} lost, {} twice",
        seconds(begin),
        verdicts.pass,
        verdicts.fail,
        ORDERS - verdicts.total().min(ORDERS),
        verdicts.twice
    );
    println!("  counted   {} PASS, {} FAIL by the orders themselves", expected.pass, expected.fail);
    println!(
        "  hot swap  order-details {} -> {}, {} times under {SWAP_RATE} orders/s: longest pause {:.1} ms",
        swaps.from, swaps.to, swaps.done, swaps.longest_pause_ms
    );
}

fn seconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64()
}
