//! Counts the verdicts that a reader of committed records sees.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::orders::Orders;
use crate::process::capture;

const POLL: Duration = Duration::from_millis(200);

/// Verdicts by what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    pub pass: u64,
    pub fail: u64,
    /// Orders that were judged more than once.
    pub twice: u64,
}

impl Verdicts {
    pub fn total(&self) -> u64 {
        self.pass + self.fail
    }
}

/// Reads until all verdicts are there, or none has come for `silence_max`.
pub fn wait(weir: &Path, host: &str, orders: &Orders, count: u64, silence_max: Duration) -> Result<Verdicts> {
    let wanted = orders.expected(count).total();
    let mut last = (0, Instant::now());
    loop {
        let verdicts = read(weir, host, orders)?;
        if verdicts.total() > last.0 {
            last = (verdicts.total(), Instant::now());
        }
        if verdicts.total() + verdicts.twice >= wanted || last.1.elapsed() > silence_max {
            return Ok(verdicts);
        }
        thread::sleep(POLL);
    }
}

fn read(weir: &Path, host: &str, orders: &Orders) -> Result<Verdicts> {
    let mut tail = Command::new(weir);
    tail.args(["tail", "order-validations", "--from", "beginning", "--until-end", "--host", host]);
    let lines = capture(tail.stdin(Stdio::null()))?;
    let prefix = orders.prefix();
    let mut verdicts = Verdicts::default();
    let mut seen = HashSet::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).with_context(|| format!("weir tail said: {line}"))?;
        let id = record["value"]["orderId"].as_str().unwrap_or_default();
        if !id.starts_with(&prefix) {
            continue;
        }
        if !seen.insert(id.to_owned()) {
            verdicts.twice += 1;
        } else if record["value"]["validationResult"] == "PASS" {
            verdicts.pass += 1;
        } else {
            verdicts.fail += 1;
        }
    }
    Ok(verdicts)
}
