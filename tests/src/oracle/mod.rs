//! What Kafka Streams itself answers, to be compared with Weir: cases that a seed generates, the answers to them, and the
//! few rows that are enough to show a difference.
//!
//! The Java program is `tests/oracle/Oracle.java`: Kafka Streams' own TopologyTestDriver behind a pipe.

mod case;
mod difference;
pub mod generate;
mod join;
mod table;

pub use case::{Answer, Case, Emit, Function, Input, Operation, Record, Side, WindowKind, Windowed};
pub use difference::{first_difference, shrink, side_by_side};
pub use generate::aggregates as generate;
pub use join::{How, Join};
pub use table::{GroupFunction, Kept, Table, TableStep};

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

/// For one line: a start takes a second, a case some milliseconds, both a hundred times that on a machine that compiles.
const LINE_WAIT: Duration = Duration::from_secs(300);
/// Answers that are read ahead: a pipe holds little, and it must not fill while the questions are still written.
const LINES_AHEAD: usize = 4096;
/// A file system in memory: stores are made anew for each case, and disks are slow at that.
const MEMORY: &str = "/dev/shm";
/// RocksDB reserves some megabytes for each of a case's stores; the memory of a container is often but 64 MiB.
const MEMORY_BYTES_MIN: u64 = 1 << 30;

/// A process of the oracle. It ends when it is dropped.
pub struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
    /// Its stores and libraries, removed with it.
    _folders: [TempDir; 2],
}

impl Oracle {
    /// Starts the one that `WEIR_ORACLE` names, as a class path.
    ///
    /// # Errors
    /// It was not set up, or cannot be started.
    pub fn from_env() -> Result<Self> {
        let classpath = env::var("WEIR_ORACLE").map_err(|_| {
            anyhow!("this test needs Kafka Streams: `cargo xtask test`, or `cargo xtask setup` and WEIR_ORACLE='JARS/*:target/oracle'")
        })?;
        let libraries = tempfile::tempdir().context("cannot make a folder for RocksDB's library")?;
        let stores = store_folder()?;
        let mut command = Command::new("java");
        // One compiler is enough for so short a life, and leaves the other core to the tests.
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg(format!("-Djava.io.tmpdir={}", stores.path().display()));
        command.env("ROCKSDB_SHAREDLIB_DIR", libraries.path());
        command.args(["-cp", &classpath, "Oracle"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start java: `cargo xtask setup`")?;
        let questions = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        Ok(Self { child, questions, answers: read_ahead(output), _folders: [stores, libraries] })
    }

    /// What Kafka Streams answers to each case.
    ///
    /// # Errors
    /// It ended, or does not answer.
    pub fn ask(&mut self, cases: &[Case]) -> Result<Vec<Answer>> {
        let text: String = cases.iter().map(Case::question).collect();
        let Self { child, questions, answers, .. } = self;
        thread::scope(|scope| {
            // From a thread of its own: it stops reading while nobody takes its answers.
            let writer = scope.spawn(move || questions.write_all(text.as_bytes()).and_then(|()| questions.flush()));
            let read: Result<Vec<Answer>> = cases.iter().map(|_| read_answer(answers)).collect();
            if read.is_err() {
                // So that the writer ends as well.
                child.kill().context("cannot end the oracle")?;
            }
            let written = writer.join().map_err(|_| anyhow!("the oracle's writer panicked"))?;
            let read = read?;
            written.context("cannot write to the oracle")?;
            Ok(read)
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            eprintln!("cannot end the oracle, process {}", self.child.id());
        }
    }
}

fn store_folder() -> Result<TempDir> {
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |memory| memory.f_bavail * memory.f_frsize);
    let folder = if room >= MEMORY_BYTES_MIN { tempfile::tempdir_in(Path::new(MEMORY)) } else { tempfile::tempdir() };
    folder.context("cannot make a folder for the oracle's stores")
}

/// A thread that reads lines until the process ends or nobody wants them.
fn read_ahead(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn read_answer(lines: &Receiver<String>) -> Result<Answer> {
    let mut answer = Answer::default();
    loop {
        let line = lines.recv_timeout(LINE_WAIT).context("the oracle has ended or hangs: see what it printed above")?;
        let line: Value = serde_json::from_str(&line).with_context(|| format!("the oracle printed no JSON: {line}"))?;
        if line.get("end").is_some() {
            return Ok(answer);
        }
        if let Some(reason) = line["fails"].as_str() {
            answer.fails = Some(reason.to_owned());
            continue;
        }
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let Some(at) = line["ts"].as_i64() else { bail!("the oracle printed a record without time: {line}") };
        answer.records.push(Record { key: text("key"), value: text("value"), at });
    }
}
