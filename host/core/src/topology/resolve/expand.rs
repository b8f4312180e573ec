//! Nodes that stand for several, written out: a repartition writes an internal topic and reads it, a table reads its topic and
//! keeps it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::{RawJoin, RawKind, RawNode, RawTable, Repartition};
use super::super::yaml::Name;
use super::super::{Diagnostics, Span};
use super::tables;

/// The nodes of a file with every repartition and table written out: what writes a repartition's topic stands right before
/// what reads it.
pub(super) fn expand(nodes: Vec<RawNode>, diagnostics: &mut Diagnostics) -> Vec<RawNode> {
    let nodes = tables::tables(nodes, diagnostics);
    let needed: Vec<bool> = nodes.iter().map(|node| is_needed(node, &nodes, diagnostics)).collect();
    nodes.iter().for_each(|node| right_side_keeps_keys(node, &nodes, diagnostics));
    repartitions_have_names_of_their_own(&nodes, diagnostics);
    let mut expansion = Expansion::default();
    for (node, needed) in nodes.into_iter().zip(needed) {
        expansion.add(node, needed);
    }
    let Expansion { nodes, own } = expansion;
    for (name, of) in own {
        if nodes.iter().filter(|node| node.name.text == name.text).count() > 1 {
            let message = format!("node `{of}` needs the name `{}` for a part of its own", name.text);
            diagnostics.error(name.span, message, format!("rename `{}`", name.text));
        }
    }
    nodes
}

#[derive(Default)]
struct Expansion {
    nodes: Vec<RawNode>,
    /// Names that no node of the file may have, and whose they are.
    own: Vec<(Name, String)>,
}

impl Expansion {
    fn add(&mut self, mut node: RawNode, needed: bool) {
        match node.kind {
            RawKind::Repartition(ref repartition) => {
                let repartition = repartition.clone();
                let write = self.hidden(&node.name, "write");
                self.write(write, &mut node, repartition);
            }
            RawKind::Table { topic, timestamp, store } => {
                let source = self.hidden(&node.name, "source");
                let kind = RawKind::Source { topics: vec![topic], timestamp, of: Some(node.name.clone()) };
                let from = std::mem::replace(&mut node.from, vec![source.clone()]);
                self.nodes.push(RawNode { name: source, from, kind, on_error: node.on_error });
                node.kind = RawKind::ToTable(RawTable {
                    store,
                    span: node.name.span,
                    repartition: None,
                    of: None,
                    of_topic: true,
                });
            }
            RawKind::ToTable(RawTable { of: Some(ref of), .. }) => self.own.push((node.name.clone(), of.text.clone())),
            _ => {
                if let Some((_, Some(repartition))) = by_key(&node.kind).filter(|_| needed) {
                    let repartition = repartition.clone();
                    let read = self.hidden(&node.name, "repartition");
                    let write = self.hidden(&node.name, "repartition-write");
                    self.write(write, &mut node, repartition.clone());
                    let kind = RawKind::Repartition(repartition);
                    self.nodes.push(RawNode { name: read.clone(), from: Vec::new(), kind, on_error: node.on_error });
                    node.from = vec![read];
                }
            }
        }
        self.nodes.push(node);
    }

    /// What writes the topic of `repartition` reads what `node` read.
    fn write(&mut self, name: Name, node: &mut RawNode, repartition: Repartition) {
        let kind = RawKind::RepartitionWrite { of: node.name.clone(), repartition };
        self.nodes.push(RawNode { name, from: std::mem::take(&mut node.from), kind, on_error: node.on_error });
    }

    fn hidden(&mut self, of: &Name, suffix: &str) -> Name {
        let name = Name { text: format!("{}-{suffix}", of.text), span: of.span };
        self.own.push((name.clone(), of.text.clone()));
        name
    }
}

/// What wants rows of equal keys in one task: where the file says so, and the repartition beside it.
fn by_key(kind: &RawKind) -> Option<(Span, Option<&Repartition>)> {
    match kind {
        RawKind::Aggregate(aggregate) => Some((aggregate.span, aggregate.repartition.as_ref())),
        RawKind::Join(join) => Some((join.span, join.repartition.as_ref())),
        RawKind::ToTable(table) => Some((table.span, table.repartition.as_ref())),
        _ => None,
    }
}

/// Whether `node` works by key and its rows may not be in the partition of their key.
fn is_needed(node: &RawNode, nodes: &[RawNode], diagnostics: &mut Diagnostics) -> bool {
    let Some((span, repartition)) = by_key(&node.kind) else { return false };
    let Some(culprit) = changes_key(&node.from, nodes) else { return false };
    if repartition.is_none() {
        let message = format!(
            "rows of equal keys may not meet in one task: `{}` gives them new keys before `{}`",
            culprit.name.text, node.name.text
        );
        diagnostics.error(
            span,
            message,
            format!("add `repartition: NAME` to node `{}`{}", node.name.text, or_keeps(culprit)),
        );
    }
    true
}

/// What to say beside, of a plugin.
fn or_keeps(culprit: &RawNode) -> String {
    if matches!(culprit.kind, RawKind::Process(_)) {
        format!("; if the plugin keeps the keys, say `keeps-key: true` at `{}`", culprit.name.text)
    } else {
        String::new()
    }
}

/// Refuses a stream on the right side of a join whose rows may not be in the partition of their key.
fn right_side_keeps_keys(node: &RawNode, nodes: &[RawNode], diagnostics: &mut Diagnostics) {
    let RawKind::Join(RawJoin { right, within: Some(_), .. }) = &node.kind else { return };
    let Some(culprit) = changes_key(std::slice::from_ref(right), nodes) else { return };
    let message = format!(
        "rows of equal keys may not meet in one task: `{}` gives those of `{}` new keys before `{}`",
        culprit.name.text, right.text, node.name.text
    );
    let help = format!("add `NODE: {{ from: {}, repartition: NAME }}` and join NODE{}", right.text, or_keeps(culprit));
    diagnostics.error(right.span, message, help);
}

/// A node among `from` and what they read that gives rows new keys, after which no other brings them to their partitions.
fn changes_key<'a>(from: &'a [Name], nodes: &'a [RawNode]) -> Option<&'a RawNode> {
    let mut pending: Vec<&str> = from.iter().rev().map(|from| from.text.as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(from) = pending.pop() {
        let name = from.split('.').next()?;
        let Some(before) = nodes.iter().find(|other| other.name.text == name).filter(|_| seen.insert(name)) else {
            continue;
        };
        match &before.kind {
            RawKind::Map(map) if map.key.is_some() => return Some(before),
            RawKind::FlatMap(flat_map) if flat_map.key.is_some() => return Some(before),
            RawKind::Process(process) if !process.keeps_key => return Some(before),
            // Its rows came to their partitions, or that is its own mistake.
            RawKind::Repartition(_) => {}
            kind if by_key(kind).is_some() => {}
            _ => pending.extend(before.from.iter().rev().map(|from| from.text.as_str())),
        }
    }
    None
}

fn repartitions_have_names_of_their_own(nodes: &[RawNode], diagnostics: &mut Diagnostics) {
    let mut users: BTreeMap<&str, &str> = BTreeMap::new();
    for node in nodes {
        let repartition = match &node.kind {
            RawKind::Repartition(repartition) => Some(repartition),
            kind => by_key(kind).and_then(|(_, repartition)| repartition),
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
