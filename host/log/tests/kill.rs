//! A process that writes is killed with SIGKILL at random moments; whatever it had acknowledged is there afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Client, Connector, NewTopic, Outgoing, Position};
use weir_core::record::{RecordBatch, Rows, TopicPartition};
use weir_log::{EmbeddedLog, LogConfig, LogConnector};

const KILLS: u64 = 25;
const THREADS: i32 = 3;
/// Set for the process that is to be killed: where its log is.
const DIR: &str = "WEIR_LOG_KILL_DIR";

fn open(dir: &Path) -> LogConnector {
    let config = LogConfig { segment_bytes: 50_000, ..LogConfig::default() };
    let log = EmbeddedLog::open(dir, config).unwrap();
    LogConnector { log, application: "app".into(), topics: vec!["in".into()] }
}

/// Transaction `number` has so many rows in each of its partitions.
fn rows_of(number: i64) -> i64 {
    1 + number % 7
}

fn batch(number: i64) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for row in 0..rows_of(number) {
        let value = format!("{number}/{row}/{}", "x".repeat(60));
        batch.push(row, number, None, Some(value.as_bytes()), &[]);
    }
    batch
}

fn acknowledge(thread: i32, number: i64) {
    // One write a line, to a pipe: it is whole or not there.
    std::io::stderr().write_all(format!("acknowledged {thread} {number}\n").as_bytes()).unwrap();
}

#[test]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let connector = open(Path::new(&dir));
    let client = connector.client();
    for (name, settings) in [("in", [].into()), ("log", BTreeMap::from([("retention.bytes".into(), "200000".into())]))]
    {
        client.create_topic(&NewTopic { name: name.into(), partitions: THREADS, compacted: false, settings }).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..THREADS - 1 {
            let client = &client;
            scope.spawn(move || append_for_ever(&**client, thread));
        }
        commit_for_ever(&connector);
    });
}

/// The number of the next transaction of a partition: the one after the last row's.
fn next_number(client: &dyn Client, partition: &TopicPartition) -> i64 {
    let (begin, end) = client.offsets(partition).unwrap();
    if begin == end {
        return 0;
    }
    client.read(partition, end - 1, 1, Duration::ZERO).unwrap().0.timestamps[0] + 1
}

fn append_for_ever(client: &dyn Client, thread: i32) {
    let partition = TopicPartition::new("log", thread);
    let mut number = next_number(client, &partition);
    loop {
        client.append(&partition, &batch(number)).unwrap();
        acknowledge(thread, number);
        number += 1;
    }
}

fn commit_for_ever(connector: &LogConnector) {
    let mut transport = connector.transport(0).unwrap();
    transport.poll(Duration::ZERO).unwrap();
    let last = TopicPartition::new("log", THREADS - 1);
    let mut number = next_number(&*connector.client(), &last);
    loop {
        transport.begin().unwrap();
        let rows = batch(number);
        let partitions = vec![THREADS - 1; rows.len()];
        transport.produce(&Outgoing { topic: "log".into(), partitions, rows: Rows::from_batch(rows) }).unwrap();
        let partition = TopicPartition::new("in", 0);
        transport.commit(&[Position { partition, offset: number, metadata: Some(number.to_string()) }]).unwrap();
        acknowledge(THREADS - 1, number);
        number += 1;
    }
}

/// Every transaction from the beginning on is whole and in order; the number of the last.
fn check(client: &Arc<dyn Client>, partition: &TopicPartition) -> i64 {
    let (begin, end) = client.offsets(partition).unwrap();
    let (mut offset, mut values) = (begin, Vec::new());
    while offset < end {
        let (rows, next) = client.read(partition, offset, 1000, Duration::ZERO).unwrap();
        values.extend(rows.values.iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap()));
        offset = next;
    }
    assert_eq!(values.len() as i64, end - begin);
    let numbers = |value: &String| {
        let mut parts = value.split('/').map(|part| part.parse::<i64>());
        (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap())
    };
    for pair in values.windows(2) {
        let ((number, row), following) = (numbers(&pair[0]), numbers(&pair[1]));
        let expected = if row + 1 < rows_of(number) { (number, row + 1) } else { (number + 1, 0) };
        assert_eq!(following, expected, "{partition}");
    }
    let Some(last) = values.last().map(numbers) else { return -1 };
    assert_eq!(last.1 + 1, rows_of(last.0), "the last transaction of {partition} is whole");
    last.0
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = 88_172_645_463_325_252_u64;
    let mut acknowledged = [-1; THREADS as usize];
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_process_that_is_killed", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // So many acknowledgements more, then some microseconds: the kill falls anywhere in a commit.
        let (count, micros) = (1 + random % 400, random % 5_000);
        for (index, line) in lines.lines().enumerate() {
            let line = line.unwrap();
            if let Some(numbers) = line.strip_prefix("acknowledged ") {
                let (thread, number) = numbers.split_once(' ').unwrap();
                acknowledged[thread.parse::<usize>().unwrap()] = number.parse::<i64>().unwrap();
            } else {
                assert!(!line.contains("panicked"), "kill {kill}: {line}");
            }
            if index as u64 == count {
                std::thread::sleep(Duration::from_micros(micros));
                child.kill().unwrap(); // SIGKILL; the loop ends with the pipe, every acknowledgement read
            }
        }
        assert!(!child.wait().unwrap().success());
        let connector = open(dir.path());
        let client = connector.client();
        for thread in 0..THREADS {
            let last = check(&client, &TopicPartition::new("log", thread));
            assert!(last >= acknowledged[thread as usize], "kill {kill}: thread {thread} is at {last}");
            if thread == THREADS - 1 {
                let position = client.committed(&[TopicPartition::new("in", 0)]).unwrap();
                assert_eq!(position.first().map_or(-1, |position| position.offset), last, "rows and position are one");
            }
        }
    }
    assert!(acknowledged.iter().all(|number| *number > 100), "{acknowledged:?}");
    let begin = open(dir.path()).client().offsets(&TopicPartition::new("log", 0)).unwrap().0;
    assert!(begin > 0, "old segments went meanwhile");
}
