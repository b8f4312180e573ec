//! What a mistake in a topology file is answered: each `diagnostics/NAME.yaml` with `NAME.stderr` beside it.
//! `UPDATE=1 cargo test --release -p weir-core --test diagnostics` rewrites the answers; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use weir_core::topology::{Diagnostics, NodeKind, Severity, StoreIndex, check, parse};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn mistakes_are_answered_as_in_the_golden_files() {
    let mut differences = String::new();
    for path in files() {
        let (topology, diagnostics) = check("topology.yaml", &fs::read_to_string(&path).unwrap());
        assert_eq!(topology.is_none(), diagnostics.has_errors(), "{}", path.display());
        let (actual, golden) = (diagnostics.render(), path.with_extension("stderr"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &actual).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if actual != expected {
            differences += &format!("{}\n--- expected\n{expected}--- actual\n{actual}\n", path.display());
        }
    }
    assert!(differences.is_empty(), "{differences}UPDATE=1 accepts this");
    assert!(files().len() > 10);
}

const ORDERS: &str = r#"application: orders
topics:
  orders:             { key: string, value: json, partitions: 4 }
  order-validations:  { key: string, value: json, partitions: 4 }
  audit:
nodes:
  verdicts:   { from: details, sink: order-validations }
  orders:     { source: orders }
  created:    { from: orders, filter: value.state == "CREATED" }
  details:    { from: sizes.large, process: { plugin: order-details, config: { limit: 1_0, n: 5, f: -.5, "q": '5' } }, on-error: skip }
  sizes:      { from: created, branch: { large: value.price > 100, other: default } }
  rest:       { from: sizes.other, sink: order-validations }
  audit:      { source: [audit] }
  audited:    { from: audit, process: { plugin: ./audit.wasm } }
"#;

/// Each kind of node and store.
const STOCKS: &str = r#"application: stock-stats
topics:
  trades: { key: string, value: json, partitions: 4 }
  stats:  { key: string, value: json, partitions: 4 }
  late-trades: { key: string, value: json }
stores:
  low:     { kind: window, retention: 1h }
  totals:  { kind: key-value, in: memory, changelog: false }
  seen:    { kind: key-value, ttl: 1h }
nodes:
  trades:  { source: { topic: trades, timestamp: value.time } }
  mapped:  { from: trades, map: { key: value.ticker, value: '{"price": value.price}' } }
  by-x:    { from: trades, key-by: value.ticker }
  shuffled: { from: by-x, repartition: by-ticker }
  counted: { from: shuffled, aggregate: count, store: totals, emit: update }
  stats:   { from: shuffled, window: { hopping: 5s, advance: 1s, grace: 2s }, store: low,
             aggregate: { trades: count, low: { min: value.price }, average: { avg: value.price } } }
  total:   { from: mapped, aggregate: { sum: value.price }, repartition: { name: by-total, partitions: 2 } }
  kept:    { from: shuffled, aggregate: { reduce: 'aggregate.price > value.price ? aggregate : value' }, repartition: by-kept }
  mine:    { from: shuffled, aggregate: { plugin: my-aggregator, config: { a: 1 } }, window: { session: 5s, grace: 1s } }
  held:    { from: stats, suppress: { until: close, rows-max: 100000, bytes-max: 64MB, when-full: fail } }
  held2:    { from: mine, suppress: { until: close } }
  held3:    { from: mine, suppress: { until: 10s, when-full: emit-early } }
  late:    { from: stats.late, sink: late-trades }
  general: { from: shuffled, process: { plugin: p, config: {}, stores: [totals, seen], timers: true, keeps-key: true } }
  start:   { from: held, map: { value: '{"start": window.start, "v": value}' } }
  out:     { from: start, sink: stats }
  out2:     { from: held2, sink: stats }
  out3:     { from: held3, sink: stats }
"#;

