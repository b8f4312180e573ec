//! Runs `tests/bench/measure.py`, which looks from outside, and reads the figures it prints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::peers::Peer;
use crate::paths;
use crate::process::capture;
use crate::setup::venv;

/// The broker under the benchmarks and the folder for what they write.
pub struct Bench {
    bootstrap: String,
    folder: PathBuf,
    python: PathBuf,
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
        Ok(Self { bootstrap, folder, python: venv()?.join("bin/python") })
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes `topic` with four partitions and fills it.
    pub fn load(&self, topic: &str, orders: u64) -> Result<()> {
        self.make_topic(topic)?;
        self.script(&["load", topic, &orders.to_string()])?;
        Ok(())
    }

    /// Makes `topic` with four partitions.
    pub fn make_topic(&self, topic: &str) -> Result<()> {
        self.script(&["topic", topic, "4"]).map(drop)
    }

    /// Deletes `topic`: the broker's disk is the machine's.
    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        self.script(&["delete", topic]).map(drop)
    }

    /// Lets `peer` do `part` over all of `input`.
    pub fn drain(&self, peer: Peer, part: &str, input: &str, round: usize) -> Result<Figures> {
        let group = format!("{part}-{peer:?}-{round}").to_lowercase();
        let output = format!("{group}-out");
        self.make_topic(&output)?;
        let command = peer.command(part, &group, (input, &output), self)?;
        let figures = self.measure(&["drain", &group, input, "--"], &command)?;
        self.delete_topic(&output)?;
        Ok(figures)
    }

    /// Lets `peer` forward 5,000 orders a second for 20 seconds.
    pub fn latency(&self, peer: Peer, round: usize) -> Result<Figures> {
        let group = format!("latency-{peer:?}-{round}").to_lowercase();
        let (input, output) = (format!("{group}-in"), format!("{group}-out"));
        self.make_topic(&input)?;
        self.make_topic(&output)?;
        let command = peer.command("forward", &group, (&input, &output), self)?;
        self.measure(&["latency", &input, &output, "5000", "20", "--"], &command)
    }

    fn measure(&self, arguments: &[&str], command: &[String]) -> Result<Figures> {
        let command: Vec<&str> = arguments.iter().copied().chain(command.iter().map(String::as_str)).collect();
        let printed = self.script(&command)?;
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
        let mut python = Command::new(&self.python);
        python.arg(paths::root().join("tests/bench/measure.py")).args(arguments);
        python.env("BOOTSTRAP", &self.bootstrap).env("STATE_DIR", self.folder.join("state/streams"));
        capture(&mut python)
    }
}
