//! One stream thread: an OS thread that drives the engine on a transport of its own, and begins anew after a fault that
//! may pass.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_core::ports::{Digest, TransportError};
use weir_core::task::{NodeMetrics, TaskId};
use weir_core::thread::{Driver, Event, Stores, StreamThread, TaskStatus, ThreadConfig, Turn};
use weir_core::topology::NodeName;

use super::backoff::Backoff;
use super::clock::SystemClock;
use super::histogram::Histogram;
use super::meter::{Counted, Meter};
use super::observer::ThreadObserver;
use super::stop::Cause;
use super::{Host, internal};
use crate::problem::Problem;
use crate::units::now_ms;

/// The longest wait of a turn: how soon a deployment or the wish to stop is noticed where no rows come.
const TURN_WAIT: Duration = Duration::from_millis(50);

/// How often a thread tells what it does.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);

/// How long a thread may take to commit and stop; then what is open is left to be aborted.
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);

/// The stack of a stream thread: a guest's own lies on it (512 KiB), and the engine's.
const STACK_BYTES: usize = 4 << 20;

/// What others may know of a stream thread.
#[derive(Debug)]
pub struct Shared {
    /// From 0.
    pub index: usize,
    /// When its loop last came round, in milliseconds since 1970 UTC.
    beat_ms: AtomicI64,
    snapshot: Mutex<Snapshot>,
}

/// Where a thread stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not in the group yet.
    #[default]
    Starting,
    /// It takes rows.
    Running,
    /// A fault that may pass: it waits and tries again.
    Waiting,
    /// It has ended.
    Stopped,
}

/// What a thread said last.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Where it stands.
    pub phase: Phase,
    /// What it waits for.
    pub fault: Option<String>,
    /// How often it had to begin anew.
    pub restarts: u64,
    /// Its tasks.
    pub tasks: Vec<TaskStatus>,
    /// What each node has done, in file order.
    pub nodes: Vec<(NodeName, NodeMetrics)>,
    /// How long commits took.
    pub commits: Histogram,
    /// Commits that did not return as done.
    pub commits_failed: u64,
    /// Swaps of each node.
    pub swaps: BTreeMap<NodeName, u64>,
    /// Versions that a task could not start: which, and why.
    pub refused: BTreeMap<(NodeName, TaskId), (Digest, String)>,
    /// Why a task is FAILED.
    pub failures: BTreeMap<TaskId, super::observer::Failure>,
    /// The longest pause of each swapped node.
    pub pauses: BTreeMap<String, Duration>,
    /// Rows of changelogs that were replayed.
    pub replayed_rows: u64,
    /// Restores that are done.
    pub restores: u64,
}