#[test]
fn a_file_becomes_a_topology_with_its_parts_numbered_by_their_first_node() {
    let topology = parse("topology.yaml", ORDERS).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let parts: Vec<Vec<&str>> = topology
        .subtopologies
        .iter()
        .map(|part| part.nodes.iter().map(|&node| topology.node(node).name.as_str()).collect())
        .collect();
    assert_eq!(parts, [vec!["verdicts", "orders", "created", "details", "sizes", "rest"], vec!["audit", "audited"]]);
    assert_eq!(topology.source_topics().map(|topic| topic.as_str()).collect::<Vec<_>>(), ["orders", "audit"]);
    let details = topology.node(topology.find("details").unwrap());
    let NodeKind::Process(plugin) = &details.kind else { panic!("{details:?}") };
    assert_eq!(plugin.config, r#"{"limit":"1_0","n":5,"f":-0.5,"q":"5"}"#);
    assert_eq!(&ORDERS[plugin.span.start..plugin.span.end], "order-details");
    let input = topology.node(topology.find("rest").unwrap()).input.clone().unwrap();
    assert_eq!((topology.find("sizes"), input.port, input.port_name.as_deref()), (Some(input.node), 1, Some("other")));
    let sizes = topology.node(input.node);
    assert_eq!(sizes.children, [topology.find("details").unwrap(), topology.find("rest").unwrap()]);
}

#[test]
fn diagnostics_as_json_have_message_line_column_and_help() {
    let Err(diagnostics) = parse("t.yaml", &ORDERS.replace("from: audit", "from: audti")) else { panic!("it is good") };
    let list = serde_json::to_value(&diagnostics).unwrap();
    let expected = serde_json::json!({
        "severity": "error", "message": "node `audited` reads from `audti`, which does not exist",
        "line": 14, "column": 23, "help": "did you mean `audit`?",
    });
    assert!(list.as_array().unwrap().contains(&expected), "{list:#}");
    assert!(diagnostics.list().iter().all(|diagnostic| diagnostic.severity == Severity::Error), "{diagnostics}");
}

fn holds(text: &str) -> Result<(), TestCaseError> {
    let (topology, diagnostics): (_, Diagnostics) = check("t.yaml", text);
    prop_assert_eq!(topology.is_none(), diagnostics.has_errors());
    for diagnostic in diagnostics.list() {
        prop_assert!(text.get(diagnostic.span.start..diagnostic.span.end).is_some());
        prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
    }
    prop_assert_eq!(diagnostics.render().is_empty(), diagnostics.is_empty());
    if let Some(topology) = topology {
        // What the engine relies on: inputs exist, and every node is reached from a source.
        prop_assert_eq!(
            topology.subtopologies.iter().map(|part| part.nodes.len()).sum::<usize>(),
            topology.nodes.len()
        );
        prop_assert!(topology.subtopologies.iter().all(|part| !part.sources.is_empty() && !part.topics.is_empty()));
        for (index, store) in topology.stores.iter().enumerate() {
            let users = topology.subtopologies.iter().filter(|part| part.stores.contains(&StoreIndex(index))).count();
            prop_assert!(users <= 1 && (users == 1 || store.changelog.is_none()), "{}", store.name);
        }
        let names: BTreeSet<_> = topology.topics.iter().map(|topic| &topic.name).collect();
        prop_assert_eq!(names.len(), topology.topics.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z:{}\\[\\],.'\"#&*!|>%@`?~é\u{feff} \t\r\n-]{0,80}") {
        holds(&text)?;
    }

    #[test]
    fn no_slip_makes_the_parser_panic(
        base in prop::sample::select(vec![ORDERS, STOCKS]),
        slips in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[a-z:{}\\[\\],.'\"#&*!|>é \t\r\n-]{0,3}"), 1..4),
    ) {
        let mut text = base.to_owned();
        for (at, length, new) in slips {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary(start + length).max(start);
            text.replace_range(start..end, &new);
        }
        holds(&text)?;
    }

    #[test]
    fn no_exchange_of_words_makes_the_parser_panic(
        base in prop::sample::select(vec![ORDERS, STOCKS]),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut words: Vec<&str> = base.split_inclusive(' ').collect();
        for (a, b) in swaps {
            let to = a.index(words.len());
            words[to] = words[b.index(words.len())];
        }
        holds(&words.concat())?;
    }
}
