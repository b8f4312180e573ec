//! Hot deployment on a real Apache Kafka, with two hosts: a swap loses no order, doubles none, and takes effect where the
//! deployments say.
//!
//! What a single host refuses, and how it answers, is tested on the embedded log in `host/server/tests/deploy.rs`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_tests::application::{Application, PARTITIONS};
use weir_tests::host::{self, WeirHost};
use weir_tests::kafka::{Isolation, Row};
use weir_tests::{ExactlyOnceChecker, Expected, Output, orders, wait};

const READY_WAIT: Duration = Duration::from_secs(60);
/// Outputs that have not come so long after the last disturbance never will.
const OUTPUTS_WAIT: Duration = Duration::from_secs(60);
/// A host gives a deployment 30 s: see the queries below.
const PUT_WAIT: Duration = Duration::from_secs(45);
const PUT: &str = "/api/v1/nodes/stamp/plugin?wait=30s";
/// Bytes of a component that these hosts accept.
const ARTIFACT_BYTES_MAX: usize = 1 << 20;

/// An application whose node `stamp` stamps its version on each order.
fn stamping(name: &str) -> Result<Application> {
    Application::new(name, |application, input, output, partitions| {
        format!(
            "\
application: {application}
topics:
  {input}:  {{ key: string, value: json, partitions: {partitions} }}
  {output}: {{ key: string, value: json, partitions: {partitions} }}
nodes:
  orders:  {{ source: {input} }}
  stamp:   {{ from: orders, process: {{ plugin: stamp, config: {{ version: blue }} }} }}
  stamped: {{ from: stamp, sink: {output} }}
"
        )
    })
}

/// Starts host `host`, which has a state directory of its own; started again, it is the same host.
fn start(application: &Application, host: &str) -> Result<WeirHost> {
    let cap = ["--artifact-bytes-max".to_owned(), ARTIFACT_BYTES_MAX.to_string()];
    WeirHost::start_ready(&application.host(host).arguments(cap), READY_WAIT)
}

/// Puts orders in, and waits until as many are stamped: by which versions, in the order of their numbers.
fn put_in(application: &Application, numbers: Range<u64>) -> Result<Vec<String>> {
    application.kafka.produce_orders(&application.input(), numbers.clone(), None)?;
    wait::until("the orders are stamped", OUTPUTS_WAIT, || {
        let outputs = application.kafka.read_committed(&application.output())?;
        let mut stamps: BTreeMap<u64, String> = outputs.iter().map(stamp).collect::<Result<_>>()?;
        let stamps: Vec<String> = numbers.clone().filter_map(|number| stamps.remove(&number)).collect();
        Ok((stamps.len() as u64 == numbers.end - numbers.start).then_some(stamps))
    })
}

/// An order of the input: its number.
fn number(id: &Value) -> Result<u64> {
    let id = id.as_str().and_then(|id| id.strip_prefix("order-")).context("an order has an id")?;
    Ok(id.parse()?)
}

/// An output: the order's number and the version that saw it.
fn stamp(row: &Row) -> Result<(u64, String)> {
    let value: Value = serde_json::from_slice(row.value.as_deref().context("an output has a value")?)?;
    let version = value["version"].as_str().context("an output is stamped")?;
    Ok((number(&value["orderId"])?, version.to_owned()))
}

/// Orders at a steady rate until it is told to stop.
struct Load {
    producer: JoinHandle<Result<()>>,
    /// Orders to put in: as many as there are, until the end is known.
    end: Arc<AtomicU64>,
    put_in: Arc<AtomicU64>,
}

impl Load {
    fn start(application: &Application, rate: u64) -> Self {
        let (kafka, input) = (application.kafka.clone(), application.input());
        let (end, put_in) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (end.clone(), put_in.clone());
        let producer = thread::spawn(move || {
            let numbers = (0..).take_while(|number| *number < until.load(Ordering::Relaxed));
            let records = numbers.map(|number| {
                count.store(number + 1, Ordering::Relaxed);
                (Some(orders::key(number)), Some(orders::value(number)))
            });
            kafka.produce(&input, records, Some(rate))
        });
        Self { producer, end, put_in }
    }

    /// Ends it: how many orders were put in, from number 0 on.
    fn stop(self) -> Result<u64> {
        self.end.store(0, Ordering::Relaxed);
        self.producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
        Ok(self.put_in.load(Ordering::Relaxed))
    }
}

