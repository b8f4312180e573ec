//! The record of a task's swap: from which input offsets on it runs which version.
//!
//! It is written in the first transaction that uses the version, to `<app>-deployments`, so what the record says and what
//! the outputs show are one commit. Its key is unique, so that compaction keeps every swap.

use std::collections::BTreeMap;

use serde_json::json;

use crate::ports::Outgoing;
use crate::record::{RecordBatch, Rows, TopicName};
use crate::task::{Running, Task};
use crate::topology::Topology;

/// The topic of the application's deployments.
#[must_use]
pub(super) fn deployments_topic(application: &str) -> TopicName {
    TopicName::from(format!("{application}-deployments").as_str())
}

/// Rows for every version that `task` runs and no commit of it has carried; none: there are none, or no topic for them.
pub(super) fn make(topology: &Topology, partitions: &BTreeMap<TopicName, i32>, task: &Task) -> Option<Outgoing> {
    let topic = deployments_topic(&topology.application);
    let unrecorded = task.unrecorded();
    if unrecorded.is_empty() || !partitions.contains_key(&topic) {
        return None;
    }
    let mut batch = RecordBatch::default();
    for running in &unrecorded {
        let mut key = format!("swap/{}/{}/{}", running.node, task.id, running.revision);
        if task.is_behind() {
            // The version ran here before: the key tells the two apart.
            task.committed_offsets().for_each(|(at, offset)| key.push_str(&format!("/{}@{offset}", at.topic)));
        }
        let value = value(task, running).to_string();
        batch.push(0, task.committed_stream_time().unwrap_or(0), Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    }
    Some(Outgoing { topic, partitions: vec![0; batch.len()], rows: Rows::from_batch(batch) })
}

fn value(task: &Task, running: &Running) -> serde_json::Value {
    let positions: Vec<_> = task
        .committed_offsets()
        .map(|(at, offset)| json!({ "topic": at.topic.as_str(), "partition": at.partition, "offset": offset }))
        .collect();
    json!({
        "kind": "swap",
        "task": task.id.to_string(),
        "node": running.node.as_str(),
        "from": running.before.as_ref().map(|version| version.as_str()),
        "to": running.version.as_str(),
        "revision": running.revision,
        "positions": positions,
    })
}
