//! Exactly once on the embedded log: a whole host is killed, or its disk is full, while it takes orders in over REST and
//! works through them.
//!
//! What was acknowledged is there afterwards; whatever is there has its verdict once, in order per key. (The log
//! itself, torn at every byte, is tested in `host/log`.)

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::checker::Coordinates;
use weir_tests::host::{HostOptions, WeirHost};
use weir_tests::{ExactlyOnceChecker, SmallDisk, orders, wait};

const INPUT: &str = "orders";
const OUTPUT: &str = "order-validations";
const READY_WAIT: Duration = Duration::from_secs(30);
const VERDICTS_WAIT: Duration = Duration::from_secs(60);
/// One request may take so long; a host that was killed breaks it off at once.
const REQUEST_WAIT: Duration = Duration::from_secs(20);
/// Orders of a request: durable together or, if it broke off, of unknown fate.
const ORDERS_A_REQUEST: u64 = 100;

/// What was sent to a host until it took no more.
struct Sent {
    /// Whose request was answered: these must not be lost.
    acknowledged: Vec<u64>,
    /// The first number that was never sent.
    next: u64,
    /// What it answered where it did not just break off.
    refusal: Option<String>,
}

/// Sends orders, from number `next` on, until the host refuses some or is gone. What broke off is not sent again: it may
/// be there.
fn send(address: &str, mut next: u64) -> Sent {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(REQUEST_WAIT)).http_status_as_error(false).build().into();
    let url = format!("http://{address}/api/v1/topics/{INPUT}/records");
    let mut acknowledged = Vec::new();
    loop {
        let numbers = next..next + ORDERS_A_REQUEST;
        let line = |number| format!("{{\"key\":\"{}\",\"value\":{}}}\n", orders::key(number), orders::value(number));
        let body: String = numbers.clone().map(line).collect();
        next = numbers.end;
        let answer = agent.post(&url).send(&body);
        let Ok((status, text)) = answer.and_then(|mut it| Ok((it.status(), it.body_mut().read_to_string()?))) else {
            return Sent { acknowledged, next, refusal: None };
        };
        if status != 200 {
            return Sent { acknowledged, next, refusal: Some(format!("{status}: {text}")) };
        }
        acknowledged.extend(numbers);
    }
}