/// What the deployments' topic says of one node: which version ran from which offset on.
struct Deployments {
    /// Of each input partition, in the topic's order: the first offset, and the version from there on.
    swaps: HashMap<i32, Vec<(i64, String)>>,
    swap_count: usize,
}

impl Deployments {
    fn read(application: &Application) -> Result<Self> {
        let rows = application.kafka.read_committed(&format!("{}-deployments", application.name()))?;
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| Ok(serde_json::from_slice(row.value.as_deref().unwrap_or_default())?))
            .collect::<Result<_>>()?;
        let (swaps, intents): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["kind"] == "swap");
        let names: HashMap<&str, &str> = intents
            .iter()
            .filter_map(|intent| Some((intent["version"].as_str()?, intent["config"]["version"].as_str()?)))
            .collect();
        let mut it = Self { swaps: HashMap::new(), swap_count: swaps.len() };
        for swap in swaps {
            let to = swap["to"].as_str().and_then(|to| names.get(to));
            let to = to.with_context(|| format!("no deployment has the version of {swap}"))?;
            for position in swap["positions"].as_array().context("a swap has positions")? {
                ensure!(position["topic"] == application.input().as_str(), "{swap}");
                let partition = i32::try_from(position["partition"].as_i64().context("a position has a partition")?)?;
                let offset = position["offset"].as_i64().context("a position has an offset")?;
                it.swaps.entry(partition).or_default().push((offset, (*to).to_owned()));
            }
        }
        Ok(it)
    }

    /// The version that was live at this offset: that of the last swap at or before it.
    fn live(&self, partition: i32, offset: i64) -> Result<&str> {
        let swaps = self.swaps.get(&partition).map_or(&[][..], Vec::as_slice);
        let live = swaps.iter().rev().find(|(from, _)| *from <= offset);
        Ok(&live.with_context(|| format!("no swap of partition {partition} is at or before offset {offset}"))?.1)
    }
}

/// Every order has one output, in order per key, stamped by the version that was live at the order's offset.
fn judge(application: &Application, orders: u64) -> Result<(u64, usize)> {
    let mut reader = application.kafka.read(&application.output(), Isolation::Committed)?;
    let (mut seen, mut last_news) = (0, Instant::now());
    while seen < orders && last_news.elapsed() < OUTPUTS_WAIT {
        let rows = reader.poll(Duration::from_millis(100))?;
        if !rows.is_empty() {
            (seen, last_news) = (seen + rows.len() as u64, Instant::now());
        }
    }
    let deployments = Deployments::read(application)?;
    let mut checker = ExactlyOnceChecker::default();
    for row in application.kafka.read_committed(&application.input())? {
        let order: Value = serde_json::from_slice(row.value.as_deref().context("an order has a value")?)?;
        let key = String::from_utf8_lossy(row.key.as_deref().unwrap_or_default()).into_owned();
        let verdict = deployments.live(row.at.partition, row.at.offset)?.to_owned();
        checker.expect([Expected { number: number(&order["id"])?, key, verdict }]);
    }
    ensure!(checker.expected_count() as u64 == orders, "{} of {orders} orders came in", checker.expected_count());
    for row in application.kafka.read_committed(&application.output())? {
        let (number, verdict) = stamp(&row)?;
        let key = String::from_utf8_lossy(row.key.as_deref().unwrap_or_default()).into_owned();
        checker.observe(&Output { at: row.at, key, number: Some(number), verdict });
    }
    Ok((checker.finish()?.answered, deployments.swap_count))
}

/// The artifact and the version that `stamp` is to run now, and the longest time for which a swap kept rows waiting.
fn node(host: &WeirHost) -> Result<Value> {
    let (status, body) = host.get("/api/v1/nodes/stamp")?;
    ensure!(status == 200, "{body}");
    Ok(serde_json::from_str(&body)?)
}

fn longest_pause_ms(host: &WeirHost) -> Result<f64> {
    Ok(node(host)?["longestPauseMs"].as_f64().unwrap_or(0.0))
}

fn wants(artifact: &str, config: Value) -> Vec<u8> {
    json!({ "artifact": artifact, "config": config }).to_string().into_bytes()
}

