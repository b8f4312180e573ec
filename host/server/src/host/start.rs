//! A host's life: REST first, so that it can say why it is not ready; then the log, the topics, the deployments, the
//! stream threads; at the end a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use weir_core::record::TopicName;
use weir_core::topology::{NodeName, Topology};
use weir_wasm::Artifact;

use super::backoff::Backoff;
use super::stop::Cause;
use super::{Config, Host, connect, fit, follow, initial, space, thread, topics};
use crate::exit::Exit;
use crate::problem::{Kind, Problem};
use crate::rest;
use crate::state_dir::StateDir;

/// Workers of the runtime that serves REST; stream threads have none of it.
const REST_WORKERS: usize = 1;

/// Requests that may wait for the log, a compiler or a deployment at one time.
const REST_BLOCKING_MAX: usize = 64;

/// How often the same reason to wait is written again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(30);

/// Open answers may take this long to end once the host stops.
const REST_STOP_WAIT: Duration = Duration::from_millis(200);

type Compiled = Result<Vec<(NodeName, Artifact, Vec<u8>)>, Problem>;

/// Runs a host until it is told to stop or cannot go on.
///
/// # Errors
/// Why it cannot start, or cannot go on.
pub fn run(config: Config, topology: Arc<Topology>) -> Result<Exit, Problem> {
    let began = Instant::now();
    let state_dir = StateDir::take(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(REST_WORKERS)
        .max_blocking_threads(REST_BLOCKING_MAX)
        .thread_name("rest")
        .enable_all()
        .build()
        .map_err(|error| Problem::failed(format!("cannot start the runtime of REST: {error}")))?;
    let listen = config.listen;
    let listener = runtime.block_on(TcpListener::bind(listen)).map_err(|error| {
        Problem::failed(format!(
            "cannot listen on {listen}: {error}; stop what listens there, or choose another --listen"
        ))
    })?;
    let address = listener.local_addr().unwrap_or(listen);
    let host = Arc::new(Host::new(config, topology, state_dir)?);
    tracing::info!(
        application = host.topology.application,
        host = host.state_dir.host_id(),
        "weir at http://{address}"
    );
    let interrupts = runtime.block_on(async { (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) });
    watch(&runtime, &host, interrupts)?;
    runtime.spawn(rest::serve(listener, host.clone()));
    let threads = match start(&host, began) {
        Ok(threads) => threads,
        Err(problem) => {
            host.stop.set(Cause::Fault(problem));
            Vec::new()
        }
    };
    let cause = host.stop.cause();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of this host has panicked");
        }
    }
    runtime.shutdown_timeout(REST_STOP_WAIT);
    match cause {
        Cause::Asked => {
            tracing::info!("stopped");
            Ok(Exit::Ok)
        }
        Cause::Fault(problem) => Err(problem),
    }
}

type Signals = (std::io::Result<tokio::signal::unix::Signal>, std::io::Result<tokio::signal::unix::Signal>);

fn watch(runtime: &tokio::runtime::Runtime, host: &Arc<Host>, signals: Signals) -> Result<(), Problem> {
    let failed = |error: std::io::Error| Problem::failed(format!("cannot watch for signals: {error}"));
    let (mut terminate, mut interrupt) = (signals.0.map_err(failed)?, signals.1.map_err(failed)?);
    let host = host.clone();
    runtime.spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        tracing::info!("told to stop: committing");
        host.stop.set(Cause::Asked);
        // A second signal means: at once. What is open is aborted by those after us.
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        std::process::exit(Exit::Failed as i32);
    });
    Ok(())
}

fn start(host: &Arc<Host>, began: Instant) -> Result<Vec<JoinHandle<()>>, Problem> {
    let compiling = spawn("compile", host, |host| initial::compile(host))?;
    let connector = connect::connect(&host.config, &host.topology, &host.state_dir)?;
    let _ = host.connector.set(connector);
    let mut created = BTreeSet::new();
    let Some(partitions) = retry(host, || prepare_topics(host, &mut created))? else { return Ok(Vec::new()) };
    let _ = host.partitions.set(partitions);
    // Threads make their clients, and connect them, while deployments are read; they begin with the first versions.
    let mut threads = Vec::new();
    for index in 0..host.config.threads {
        threads.push(thread::spawn(host, index)?);
    }
    let compiled: Compiled = compiling.join().unwrap_or_else(|_| Err(Problem::failed("the compiler has panicked")));
    let settled = compiled.and_then(|compiled| {
        retry(host, || {
            follow::catch_up(host)?;
            fit::settle(host, &created)?;
            initial::settle(host, &compiled)
        })
    });
    if let Err(problem) = settled {
        host.stop.set(Cause::Fault(problem));
        return Ok(threads);
    }
    host.deployments.set_followed();
    threads.push(spawn("deployments", host, follow::run)?);
    threads.push(spawn("space", host, space::run)?);
    host.wait_for(None);
    tracing::info!(took_ms = began.elapsed().as_millis(), threads = host.config.threads, "started");
    Ok(threads)
}

fn spawn<T: Send + 'static>(
    name: &str,
    host: &Arc<Host>,
    work: impl FnOnce(&Arc<Host>) -> T + Send + 'static,
) -> Result<JoinHandle<T>, Problem> {
    let host = host.clone();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || work(&host))
        .map_err(|error| Problem::failed(format!("cannot start thread {name}: {error}")))
}

/// Tries until it succeeds, or fails for good, or the host is to stop (none). What it waits for is told by `/readyz`.
fn retry<T>(host: &Host, mut work: impl FnMut() -> Result<T, Problem>) -> Result<Option<T>, Problem> {
    let mut backoff = Backoff::default();
    let mut told: Option<(String, Instant)> = None;
    while !host.stop.is_set() {
        let problem = match work() {
            Ok(done) => return Ok(Some(done)),
            Err(problem) if problem.kind != Kind::Unreachable => return Err(problem),
            Err(problem) => problem.detail,
        };
        if told.as_ref().is_none_or(|(said, at)| *said != problem || at.elapsed() > REPEAT_INTERVAL) {
            tracing::warn!(cause = problem, "the log does not answer; trying again");
            told = Some((problem.clone(), Instant::now()));
        }
        host.wait_for(Some(format!("the log: {problem}")));
        host.stop.wait(backoff.next());
    }
    Ok(None)
}

/// Makes the topics that are missing, which are added to `created`.
fn prepare_topics(host: &Host, created: &mut BTreeSet<TopicName>) -> Result<BTreeMap<TopicName, i32>, Problem> {
    let client = host.client()?;
    let survey = fit::survey(host)?;
    if !survey.mistakes.is_empty() {
        return Err(Problem::invalid("topics do not fit the topology").with(survey.mistakes));
    }
    let (mut partitions, deployments) = (survey.partitions, host.deployments_topic());
    for topic in &survey.missing {
        if client.create_topic(topic)? {
            tracing::info!(topic = %topic.name, partitions = topic.partitions, "created");
            created.insert(topic.name.clone());
        }
        partitions.insert(topic.name.clone(), topic.partitions);
    }
    let internal = [deployments.clone(), host.plugins_topic()];
    let there = client.partitions(&internal)?;
    for topic in topics::of_application(internal).iter().filter(|topic| !there.contains_key(&topic.name)) {
        client.create_topic(topic)?;
    }
    // Named among the topics, so that the engine records its swaps there.
    partitions.insert(deployments, 1);
    Ok(partitions)
}
