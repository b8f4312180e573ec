//! Killed at every step of a commit: of each request of a transaction, a host meets its end before the broker has it, and
//! after the broker did it but before the host knows. The next life finds what was committed and does the rest, and of the
//! changelog replays what its own disk does not have.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::application::{Application, PARTITIONS};
use weir_tests::host::{HostOptions, WeirHost};
use weir_tests::proxy::{Action, ApiKey, Direction, KafkaProxy, Rule, RuleHandle};
use weir_tests::words::{self, Told};

const READY_WAIT: Duration = Duration::from_secs(60);
/// A step that was not met so long after lines came never will be.
const STEP_WAIT: Duration = Duration::from_secs(30);
const COUNTS_WAIT: Duration = Duration::from_secs(30);
/// Longer than any host of this test lives.
const HELD: Duration = Duration::from_secs(120);
/// Lines before the first kill, which are flushed.
const FLUSHED: u64 = 2_000;
/// Lines of a part, how fast they come, and how many one life gets.
const LINES: u64 = 1_000;
const RATE: u64 = 1_500;
const LINES_MAX: u64 = 40 * LINES;

/// What a transaction is made of, and how many such requests pass first: the one that is met is in the middle of the
/// stream. Of some there are several in a transaction.
const STEPS: [(&str, ApiKey, u32); 5] = [
    ("AddPartitionsToTxn", ApiKey::ADD_PARTITIONS_TO_TXN, 10),
    ("Produce", ApiKey::PRODUCE, 120),
    ("AddOffsetsToTxn", ApiKey::ADD_OFFSETS_TO_TXN, 3),
    ("TxnOffsetCommit", ApiKey::TXN_OFFSET_COMMIT, 3),
    ("EndTxn", ApiKey::END_TXN, 3),
];

/// What becomes of the message that the host is killed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The broker never has the request.
    Lost,
    /// The broker has the request once the host's next life is at work.
    Late,
    /// The broker did it, and nobody is there to hear so.
    Unheard,
}

impl Fate {
    fn rule(self, step: ApiKey, pass: u32, client: &str) -> Rule {
        let (direction, action) = match self {
            Self::Lost => (Direction::Request, Action::Drop),
            Self::Late => (Direction::Request, Action::Delay(HELD)),
            Self::Unheard => (Direction::Response, Action::Delay(HELD)),
        };
        Rule::new(step, direction, action).client(client).skip(pass)
    }
}

struct Scene {
    application: Application,
    proxy: KafkaProxy,
    options: HostOptions,
    told: Told,
    /// Lines that were put in.
    lines: u64,
}

impl Scene {
    fn new() -> Result<Self> {
        let application = Application::new("steps", words::topology)?;
        let proxy = application.kafka.proxy()?;
        let options = application.host("a").bootstrap(proxy.address());
        let told = Told::new(&application.kafka, &application.output())?;
        Ok(Self { application, proxy, options, told, lines: 0 })
    }

    fn start(&self) -> Result<WeirHost> {
        WeirHost::start_ready(&self.options, READY_WAIT)
    }

