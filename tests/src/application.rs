//! One application on topics of its own, with a folder for its topology and for the state of its hosts.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::host::HostOptions;
use crate::kafka::Kafka;
use crate::orders;

/// Partitions of each of its topics.
pub const PARTITIONS: i32 = 4;

/// Dropped, its folder goes, and its topics stay: the broker is the tests' own.
pub struct Application {
    /// Where its topics are.
    pub kafka: Kafka,
    name: String,
    folder: TempDir,
}

impl Application {
    /// One that validates orders.
    pub fn of_orders(name: &str) -> Result<Self> {
        Self::new(name, orders::topology)
    }

    /// One with the topology that `topology` makes of its name, its input topic, its output topic and [`PARTITIONS`].
    pub fn new(name: &str, topology: impl FnOnce(&str, &str, &str, i32) -> String) -> Result<Self> {
        let kafka = Kafka::from_env()?;
        let it = Self { name: kafka.unique(name), kafka, folder: tempfile::tempdir()? };
        it.kafka.create_topic(&it.input(), PARTITIONS)?;
        it.kafka.create_topic(&it.output(), PARTITIONS)?;
        let text = topology(&it.name, &it.input(), &it.output(), PARTITIONS);
        fs::write(it.topology(), text).context("cannot write the topology")?;
        Ok(it)
    }

    /// Its name, which no other application of this run has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic that orders come from.
    pub fn input(&self) -> String {
        format!("{}-orders", self.name)
    }

    /// The topic that answers go to.
    pub fn output(&self) -> String {
        format!("{}-answers", self.name)
    }

    /// The topology file.
    pub fn topology(&self) -> PathBuf {
        self.folder.path().join("topology.yaml")
    }

    /// Where host `host` has its state.
    pub fn state_dir(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    /// A host with a state directory of its own: started again, it is the same host.
    pub fn host(&self, host: &str) -> HostOptions {
        HostOptions::new(self.topology(), self.state_dir(host)).bootstrap(self.kafka.address())
    }

    /// Puts orders in at `rate` per second, beside what else happens.
    pub fn produce(&self, orders: Range<u64>, rate: u64) -> JoinHandle<Result<()>> {
        let (kafka, input) = (self.kafka.clone(), self.input());
        thread::spawn(move || kafka.produce_orders(&input, orders, Some(rate)))
    }

    /// Every order of `numbers` has its verdict exactly once, at the latest after `wait`.
    pub fn check(&self, numbers: Range<u64>, wait: Duration) -> Result<()> {
        let summary = orders::judge(&self.kafka, &self.output(), numbers, wait)?;
        println!("{}: {} verdicts, each exactly once", self.name, summary.answered);
        Ok(())
    }
}
