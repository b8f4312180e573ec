use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use weir_core::topology::NodeKind;

use crate::host::Host;
use crate::host::status::kind_name;

/// What runs: topics, nodes and the subtopologies that they fall into.
pub async fn topology(State(host): State<Arc<Host>>) -> Json<Value> {
    let topology = &host.topology;
    let format = |format| match format {
        weir_core::topology::Format::Bytes => "bytes",
        weir_core::topology::Format::String => "string",
        weir_core::topology::Format::Json => "json",
    };
    let topic = |topic: &weir_core::topology::Topic| json!({ "topic": topic.name.as_str(), "key": format(topic.key), "value": format(topic.value), "partitions": topic.partitions });
    let node = |node: &weir_core::topology::Node| {
        let topics: Vec<&str> = match &node.kind {
            NodeKind::Source(source) => {
                source.topics.iter().map(|topic| topology.topic(*topic).name.as_str()).collect()
            }
            kind => kind.writes().iter().map(|topic| topology.topic(*topic).name.as_str()).collect(),
        };
        // As the file has it: a name, or a list of names that are merged; the right side of a join apart.
        let mut from: Vec<&str> = node.inputs.iter().map(|input| topology.node(input.node).name.as_str()).collect();
        let is_join = matches!(node.kind, NodeKind::Join(_) | NodeKind::JoinTables(_) | NodeKind::StreamJoin(_));
        let join = if is_join { from.pop() } else { None };
        let from = if let [from] = from[..] { json!(from) } else { json!(Some(from).filter(|from| !from.is_empty())) };
        json!({
            "node": node.name.as_str(), "kind": kind_name(&node.kind), "from": from, "join": join, "topics": topics,
            "subtopology": node.subtopology,
        })
    };
    Json(json!({
        "application": topology.application,
        "topics": topology.topics.iter().map(topic).collect::<Vec<_>>(),
        "nodes": topology.nodes.iter().map(node).collect::<Vec<_>>(),
        "subtopologies": topology.subtopologies.len(),
    }))
}
