//! State that survives: rows are counted per word, through a repartition, while hosts are killed.
//!
//! The judge counts the input itself. The last count of each word, and what the stores answer, must be the same; and counts
//! of a word only ever rise, since a row that counts twice, or a count that is told twice, would show there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::application::{Application, PARTITIONS};
use weir_tests::host::{HostOptions, WeirHost};
use weir_tests::wait;

const READY_WAIT: Duration = Duration::from_secs(60);
/// Counts that have not come so long after the last disturbance never will.
const COUNTS_WAIT: Duration = Duration::from_secs(90);
const REQUEST_WAIT: Duration = Duration::from_secs(20);
const SESSION_TIMEOUT_MS: u64 = 6_000;
const WORDS: u64 = 1_009;
const LINES_A_REQUEST: u64 = 200;

type Counts = BTreeMap<String, i64>;

fn topology(application: &str, input: &str, output: &str, place: &str) -> String {
    format!(
        "\
application: {application}
topics:
  {input}: {{ key: string, value: json, partitions: {PARTITIONS} }}
  {output}: {{ key: string, value: json, partitions: {PARTITIONS} }}
stores:
  counts: {{ kind: key-value, in: {place} }}
nodes:
  lines:  {{ source: {input} }}
  worded: {{ from: lines, key-by: value.word }}
  count:  {{ from: worded, aggregate: count, store: counts, repartition: by-word }}
  out:    {{ from: count, sink: {output} }}
"
    )
}

/// Line `number`: its key has nothing to do with its word.
fn line(number: u64) -> (String, String) {
    (format!("line-{number}"), format!("{{\"number\":{number},\"word\":\"word-{}\"}}", number * 7919 % WORDS))
}

fn body(numbers: Range<u64>) -> String {
    numbers.map(line).map(|(key, value)| format!("{{\"key\":\"{key}\",\"value\":{value}}}\n")).collect()
}

/// Sends these lines, and they are taken.
fn post(host: &WeirHost, numbers: Range<u64>) -> Result<()> {
    for first in numbers.clone().step_by(LINES_A_REQUEST as usize) {
        let lines = body(first..(first + LINES_A_REQUEST).min(numbers.end));
        let (status, answer) = host.post("/api/v1/topics/lines/records", "application/jsonl", lines.as_bytes())?;
        ensure!(status == 200, "{answer}");
    }
    Ok(())
}

/// Sends lines, from number `next` on, until the host is gone; returns the first number that was never sent.
fn send(address: &str, mut next: u64, until: Instant) -> u64 {
    let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_WAIT)).http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    while Instant::now() < until {
        let answer = agent
            .post(format!("http://{address}/api/v1/topics/lines/records"))
            .send(body(next..next + LINES_A_REQUEST));
        next += LINES_A_REQUEST;
        if !answer.is_ok_and(|answer| answer.status() == 200) {
            break;
        }
    }
    next
}

