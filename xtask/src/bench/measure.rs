//! Runs `tests/bench/measure.py`, which looks from outside, and reads the figures it prints.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::drains::{Drain, Input};
use super::peers::Peer;
use crate::paths;
use crate::process::capture;
use crate::setup::venv;
use crate::step::step;

/// The broker under the benchmarks and the folder for what they write.
pub struct Bench {
    bootstrap: String,
    folder: PathBuf,
    python: PathBuf,
    loaded: RefCell<BTreeSet<Input>>,
}

/// Figures of one run by name, as measure.py names them.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub BTreeMap<String, f64>);

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().map(|(name, value)| format!("{name} {value}")).collect();
        f.write_str(&shown.join("  "))
    }
}

impl Bench {
    pub fn new(bootstrap: String, folder: PathBuf) -> Result<Self> {
        let state = folder.join("state");
        if state.exists() {
            std::fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))?;
        }
        Ok(Self { bootstrap, folder, python: venv()?.join("bin/python"), loaded: RefCell::default() })
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the input with four partitions and fills it, once.
    pub fn load(&self, input: Input, orders: u64) -> Result<()> {
        if !self.loaded.borrow_mut().insert(input) {
            return Ok(());
        }
        let [records, keys, bytes] = input.amounts(orders);
        step("load", &format!("{records} orders of some {bytes} bytes, {keys} keys"), || {
            self.make_topic(input.topic())?;
            self.script(&["load", input.topic(), &records.to_string(), &keys.to_string(), &bytes.to_string()]).map(drop)
        })
    }

    /// Makes `topic` with four partitions.
    pub fn make_topic(&self, topic: &str) -> Result<()> {
        self.script(&["topic", topic, "4"]).map(drop)
    }

    /// Deletes the topics of `group`: the broker's disk is the machine's.
    pub fn delete_topics(&self, group: &str) -> Result<()> {
        self.script(&["delete", &format!("{group}-")]).map(drop)
    }

    /// Lets `peer` forward 5,000 orders a second for 20 seconds.
    pub fn latency(&self, peer: Peer, round: usize) -> Result<Figures> {
        let group = format!("latency-{peer:?}-{round}").to_lowercase();
        let (input, output) = (format!("{group}-in"), format!("{group}-out"));
        self.make_topic(&input)?;
        self.make_topic(&output)?;
        let command = peer.command(("forward", "forward"), &group, (&input, &output), self)?;
        self.measure(&["latency", &input, &output, "5000", "20", "--"], &command, None)
    }

    fn measure(&self, arguments: &[&str], command: &[String], streams_cache: Option<u64>) -> Result<Figures> {
        let command: Vec<&str> = arguments.iter().copied().chain(command.iter().map(String::as_str)).collect();
        let mut python = self.python(&command);
        if let Some(bytes) = streams_cache {
            python.env("CACHE_BYTES", bytes.to_string());
        }
        let printed = capture(&mut python)?;
        let line = printed.lines().last().unwrap_or_default();
        let value: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("measure.py said: {line}"))?;
        let fields = value.as_object().context("measure.py prints an object")?;
        if fields.contains_key("error") {
            bail!("measure.py: {line}");
        }
        Ok(Figures(fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()))
    }

    fn script(&self, arguments: &[&str]) -> Result<String> {
        capture(&mut self.python(arguments))
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut python = Command::new(&self.python);
        python.arg(paths::root().join("tests/bench/measure.py")).args(arguments);
        python.env("BOOTSTRAP", &self.bootstrap).env("STATE_DIR", self.folder.join("state/streams"));
        python
    }
}

/// One peer at one drain: its group, topics and state, until they are cleaned up.
pub struct Run<'b> {
    bench: &'b Bench,
    drain: &'b Drain,
    peer: Peer,
    group: String,
    command: Vec<String>,
}

impl<'b> Run<'b> {
    /// Makes the output.
    pub fn new(bench: &'b Bench, drain: &'b Drain, peer: Peer, round: usize) -> Result<Self> {
        let group = format!("{}-{peer:?}-{round}", drain.part).to_lowercase();
        let output = format!("{group}-out");
        bench.make_topic(&output)?;
        let topologies = (drain.topology, drain.streams);
        let command = peer.command(topologies, &group, (drain.input.topic(), &output), bench)?;
        Ok(Self { bench, drain, peer, group, command })
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Lets the peer work off all of the input.
    pub fn drain(&self) -> Result<Figures> {
        let arguments = ["drain", &self.group, self.drain.input.topic(), "--"];
        self.bench.measure(&arguments, &self.command, self.drain.streams_cache)
    }

    /// Starts the peer and waits until its tasks, one for each partition, are restored.
    pub fn restore(&self) -> Result<Figures> {
        self.bench.measure(&["restore", "4", "--"], &self.command, self.drain.streams_cache)
    }

    /// Where the peer keeps its stores.
    pub fn stores(&self) -> PathBuf {
        let state = self.bench.folder.join("state");
        if self.peer == Peer::Weir {
            state.join(&self.group).join("stores")
        } else {
            state.join("streams").join(&self.group)
        }
    }

    /// Deletes the run's topics and state.
    pub fn clean_up(self) -> Result<()> {
        let stores = self.stores();
        if stores.exists() {
            std::fs::remove_dir_all(&stores).with_context(|| format!("cannot remove {}", stores.display()))?;
        }
        self.bench.delete_topics(&self.group)
    }
}
