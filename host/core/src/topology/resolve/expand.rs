//! Repartitions as the two nodes that they are: one that writes the internal topic, and one that reads it.

use std::collections::BTreeMap;

use super::super::Diagnostics;
use super::super::read::{RawKind, RawNode, Repartition};
use super::super::yaml::Name;

/// The nodes of a file with every repartition written out: what writes its topic stands right before what reads it.
pub(super) fn expand(nodes: Vec<RawNode>, diagnostics: &mut Diagnostics) -> Vec<RawNode> {
    let needed: Vec<bool> = nodes.iter().map(|node| is_needed(node, &nodes, diagnostics)).collect();
    repartitions_have_names_of_their_own(&nodes, diagnostics);
    let mut expanded = Vec::with_capacity(nodes.len());
    let mut own: Vec<Name> = Vec::new();
    let mut hidden = |name: &Name, suffix: &str| {
        let text = format!("{}-{suffix}", name.text);
        own.push(Name { text: text.clone(), span: name.span });
        Name { text, span: name.span }
    };
    for (mut node, needed) in nodes.into_iter().zip(needed) {
        let (write, read) = match &node.kind {
            RawKind::Repartition(repartition) => (hidden(&node.name, "write"), Some((None, repartition.clone()))),
            RawKind::Aggregate(aggregate) if needed => match &aggregate.repartition {
                Some(repartition) => {
                    let read = hidden(&node.name, "repartition");
                    (hidden(&node.name, "repartition-write"), Some((Some(read), repartition.clone())))
                }
                None => (node.name.clone(), None),
            },
            RawKind::Table { .. } => (hidden(&node.name, "source"), None),
            _ => (node.name.clone(), None),
        };
        if let RawKind::Table { topic, timestamp, store } = node.kind {
            let kind = RawKind::Source { topics: vec![topic], timestamp };
            expanded.push(RawNode { name: write.clone(), from: None, kind, on_error: node.on_error });
            (node.from, node.kind) = (Some(write.clone()), RawKind::ToTable(store));
        }
        if let Some((read, repartition)) = read {
            let of = node.name.clone();
            let kind = RawKind::RepartitionWrite { of, repartition: repartition.clone() };
            expanded.push(RawNode { name: write, from: node.from.take(), kind, on_error: node.on_error });
            if let Some(read) = read {
                node.from = Some(read.clone());
                let kind = RawKind::Repartition(repartition);
                expanded.push(RawNode { name: read, from: None, kind, on_error: node.on_error });
            }
        }
        expanded.push(node);
    }
    for name in own {
        if expanded.iter().filter(|node| node.name.text == name.text).count() > 1 {
            let message = format!("a node here needs the name `{}` for a part of its own", name.text);
            diagnostics.error(name.span, message, format!("rename node `{}`", name.text));
        }
    }
    expanded
}

/// Whether `node` is an aggregate whose rows may not be in the partition of their key.
fn is_needed(node: &RawNode, nodes: &[RawNode], diagnostics: &mut Diagnostics) -> bool {
    let RawKind::Aggregate(aggregate) = &node.kind else { return false };
    let Some(culprit) = changes_key(node, nodes) else { return false };
    if aggregate.repartition.is_none() {
        let message = format!(
            "rows of equal keys may not meet in one task: `{}` gives them new keys before `{}`",
            culprit.name.text, node.name.text
        );
        let process = if matches!(culprit.kind, RawKind::Process(_)) {
            format!("; if the plugin keeps the keys, say `keeps-key: true` at `{}`", culprit.name.text)
        } else {
            String::new()
        };
        diagnostics.error(aggregate.span, message, format!("add `repartition: NAME` to this aggregate{process}"));
    }
    true
}

/// The node before `node` that gives rows new keys, after which no other brings them to their partitions.
fn changes_key<'a>(node: &RawNode, nodes: &'a [RawNode]) -> Option<&'a RawNode> {
    let mut from = node.from.as_ref();
    // As many steps as there are nodes: in a cycle there is no end.
    for _ in nodes {
        let name = from?.text.split('.').next();
        let before = nodes.iter().find(|other| Some(other.name.text.as_str()) == name)?;
        match &before.kind {
            RawKind::Map(map) if map.key.is_some() => return Some(before),
            RawKind::Process(process) if !process.keeps_key => return Some(before),
            // Its rows came to their partitions, or that is its own mistake.
            RawKind::Aggregate(_) | RawKind::Repartition(_) | RawKind::Table { .. } => return None,
            _ => from = before.from.as_ref(),
        }
    }
    None
}

fn repartitions_have_names_of_their_own(nodes: &[RawNode], diagnostics: &mut Diagnostics) {
    let mut users: BTreeMap<&str, &str> = BTreeMap::new();
    for node in nodes {
        let repartition: Option<&Repartition> = match &node.kind {
            RawKind::Repartition(repartition) => Some(repartition),
            RawKind::Aggregate(aggregate) => aggregate.repartition.as_ref(),
            _ => None,
        };
        let Some(Repartition { name, .. }) = repartition else { continue };
        if let Some(user) = users.insert(&name.text, &node.name.text) {
            let other = &node.name.text;
            let message = format!("two repartitions are named `{}`, at `{user}` and at `{other}`", name.text);
            let help = "rename one; for several readers of the same rows make it a node of its own";
            diagnostics.error(name.span, message, help);
        }
    }
}