impl Shared {
    /// Of thread `index`.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self { index, beat_ms: AtomicI64::new(now_ms()), snapshot: Mutex::default() }
    }

    /// What it said last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago its loop came round.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_millis((now_ms() - self.beat_ms.load(Ordering::Relaxed)).max(0).unsigned_abs())
    }

    fn beat(&self) {
        self.beat_ms.store(now_ms(), Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Starts stream thread `index`.
///
/// # Errors
/// The operating system gives no thread.
pub fn spawn(host: &Arc<Host>, index: usize) -> Result<std::thread::JoinHandle<()>, Problem> {
    let host = host.clone();
    std::thread::Builder::new()
        .name(format!("stream-{index}"))
        .stack_size(STACK_BYTES)
        .spawn(move || run(&host, index))
        .map_err(|error| Problem::failed(format!("cannot start stream thread {index}: {error}")))
}

fn run(host: &Host, index: usize) {
    let shared = host.threads[index].clone();
    let mut backoff = Backoff::default();
    // What earlier lives have counted: the engine counts anew in each.
    let mut earlier = Nodes::new();
    while !host.stop.is_set() {
        let fault = match life(host, &shared, &mut backoff, &mut earlier) {
            Ok(()) => break,
            Err(TransportError::Fatal(cause)) => {
                tracing::error!(thread = index, cause, "the stream thread cannot go on; the host stops");
                host.stop.set(Cause::Fault(Problem::failed(format!("stream thread {index}: {cause}"))));
                break;
            }
            Err(error) => error.to_string(),
        };
        let wait = backoff.next();
        tracing::warn!(thread = index, cause = fault, retry_in_ms = wait.as_millis(), "the stream thread begins anew");
        shared.change(|snapshot| {
            snapshot.restarts += 1;
            snapshot.phase = Phase::Waiting;
            snapshot.fault = Some(fault);
            snapshot.tasks.clear();
        });
        shared.beat();
        host.stop.wait(wait);
    }
    shared.change(|snapshot| {
        snapshot.phase = Phase::Stopped;
        snapshot.tasks.clear();
    });
}

/// What nodes have done, in file order.
type Nodes = Vec<(NodeName, NodeMetrics)>;

fn life(host: &Host, shared: &Shared, backoff: &mut Backoff, earlier: &mut Nodes) -> Result<(), TransportError> {
    let retriable = |problem: Problem| TransportError::Retriable(problem.detail);
    let connector = host.connector().map_err(retriable)?;
    let partitions = host.partitions().map_err(retriable)?.clone();
    let (transport, counted) = Meter::around(connector.transport(shared.index)?);
    if !host.deployments.wait_initial(&host.stop, || shared.beat()) {
        return Ok(());
    }
    let config = ThreadConfig {
        task_idle_ms_max: host.config.task_idle_ms_max,
        commit_interval_us: i64::try_from(host.config.commit_interval.as_micros()).unwrap_or(i64::MAX),
        ..ThreadConfig::default()
    };
    // Asked at each beginning: a changelog that was deleted meanwhile and made again is another one.
    let changelogs = internal::changelogs(&*connector.client(), &host.topology, &partitions).map_err(retriable)?;
    let stores =
        Stores { supplier: host.stores.supplier(), topic_ids: changelogs.ids, age_max_ms: changelogs.age_max_ms };
    let thread = StreamThread::new(host.topology.clone(), partitions, config, host.plugins.supplier());
    let thread = thread.with_stores(stores);
    let driver = Driver::new(thread, Box::new(transport), Box::new(SystemClock::new()));
    let observer = ThreadObserver::new(shared.index, shared.snapshot(), counted.clone());
    let mut life = Life {
        host,
        shared,
        driver,
        observer,
        earlier,
        generation: 0,
        stopping: None,
        published: None,
        rows: 0,
        began: Instant::now(),
        counted,
    };
    let ended = life.run(backoff);
    life.tell();
    let nodes = life.nodes();
    *earlier = nodes;
    ended
}

struct Life<'a> {
    host: &'a Host,
    shared: &'a Shared,
    driver: Driver,
    observer: ThreadObserver,
    earlier: &'a Nodes,
    /// Of the deployments that the engine was told.
    generation: u64,
    /// When it was told to stop.
    stopping: Option<Instant>,
    published: Option<Instant>,
    /// Rows taken in by the time of the last turn.
    rows: u64,
    began: Instant,
    counted: Counted,
}

impl Life<'_> {
    fn run(&mut self, backoff: &mut Backoff) -> Result<(), TransportError> {
        self.deploy()?;
        loop {
            self.shared.beat();
            if self.stop()? == Turn::Stopped || self.deploy()? == Turn::Stopped {
                return Ok(());
            }
            match self.driver.turn(TURN_WAIT, &mut self.observer) {
                Ok(Turn::Stopped) => return Ok(()),
                Ok(Turn::Running) => {
                    backoff.reset();
                    self.shared.change(|snapshot| {
                        (snapshot.phase, snapshot.fault) = (Phase::Running, None);
                    });
                }
                Err(TransportError::Retriable(cause)) => self.wait(cause, backoff)?,
                Err(error) => return Err(error),
            }
            self.turned();
        }
    }

    /// Says when the host is to stop, and gives up where that takes too long: what is open is aborted by those after us.
    fn stop(&mut self) -> Result<Turn, TransportError> {
        match self.stopping {
            None if self.host.stop.is_set() => {
                self.stopping = Some(Instant::now());
                self.driver.send(Event::Shutdown, &mut self.observer)
            }
            Some(since) if since.elapsed() > STOP_WAIT_MAX => {
                tracing::error!(
                    thread = self.shared.index,
                    "could not commit in time; the open transaction is left to be aborted"
                );
                Ok(Turn::Stopped)
            }
            _ => Ok(Turn::Running),
        }
    }

    /// Tells the engine what is deployed since it was last told.
    fn deploy(&mut self) -> Result<Turn, TransportError> {
        let Some((generation, deployed)) = self.host.deployments.since(self.generation) else {
            return Ok(Turn::Running);
        };
        self.generation = generation;
        for (node, version, revision) in deployed {
            let event = Event::Deployed { node, version, revision };
            if self.driver.send(event, &mut self.observer)? == Turn::Stopped {
                return Ok(Turn::Stopped);
            }
        }
        Ok(Turn::Running)
    }

    fn wait(&mut self, cause: String, backoff: &mut Backoff) -> Result<(), TransportError> {
        if self.stopping.is_some_and(|since| since.elapsed() > STOP_WAIT_MAX) {
            return Err(TransportError::Retriable(cause));
        }
        self.observer.waiting(&cause);
        self.shared.change(|snapshot| {
            (snapshot.phase, snapshot.fault) = (Phase::Waiting, Some(cause));
        });
        let wait = backoff.next();
        if self.stopping.is_some() {
            // The wish to stop is what else would wake it.
            std::thread::sleep(wait);
        } else {
            self.host.stop.wait(wait);
        }
        Ok(())
    }

    fn turned(&mut self) {
        let now = Instant::now();
        let rows = self.driver.thread().metrics().map(|(_, metrics)| metrics.rows_in).sum();
        let busy = self.began.elapsed().saturating_sub(self.counted.waited());
        self.observer.pause.turned(rows != self.rows, busy);
        self.rows = rows;
        let due = self.published.is_none_or(|last| now.duration_since(last) >= PUBLISH_INTERVAL);
        if !due && !self.observer.take_swapped() {
            return;
        }
        self.published = Some(now);
        self.tell();
        self.observer.restores.progress(self.driver.thread().tasks());
    }

    fn tell(&self) {
        let (tasks, nodes) = (self.driver.thread().tasks().collect(), self.nodes());
        self.shared.change(|snapshot| {
            (snapshot.tasks, snapshot.nodes) = (tasks, nodes);
            self.observer.tell(snapshot);
        });
    }

    fn nodes(&self) -> Nodes {
        let thread = self.driver.thread();
        let mut nodes: Nodes = thread.metrics().map(|(name, metrics)| (name.clone(), metrics.clone())).collect();
        for ((_, metrics), (_, earlier)) in nodes.iter_mut().zip(self.earlier) {
            super::metrics::add(metrics, earlier);
        }
        nodes
    }
}