/// All committed records of a topic up to its present end, as the tail route gives them.
fn tail(host: &WeirHost, topic: &str) -> Result<Vec<Value>> {
    let url = format!("http://{}/api/v1/topics/{topic}/records?from=beginning&untilEnd=true", host.address());
    let body = ureq::get(url).call()?.into_body().into_reader();
    BufReader::new(body).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn lag(host: &WeirHost) -> Result<i64> {
    let status: Value = serde_json::from_str(&host.get("/api/v1/status")?.1)?;
    let tasks = status["tasks"].as_array().context("a status has tasks")?;
    let positions = tasks.iter().flat_map(|task| task["positions"].as_array().into_iter().flatten());
    positions.map(|position| position["lag"].as_i64().context("a position has a lag")).sum()
}

fn number(order: &Value) -> Result<u64> {
    let id = order["value"]["id"].as_str().and_then(|id| id.strip_prefix("order-"));
    Ok(id.with_context(|| format!("{order} has no id"))?.parse()?)
}

fn judge(host: &WeirHost, acknowledged: &[u64]) -> Result<(usize, u64)> {
    let taken_in: Vec<u64> = tail(host, INPUT)?.iter().map(number).collect::<Result<_>>()?;
    let distinct: HashSet<u64> = taken_in.iter().copied().collect();
    ensure!(distinct.len() == taken_in.len(), "{} orders are in the log twice", taken_in.len() - distinct.len());
    let lost = acknowledged.iter().filter(|number| !distinct.contains(number)).count();
    ensure!(lost == 0, "{lost} orders of {} were acknowledged and are lost", acknowledged.len());
    let mut checker = ExactlyOnceChecker::new(taken_in.iter().copied().filter_map(orders::expected));
    for verdict in tail(host, OUTPUT)? {
        let coordinate = |name: &str| verdict[name].as_i64().with_context(|| format!("{verdict} has no {name}"));
        let at = Coordinates { partition: i32::try_from(coordinate("partition")?)?, offset: coordinate("offset")? };
        let key = verdict["key"].as_str().map(str::as_bytes);
        checker.observe(&orders::output(at, key, Some(verdict["value"].to_string().as_bytes())));
    }
    Ok((taken_in.len(), checker.finish()?.answered))
}

#[test]
fn every_acknowledged_order_has_its_verdict_exactly_once_although_the_host_is_killed_again_and_again() -> Result<()> {
    /// When each kill comes after the host was ready.
    const KILLS_AFTER_MS: [u64; 8] = [50, 700, 333, 911, 128, 520, 240, 605];
    let begin = Instant::now();
    let folder = tempfile::tempdir()?;
    let topology = folder.path().join("topology.yaml");
    std::fs::write(&topology, orders::topology("embedded", INPUT, OUTPUT, 4))?;
    let options = HostOptions::new(topology, folder.path().join("state"));
    let (mut acknowledged, mut next, mut killed_at_work) = (Vec::new(), 0, 0);
    let mut host = WeirHost::start_ready(&options, READY_WAIT)?;
    for after in KILLS_AFTER_MS {
        let address = host.address().to_owned();
        let sender = thread::spawn(move || send(&address, next));
        thread::sleep(Duration::from_millis(after));
        host.kill()?;
        let sent = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?;
        ensure!(sent.refusal.is_none(), "{:?}", sent.refusal);
        acknowledged.extend(sent.acknowledged);
        next = sent.next;
        host = WeirHost::start_ready(&options, READY_WAIT)?;
        // A host that had answered all that it took in has nothing to do now.
        killed_at_work += usize::from(lag(&host)? > 0);
    }
    wait::until("the host has worked through all orders", VERDICTS_WAIT, || Ok((lag(&host)? == 0).then_some(())))?;
    let (taken_in, verdicts) = judge(&host, &acknowledged)?;
    println!(
        "{} orders acknowledged, {taken_in} taken in, {verdicts} verdicts, each exactly once; {} kills, {killed_at_work} \
         with orders left to do; {:.0} s",
        acknowledged.len(),
        KILLS_AFTER_MS.len(),
        begin.elapsed().as_secs_f64()
    );
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_full_disk_stops_the_host_with_path_and_cause_and_with_more_room_every_order_has_its_verdict_once() -> Result<()> {
    /// The room at first, and what is added each time that the disk was full. The last is not filled.
    const ROOM_KIB: u64 = 4 << 10;
    const MORE_KIB: [u64; 3] = [2 << 10, 3 << 10, 40 << 10];
    const FULL_WAIT: Duration = Duration::from_secs(60);
    let folder = tempfile::tempdir()?;
    let (topology, state) = (folder.path().join("topology.yaml"), folder.path().join("disk/state"));
    std::fs::write(&topology, orders::topology("full-disk", INPUT, OUTPUT, 4))?;
    std::fs::create_dir(folder.path().join("disk"))?;
    let disk = match SmallDisk::mount(&folder.path().join("disk"), ROOM_KIB)? {
        Ok(disk) => disk,
        Err(reason) => {
            // Past the test's captured output, which nobody reads of a test that passes.
            writeln!(std::io::stderr(), "skipped: a_full_disk_stops_the_host: {reason}")?;
            return Ok(());
        }
    };
    let options = HostOptions::new(topology, &state).within(disk.within());
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for more in MORE_KIB {
        let mut host = WeirHost::start_ready(&options, READY_WAIT)?;
        let said_before = host.log().len();
        let sent = send(host.address(), next);
        let status = host.wait_end(FULL_WAIT)?;
        let log = host.log().split_off(said_before);
        ensure!(status.code() == Some(1), "a full disk is a failure: {status}\n{log}");
        let is_told = |text: &str| text.contains("No space left on device") && text.contains(&*state.to_string_lossy());
        ensure!(log.lines().any(|line| line.starts_with("error: ") && is_told(line)), "path and cause: {log}");
        ensure!(sent.refusal.as_deref().is_none_or(is_told), "{:?}", sent.refusal);
        ensure!(!sent.acknowledged.is_empty(), "it took no order before the disk was full");
        acknowledged.extend(sent.acknowledged);
        next = sent.next;
        disk.make_room(more)?;
    }
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    let left = lag(&host)?;
    wait::until("the host has worked through all orders", VERDICTS_WAIT, || Ok((lag(&host)? == 0).then_some(())))?;
    let (taken_in, verdicts) = judge(&host, &acknowledged)?;
    println!(
        "{} orders acknowledged, {taken_in} taken in, {verdicts} verdicts, each exactly once; the disk was full {} times, \
         the last time with {left} orders left to do",
        acknowledged.len(),
        MORE_KIB.len()
    );
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}