    /// Puts lines in, a part after another, until `during` is over. Parts are several commits' worth; on a slow machine it
    /// takes more of them to come to a step.
    fn put<T>(&mut self, during: impl FnOnce() -> Result<T>) -> Result<T> {
        let (kafka, input, first) = (self.application.kafka.clone(), self.application.input(), self.lines);
        let is_over = Arc::new(AtomicBool::new(false));
        let producer = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || -> Result<u64> {
                let mut next = first;
                while next == first || (next < first + LINES_MAX && !is_over.load(Ordering::SeqCst)) {
                    words::produce(&kafka, &input, next..next + LINES, Some(RATE))?;
                    next += LINES;
                }
                Ok(next)
            }
        });
        let done = during();
        is_over.store(true, Ordering::SeqCst);
        self.lines = producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
        done
    }

    /// All lines are counted once, as told and as stored.
    fn judge(&mut self, host: &WeirHost) -> Result<()> {
        let counts = words::count(0..self.lines);
        self.told.wait(&counts, COUNTS_WAIT).with_context(|| host.log())?;
        // What is told is committed, and stored a moment later.
        weir_tests::wait::until("the stores hold what was counted", COUNTS_WAIT, || {
            Ok((host.store("counts")? == counts).then_some(()))
        })
    }

    /// The host, started anew, began its replay where its disk ends and not before.
    fn judge_restore(&self, host: &WeirHost, flushed: &[i64]) -> Result<()> {
        let from = host.restored_from(&words::changelog(self.application.name()));
        ensure!(from.len() == flushed.len(), "not every partition was restored: {from:?}");
        for (partition, from) in from {
            let offset = from.strip_prefix("from ").and_then(|offset| offset.parse::<i64>().ok());
            let offset = offset.with_context(|| format!("changelog {partition} was replayed {from}"))?;
            let flushed = flushed[partition as usize];
            ensure!(offset >= flushed, "changelog {partition} was replayed {from}, and {flushed} had been flushed");
        }
        Ok(())
    }

    /// Lets a host meet its end at a step, and returns its next life when that has done the rest.
    fn kill_at(&mut self, host: WeirHost, rule: &RuleHandle) -> Result<(WeirHost, Duration)> {
        let options = self.options.clone();
        let reborn = self.put(|| {
            rule.wait_met(1, STEP_WAIT)?;
            host.kill()?;
            let killed = Instant::now();
            let host = WeirHost::start_ready(&options, READY_WAIT)?;
            // What was held arrives now, at a broker that has heard of the next life.
            rule.release();
            Ok((host, killed.elapsed()))
        })?;
        self.judge(&reborn.0)?;
        Ok(reborn)
    }

    fn changelog_ends(&self) -> Result<Vec<i64>> {
        let topic = words::changelog(self.application.name());
        self.application.kafka.end_offsets(&topic, weir_tests::Isolation::Committed)
    }
}

#[test]
fn a_host_that_is_killed_at_any_step_of_a_commit_loses_and_doubles_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    let host = scene.start()?;
    scene.lines = FLUSHED;
    words::produce(&scene.application.kafka, &scene.application.input(), 0..FLUSHED, None)?;
    scene.judge(&host)?;
    ensure!(host.terminate()?.success(), "the host did not end well");
    let flushed = scene.changelog_ends()?;
    // Markers of the last transactions may lie between what was flushed and the end.
    const MARKERS_MAX: i64 = 2;
    let flushed: Vec<i64> = flushed.iter().map(|end| end - MARKERS_MAX).collect();
    ensure!(flushed.len() == PARTITIONS as usize);
    let mut host = scene.start()?;
    ensure!(host.replayed()? == 0, "a host that stopped in peace has all of it on disk");
    for (name, step, pass) in STEPS {
        for fate in [Fate::Lost, Fate::Late, Fate::Unheard] {
            let rule = scene.proxy.set(fate.rule(step, pass, scene.application.name()));
            let began = Instant::now();
            let (next, ready) = scene.kill_at(host, &rule).with_context(|| format!("{name}, {fate:?}"))?;
            scene.judge_restore(&next, &flushed).with_context(|| format!("{name}, {fate:?}"))?;
            println!(
                "{name:>18} {fate:<8?} ready {:>4} ms after the kill, {:>5} rows replayed; {:>4} ms in all",
                ready.as_millis(),
                next.replayed()?,
                began.elapsed().as_millis()
            );
            host = next;
        }
    }
    // The changelog alone says the same: what was on disk is gone.
    ensure!(host.terminate()?.success(), "the host did not end well");
    fs::remove_dir_all(scene.application.state_dir("a").join("stores")).context("the stores lie in `stores`")?;
    let host = scene.start()?;
    scene.judge(&host)?;
    let from = host.restored_from(&words::changelog(scene.application.name()));
    ensure!(from.values().all(|from| from.starts_with("from the beginning")), "{from:?}");
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}