fn put(host: &WeirHost, body: &[u8]) -> Result<(u16, Value)> {
    let content_type = if body.starts_with(b"{") { "application/json" } else { "application/wasm" };
    let (status, body) = host.put(PUT, content_type, body)?;
    Ok((status, serde_json::from_str(&body).with_context(|| body.clone())?))
}

/// Two hosts, of which one may be dead for a while.
struct Hosts<'a> {
    application: &'a Application,
    hosts: [Option<WeirHost>; 2],
    pause_ms: f64,
}

const NAMES: [&str; 2] = ["a", "b"];

impl<'a> Hosts<'a> {
    fn start(application: &'a Application) -> Result<Self> {
        let hosts = [Some(start(application, NAMES[0])?), Some(start(application, NAMES[1])?)];
        Ok(Self { application, hosts, pause_ms: 0.0 })
    }

    fn get(&self, index: usize) -> Result<&WeirHost> {
        self.hosts[index].as_ref().context("the host runs")
    }

    /// Asks host `index` to deploy until it is live everywhere. Asked once is enough, but after a kill: then the host may
    /// not have read yet what the killed one decided (a conflict), or the killed one's tasks have yet to follow.
    fn deploy(&self, index: usize, body: &[u8]) -> Result<Value> {
        wait::until("the deployment is live", PUT_WAIT, || {
            let (status, view) = put(self.get(index)?, body)?;
            ensure!(status == 200 || status == 409, "{status}: {view}");
            Ok((view["phase"] == "live").then_some(view))
        })
    }

    /// Asks host `index` to deploy, kills it `after` so long, and starts it again. Nobody knows how far it came.
    fn deploy_and_kill(&mut self, index: usize, body: &[u8], after: Duration) -> Result<()> {
        self.remember_pause(index)?;
        let host = self.hosts[index].take().context("the host runs")?;
        let (url, body) = (format!("http://{}{PUT}", host.address()), body.to_vec());
        let asked = thread::spawn(move || ureq::put(url).config().timeout_global(Some(PUT_WAIT)).build().send(&body));
        thread::sleep(after);
        host.kill()?;
        let _ = asked.join(); // mostly a connection that broke
        self.hosts[index] = Some(start(self.application, NAMES[index])?);
        Ok(())
    }

    fn remember_pause(&mut self, index: usize) -> Result<()> {
        self.pause_ms = self.pause_ms.max(longest_pause_ms(self.get(index)?)?);
        Ok(())
    }
}

#[test]
fn a_hundred_swaps_under_load_lose_and_double_nothing_and_take_effect_where_the_deployments_say() -> Result<()> {
    const SWAPS: u32 = 100;
    const KILLS: u32 = 8;
    const RATE: u64 = 2_000;
    let begin = Instant::now();
    let application = stamping("swaps")?;
    let mut hosts = Hosts::start(&application)?;
    let load = Load::start(&application, RATE);
    let artifact = node(hosts.get(0)?)?["artifact"].as_str().context("stamp is deployed")?.to_owned();
    let (mut kills, mut done_by_the_killed, mut puts) = (0, 0, Vec::new());
    for swap in 0..SWAPS {
        let version = ["green", "blue"][swap as usize % 2];
        let (receiver, body) = (swap as usize % 2, wants(&artifact, json!({ "version": version })));
        let is_killed = (swap + 1) % (SWAPS / KILLS) == 0;
        if is_killed {
            // The kills spread over what a PUT does: checks, the dry run, the intent, the tasks' swaps, the answer.
            puts.sort_unstable();
            let usual = puts[puts.len() / 2];
            hosts.deploy_and_kill(receiver, &body, usual * kills / KILLS)?;
            kills += 1;
            // What the killed host has decided stands; what it has not is asked of the other one.
            let view = hosts.deploy(1 - receiver, &body)?;
            done_by_the_killed += usize::from(view["changed"] == false);
        } else {
            let asked = Instant::now();
            let view = hosts.deploy(receiver, &body)?;
            ensure!(view["changed"] == true, "swap {swap}: {view}");
            puts.push(asked.elapsed());
        }
    }
    let orders = load.stop()?;
    hosts.remember_pause(0)?;
    hosts.remember_pause(1)?;
    let (outputs, records) = judge(&application, orders)?;
    println!(
        "{outputs} orders stamped exactly once by the version that was live; {SWAPS} swaps, {records} records of tasks' \
         swaps, a PUT took {:?} (median) to be live; {kills} kills during a PUT, {done_by_the_killed} of them after it was \
         decided; longest pause {:.1} ms; {:.0} s in all",
        puts[puts.len() / 2],
        hosts.pause_ms,
        begin.elapsed().as_secs_f64()
    );
    ensure!(kills == KILLS && records as u32 > SWAPS * PARTITIONS as u32 / 2, "{kills} kills, {records} records");
    Ok(())
}

