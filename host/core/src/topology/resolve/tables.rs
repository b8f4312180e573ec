//! Which nodes are tables, told from the file alone: what reads a table and keeps one row for each key is a table too.
//!
//! Each table that another table's node or a join reads is kept in a store, so that they can look rows up in it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::{RawAggregate, RawJoin, RawKind, RawNode, RawTable};
use super::super::yaml::Name;
use super::super::{Diagnostics, JoinHow};

/// The nodes of a file with operations on tables told from those on streams, and every table that is looked up kept.
pub(super) fn tables(mut nodes: Vec<RawNode>, diagnostics: &mut Diagnostics) -> Vec<RawNode> {
    let tables = names_of_tables(&nodes);
    let is_table = |name: &Name| tables.contains(&name.text);
    for node in &mut nodes {
        let of_table = matches!(&node.from[..], [from] if is_table(from));
        let kind = std::mem::replace(&mut node.kind, RawKind::Bad);
        node.kind = match kind {
            RawKind::Join(join) => joined(&node.name, join, of_table, is_table, diagnostics),
            kind if of_table => of_a_table(&node.name, kind, diagnostics),
            kind => kind,
        };
    }
    kept(nodes, &tables)
}

/// By what `node` is and reads; a name that does not exist is no table's.
fn names_of_tables(nodes: &[RawNode]) -> BTreeSet<String> {
    let mut tables: BTreeSet<String> = BTreeSet::new();
    // Bounded: each turn but the last adds one.
    loop {
        let is_new = |node: &&RawNode| {
            let reads = matches!(&node.from[..], [from] if tables.contains(&from.text));
            let is_table = match &node.kind {
                RawKind::Table { .. } | RawKind::ToTable(_) => true,
                RawKind::Filter(_) => reads,
                RawKind::Map(map) => reads && map.key.is_none(),
                RawKind::Join(join) => join.within.is_none() && reads && tables.contains(&join.right.text),
                _ => false,
            };
            is_table && !tables.contains(&node.name.text)
        };
        let Some(found) = nodes.iter().find(is_new) else { return tables };
        tables.insert(found.name.text.clone());
    }
}

fn joined(
    name: &Name,
    join: RawJoin,
    of_table: bool,
    is_table: impl Fn(&Name) -> bool,
    diagnostics: &mut Diagnostics,
) -> RawKind {
    if join.within.is_some() {
        return RawKind::Join(join);
    }
    if of_table && is_table(&join.right) {
        return RawKind::JoinTables(join);
    }
    if join.how == JoinHow::Outer {
        let message = format!("`{}` is an outer join of a stream with a table, whose rows wait for nobody", name.text);
        let help =
            "write `how: left`; or join two tables, or two streams, saying how near their rows must be: `within: 10s`";
        diagnostics.error(join.right.span, message, help);
    }
    RawKind::Join(join)
}

/// What `kind` is where a table is read.
fn of_a_table(name: &Name, kind: RawKind, diagnostics: &mut Diagnostics) -> RawKind {
    match kind {
        RawKind::Filter(expression) => RawKind::FilterTable(expression),
        RawKind::Map(map) if map.key.is_none() => {
            if let Some((header, _)) = map.headers.first() {
                let message = format!("`{}` writes headers of a table, which keeps none", name.text);
                diagnostics.error(header.span, message, "write them where a stream is mapped");
            }
            RawKind::MapTable(map)
        }
        RawKind::Aggregate(aggregate) => {
            let RawAggregate { span, .. } = *aggregate;
            let message =
                format!("`{}` aggregates a table, which would have to take back what a row was before", name.text);
            diagnostics.error(span, message, "that is not in this version: aggregate a stream, `source: TOPIC`");
            RawKind::Bad
        }
        kind => kind,
    }
}

/// The nodes with a [`RawKind::ToTable`] behind each table that is looked up and has no store.
fn kept(mut nodes: Vec<RawNode>, tables: &BTreeSet<String>) -> Vec<RawNode> {
    let has_rows = |node: &RawNode| match &node.kind {
        RawKind::Aggregate(aggregate) => aggregate.window.is_none(),
        RawKind::FilterTable(_) | RawKind::MapTable(_) | RawKind::JoinTables(_) => tables.contains(&node.name.text),
        _ => false,
    };
    let without: BTreeSet<String> =
        nodes.iter().filter(|node| has_rows(node)).map(|node| node.name.text.clone()).collect();
    let mut wanted: BTreeMap<String, Name> = BTreeMap::new();
    let mut look_up = |name: &mut Name| {
        if without.contains(&name.text) {
            let kept = Name { text: format!("{}-table", name.text), span: name.span };
            wanted.insert(name.text.clone(), kept.clone());
            *name = kept;
        }
    };
    for node in &mut nodes {
        match &mut node.kind {
            RawKind::FilterTable(_) => node.from.iter_mut().for_each(&mut look_up),
            RawKind::JoinTables(join) => {
                look_up(&mut join.right);
                node.from.iter_mut().for_each(&mut look_up);
            }
            RawKind::Join(join) if join.within.is_none() => look_up(&mut join.right),
            _ => {}
        }
    }
    let mut all = Vec::with_capacity(nodes.len() + wanted.len());
    for node in nodes {
        let table = wanted.remove(&node.name.text);
        let (on_error, of) = (node.on_error, node.name.clone());
        all.push(node);
        if let Some(name) = table {
            let kind = RawKind::ToTable(RawTable {
                store: None,
                span: of.span,
                repartition: None,
                of: Some(of.clone()),
                of_topic: false,
            });
            all.push(RawNode { name: Name { span: of.span, ..name }, from: vec![of], kind, on_error });
        }
    }
    all
}