/// All committed records of a topic, as the host's tail gives them.
fn tail(host: &WeirHost, topic: &str) -> Result<Vec<Value>> {
    let url = format!("http://{}/api/v1/topics/{topic}/records?from=beginning&untilEnd=true", host.address());
    let body = ureq::get(url).call()?.into_body().into_reader();
    BufReader::new(body).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// How often each word is in these lines.
fn count(lines: impl Iterator<Item = Value>) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in lines {
        let word = line["word"].as_str().with_context(|| format!("{line} has no word"))?;
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

/// The last count that was told of each word; fails where one does not rise.
fn told(counts: impl Iterator<Item = (String, i64)>) -> Result<Counts> {
    let mut last = Counts::new();
    for (word, count) in counts {
        let before = last.insert(word.clone(), count).unwrap_or_default();
        ensure!(count > before, "the count of {word} goes from {before} to {count}");
    }
    Ok(last)
}

fn told_by(host: &WeirHost, topic: &str) -> Result<Counts> {
    let rows = tail(host, topic)?;
    let pair = |row: &Value| Some((row["key"].as_str()?.to_owned(), row["value"].as_i64()?));
    told(
        rows.iter()
            .map(|row| pair(row).with_context(|| format!("no count: {row}")))
            .collect::<Result<Vec<_>>>()?
            .into_iter(),
    )
}

fn is_done(host: &WeirHost) -> Result<bool> {
    let status: Value = serde_json::from_str(&host.get("/api/v1/status")?.1)?;
    let tasks = status["tasks"].as_array().context("a status has tasks")?;
    let mut positions = tasks.iter().flat_map(|task| task["positions"].as_array().into_iter().flatten());
    Ok(!tasks.is_empty() && positions.all(|position| position["lag"] == 0))
}

/// The counts told, those stored and our own are the same. Returns our own.
fn judge_embedded(host: &WeirHost) -> Result<Counts> {
    wait::until("all lines are counted", COUNTS_WAIT, || {
        // Twice: what the first part has just written may not be in the second's lag yet.
        let done = is_done(host)? && is_done(host)?;
        let counted = count(tail(host, "lines")?.into_iter().map(|row| row["value"].clone()))?;
        Ok((done && told_by(host, "counts")? == counted).then_some(()))
    })?;
    let counted = count(tail(host, "lines")?.into_iter().map(|row| row["value"].clone()))?;
    ensure!(host.store("counts")? == counted, "the stores do not hold what was counted");
    Ok(counted)
}

#[test]
fn counts_on_the_embedded_log_are_right_although_the_host_is_killed_again_and_again() -> Result<()> {
    const KILLS_AFTER_MS: [u64; 5] = [900, 350, 1200, 60, 700];
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("topology.yaml");
    std::fs::write(&file, topology("words", "lines", "counts", "memory"))?;
    let options = HostOptions::new(file, folder.path().join("state"));
    let mut host = WeirHost::start_ready(&options, READY_WAIT)?;
    let mut next = 0;
    for after in KILLS_AFTER_MS {
        let address = host.address().to_owned();
        let sender = thread::spawn(move || send(&address, next, Instant::now() + READY_WAIT));
        thread::sleep(Duration::from_millis(after));
        host.kill()?;
        next = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?;
        host = WeirHost::start_ready(&options, READY_WAIT)?;
    }
    let counted = judge_embedded(&host)?;
    host.kill()?;
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    ensure!(judge_embedded(&host)? == counted, "nothing came meanwhile");
    // Nothing of it was on disk but the log: each word has a row at least.
    let replayed = host.replayed()?;
    ensure!(replayed >= counted.len() as u64, "{replayed} rows were replayed for {} words", counted.len());
    println!(
        "{} lines, {} words, {} kills; {replayed} rows replayed after the last",
        counted.values().sum::<i64>(),
        counted.len(),
        KILLS_AFTER_MS.len() + 1
    );
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn with_rocksdb_a_killed_host_replays_only_what_came_after_the_last_flush() -> Result<()> {
    const FLUSHED: u64 = 40 * WORDS;
    const REST: u64 = 2 * WORDS;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("topology.yaml");
    std::fs::write(&file, topology("kept", "lines", "counts", "rocksdb"))?;
    let options = HostOptions::new(file, folder.path().join("state"));
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    post(&host, 0..FLUSHED)?;
    judge_embedded(&host)?;
    ensure!(host.terminate()?.success(), "the host did not end well");
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    let after_stop = host.replayed()?;
    ensure!(after_stop == 0, "a host that stopped in peace has all of it on disk, and replayed {after_stop} rows");
    post(&host, FLUSHED..FLUSHED + REST)?;
    let counted = judge_embedded(&host)?;
    host.kill()?;
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    let replayed = host.replayed()?;
    ensure!((1..=REST).contains(&replayed), "{replayed} rows replayed for {REST} lines since the flush");
    ensure!(judge_embedded(&host)? == counted, "nothing came meanwhile");
    println!("{FLUSHED} lines flushed, {REST} not: {replayed} rows replayed after the kill");
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_key_is_answered_with_the_position_that_it_holds() -> Result<()> {
    const LINES: u64 = 2 * WORDS;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("topology.yaml");
    std::fs::write(&file, topology("asked", "lines", "counts", "memory"))?;
    let host = WeirHost::start_ready(&HostOptions::new(file, folder.path().join("state")), READY_WAIT)?;
    post(&host, 0..LINES)?;
    judge_embedded(&host)?;
    let get = |path: &str| -> Result<(u16, Value)> {
        let (status, body) = host.get(&format!("/api/v1/stores/{path}"))?;
        Ok((status, serde_json::from_str(&body).with_context(|| body.clone())?))
    };
    let (status, found) = get("counts/keys/word-7")?;
    ensure!(status == 200 && found["value"] == 2 && found["key"] == "word-7", "{found}");
    let (partition, offset) = found["position"]
        .as_object()
        .and_then(|position| position.iter().max_by_key(|(_, offset)| offset.as_i64()))
        .context("an answer has a position")?;
    let (status, again) = get(&format!("counts/keys/word-7?min-position={partition}@{offset}"))?;
    ensure!(status == 200 && again["value"] == 2, "{again}");
    let (status, refused) = get("counts/keys/word-7?min-position=lines/0@1")?;
    ensure!(status == 400, "a position in a topic that the store does not read says nothing: {refused}");
    ensure!(refused["detail"].as_str().is_some_and(|it| it.contains("asked-by-word-repartition")), "{refused}");
    ensure!(get("counts/keys/no-such-word")?.0 == 404 && get("no-such-store/keys/x")?.0 == 404);
    let (_, page) = get("counts?prefix=word-10&limit=5")?;
    let keys: Vec<&str> =
        page["entries"].as_array().into_iter().flatten().filter_map(|it| it["key"].as_str()).collect();
    ensure!(keys == ["word-10", "word-100", "word-1000", "word-1001", "word-1002"], "{page}");
    let (_, rest) = get(&format!("counts?prefix=word-10&after={}", page["next"].as_str().context("there is more")?))?;
    ensure!(rest["entries"].as_array().map(Vec::len) == Some(15) && rest["next"].is_null(), "{rest}");
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_topology_that_has_no_place_for_kept_state_is_refused_until_it_is_dropped_on_purpose() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("topology.yaml");
    let options = HostOptions::new(&file, folder.path().join("state"));
    std::fs::write(&file, topology("changed", "lines", "counts", "memory"))?;
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    ensure!(host.terminate()?.success());
    let renamed = topology("changed", "lines", "counts", "memory")
        .replace("  counts: { kind", "  totals: { kind")
        .replace("store: counts", "store: totals");
    std::fs::write(&file, renamed)?;
    let mut refused = WeirHost::start(&options)?;
    let status = refused.wait_end(READY_WAIT)?;
    let log = refused.log();
    ensure!(status.code() == Some(6), "{status}\n{log}");
    ensure!(log.contains("kept: none; added: totals; lost: counts (the topology has no such store)"), "{log}");
    ensure!(log.contains("--drop-state"), "{log}");
    let host = WeirHost::start_ready(&options.clone().arguments(["--drop-state"]), READY_WAIT)?;
    ensure!(host.terminate()?.success());
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    ensure!(host.terminate()?.success(), "it fits now");
    Ok(())
}

#[test]
fn counts_on_kafka_are_right_while_two_hosts_are_killed_and_tasks_move() -> Result<()> {
    const LINES: u64 = 120_000;
    const RATE: u64 = 3_000;
    const KILLS: usize = 6;
    let application = Application::new("words", |name, input, output, _| topology(name, input, output, "memory"))?;
    let member =
        |host: &str| application.host(host).kafka_property("session.timeout.ms", &SESSION_TIMEOUT_MS.to_string());
    let (kafka, input) = (application.kafka.clone(), application.input());
    let mut hosts = [Some(WeirHost::start_ready(&member("a"), READY_WAIT)?), None];
    let producer = thread::spawn(move || {
        let lines = (0..LINES).map(line).map(|(key, value)| (Some(key), Some(value)));
        kafka.produce(&input, lines, Some(RATE))
    });
    hosts[1] = Some(WeirHost::start_ready(&member("b"), READY_WAIT)?);
    for kill in 0..KILLS {
        thread::sleep(Duration::from_millis([1_700, 2_900, 900][kill % 3]));
        let host = &mut hosts[kill % 2];
        host.take().map(WeirHost::kill).transpose()?;
        // Some come back before the group has given their tasks away, some after.
        thread::sleep(Duration::from_millis([100, SESSION_TIMEOUT_MS + 2_000][kill / 2 % 2]));
        *host = Some(WeirHost::start_ready(&member(["a", "b"][kill % 2]), READY_WAIT)?);
    }
    producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    let lines = application.kafka.read_committed(&application.input())?;
    let lines = lines.iter().map(|row| Ok(serde_json::from_slice(row.value.as_deref().unwrap_or_default())?));
    let counted = count(lines.collect::<Result<Vec<Value>>>()?.into_iter())?;
    ensure!(counted.values().sum::<i64>() == LINES as i64);
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    wait::until("all lines are counted", COUNTS_WAIT, || {
        let rows = application.kafka.read_committed(&application.output())?;
        let rows = rows.iter().map(|row| Ok((text(row.key.as_deref()), text(row.value.as_deref()).parse()?)));
        Ok((told(rows.collect::<Result<Vec<_>>>()?.into_iter())? == counted).then_some(()))
    })?;
    println!("{}: {LINES} lines, {} words, {KILLS} kills", application.name(), counted.len());
    for host in hosts.into_iter().flatten() {
        host.terminate()?;
    }
    Ok(())
}