/// A core module that imports what the sandbox does not give: `wasi_snapshot_preview1.fd_write`, of no type in particular.
fn with_forbidden_import() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    let (from, name) = (b"wasi_snapshot_preview1", b"fd_write");
    module.extend_from_slice(&[2, (from.len() + name.len() + 5) as u8, 1, from.len() as u8]);
    module.extend_from_slice(from);
    module.push(name.len() as u8);
    module.extend_from_slice(name);
    module.extend_from_slice(&[0, 0]);
    module
}

/// The component `stamp` with a word more in it: the same behaviour, and bytes that no plugin folder has.
fn stamp_with_a_note() -> Result<Vec<u8>> {
    let mut component = fs::read(host::plugin("stamp")?)?;
    component.extend_from_slice(b"\0\x05\x04note");
    Ok(component)
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[test]
fn a_bad_upload_is_answered_with_the_reason_and_the_version_before_runs_on() -> Result<()> {
    let application = stamping("uploads")?;
    let host = start(&application, "a")?;
    ensure!(put_in(&application, 0..100)?.iter().all(|version| version == "blue"));
    let evil = fs::read(host::plugin("faint")?)?;
    let path = format!("/api/v1/artifacts/{}", digest(&evil));
    ensure!(host.put(&path, "application/wasm", &evil)?.0 == 201, "a component may be bad at a record only");
    let mut too_large = b"\0asm".to_vec();
    too_large.resize(ARTIFACT_BYTES_MAX + 1, 0);
    let bad = [
        ("not Wasm", b"\x7fELF\x02\x01".to_vec(), 422, "7f 45 4c 46"),
        ("no world", b"\0asm\x01\0\0\0".to_vec(), 422, "weir:plugin"),
        ("forbidden import", with_forbidden_import(), 422, "wasi_snapshot_preview1"),
        ("trap in the dry run", wants(&digest(&evil), json!({ "what": "panic" })), 422, "negative quantity"),
        ("over the cap", too_large, 413, "--artifact-bytes-max"),
    ];
    for (what, body, wanted, reason) in bad {
        let (status, problem) = put(&host, &body)?;
        let is_problem = problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:weir:problem:"));
        ensure!(status == wanted && problem["status"] == wanted && is_problem, "{what}: {status} {problem}");
        ensure!(problem.to_string().contains(reason), "{what}: {problem}");
    }
    ensure!(put_in(&application, 100..200)?.iter().all(|version| version == "blue"));
    ensure!(node(&host)?["config"]["version"] == "blue");
    Ok(())
}

#[test]
fn what_one_host_was_given_every_host_runs_and_any_host_rolls_back() -> Result<()> {
    let application = stamping("everywhere")?;
    let first = start(&application, "a")?;
    let component = stamp_with_a_note()?;
    let (status, view) = put(&first, &component)?;
    ensure!(status == 200 && view["artifact"] == digest(&component).as_str(), "{status} {view}");
    let (status, view) = put(&first, &wants(&digest(&component), json!({ "version": "green" })))?;
    ensure!(status == 200, "{status} {view}");
    // Its state directory is empty, and no file has this component: it comes out of the application's topic.
    let second = start(&application, "b")?;
    first.kill()?;
    ensure!(node(&second)?["artifact"] == digest(&component).as_str(), "{}", node(&second)?);
    ensure!(put_in(&application, 0..100)?.iter().all(|version| version == "green"));
    let (status, view) = put(&second, &component)?;
    ensure!(status == 200 && view["changed"] == false, "{status} {view}");
    let (status, view) = second.post("/api/v1/nodes/stamp/plugin/rollback?wait=30s", "application/json", b"")?;
    ensure!(status == 200, "{status} {view}");
    ensure!(put_in(&application, 100..200)?.iter().all(|version| version == "blue"));
    Ok(())
}
