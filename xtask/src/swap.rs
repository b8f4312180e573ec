//! Swaps the plugin of a running node, back and forth between two builds of it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::Http;

/// What came of the swaps.
pub struct Swaps {
    pub done: usize,
    pub from: String,
    pub to: String,
    pub longest_pause_ms: f64,
}

/// Swaps node `details` `times` times, after a pause each; each is over when every task runs the new version.
pub fn back_and_forth(http: &Http, component: &Path, times: usize, pause: Duration) -> Result<Swaps> {
    let first = fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    let versions = [rebuilt(&first), first];
    let from = artifact(http)?;
    let mut to = String::new();
    for round in 0..times {
        thread::sleep(pause);
        let (status, answer) = http.put("/api/v1/nodes/details/plugin?wait=30s", &versions[round % 2])?;
        if !(200..300).contains(&status) {
            bail!("the host refused the plugin with {status}: {answer}");
        }
        if round == 0 {
            to = artifact(http)?;
        }
    }
    let longest_pause_ms = node(http)?["longestPauseMs"].as_f64().unwrap_or(0.0);
    Ok(Swaps { done: times, from, to, longest_pause_ms })
}

/// The same code as another build would be: a custom section tells it apart, and with it its digest.
fn rebuilt(module: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"weir-demo";
    let size = (NAME.len() + 1) as u8; // below 128, so its LEB128 is one byte
    let mut other = module.to_vec();
    other.extend([0, size, NAME.len() as u8]);
    other.extend(NAME);
    other
}

/// What the host says of node `details`.
fn node(http: &Http) -> Result<Value> {
    let (_, body) = http.get("/api/v1/status")?;
    let status: Value = serde_json::from_str(&body).context("the status is no JSON")?;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.into_iter().find(|node| node["node"] == "details").context("the status tells nothing of node `details`")
}

/// The beginning of the digest of what is deployed.
fn artifact(http: &Http) -> Result<String> {
    let node = node(http)?;
    let digest = node["artifact"].as_str().unwrap_or_default();
    Ok(format!("{:.6}…", digest.trim_start_matches("sha256:")))
}
