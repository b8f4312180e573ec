//! What a mistake in a topology file is answered: each `diagnostics/NAME.yaml` with `NAME.stderr` beside it.
//! `UPDATE=1 cargo test --release -p weir-core --test diagnostics` rewrites the answers; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use weir_core::topology::{
    Diagnostics, Emit, EventTime, Format, Internal, NodeKind, PORT_LATE, Severity, StoreIndex, StoreKind,
    SuppressUntil, check, parse,
};

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
    assert_eq!(parts, [vec!["orders", "created", "sizes", "details", "verdicts", "rest"], vec!["audit", "audited"]]);
    assert_eq!(topology.source_topics().map(|topic| topic.as_str()).collect::<Vec<_>>(), ["orders", "audit"]);
    let details = topology.node(topology.find("details").unwrap());
    let NodeKind::Process(plugin) = &details.kind else { panic!("{details:?}") };
    assert_eq!(plugin.config, r#"{"limit":"1_0","n":5,"f":-0.5,"q":"5"}"#);
    assert_eq!(&ORDERS[plugin.span.start..plugin.span.end], "order-details");
    let input = topology.node(topology.find("rest").unwrap()).inputs[0].clone();
    assert_eq!((topology.find("sizes"), input.port, input.port_name.as_deref()), (Some(input.node), 1, Some("other")));
    let sizes = topology.node(input.node);
    let children: Vec<_> = sizes.children.iter().map(|child| child.node).collect();
    assert_eq!(children, [topology.find("details").unwrap(), topology.find("rest").unwrap()]);
}

#[test]
fn the_example_at_the_head_of_the_module_is_good() {
    let source = include_str!("../src/topology/mod.rs");
    let lines =
        source.lines().skip_while(|line| !line.ends_with("```yaml")).skip(1).take_while(|line| *line != "//! ```");
    let text: String = lines.map(|line| format!("{}\n", line.trim_start_matches("//! "))).collect();
    let (topology, diagnostics) = check("mod.rs", &text);
    assert!(topology.is_some() && diagnostics.list().is_empty(), "{diagnostics}");
}

#[test]
fn the_time_of_a_source_may_come_from_a_plugin() {
    let text = "application: a\ntopics: { t: {}, u: {} }\nnodes:\n  in: { source: { topic: t, timestamp: { plugin: ./times.wasm, \
                config: { field: at } } }, on-error: skip }\n  out: { from: in, sink: u }\n";
    let topology = parse("topology.yaml", text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let node = topology.node(topology.find("in").unwrap());
    assert!(matches!(&node.kind, NodeKind::Source(source) if matches!(source.timestamp, Some(EventTime::Plugin(_)))));
    let plugin = node.plugin().unwrap();
    assert_eq!((plugin.plugin.as_str(), plugin.config.as_str()), ("./times.wasm", r#"{"field":"at"}"#));
    assert_eq!(&text[plugin.span.start..plugin.span.end], "./times.wasm");
}

#[test]
fn stores_and_repartitions_make_the_parts_and_the_internal_topics() {
    let topology = parse("topology.yaml", STOCKS).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let parts: Vec<Vec<&str>> = topology
        .subtopologies
        .iter()
        .map(|part| part.nodes.iter().map(|&node| topology.node(node).name.as_str()).collect())
        .collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0], ["trades", "mapped", "total-repartition-write", "by-x", "shuffled-write"]);
    assert_eq!(parts[2], ["total-repartition", "total"]);
    let internal = topology
        .topics
        .iter()
        .filter_map(|topic| Some((topic.name.as_str(), topic.internal?, topic.key, topic.value, topic.partitions)));
    let (bytes, none) = (Format::Bytes, None);
    let changelog = |name| (name, Internal::Changelog, bytes, bytes, none);
    let windowed = |name| (name, Internal::WindowedChangelog, bytes, bytes, none);
    let repartition = |name, partitions| (name, Internal::Repartition, Format::String, Format::Json, partitions);
    assert_eq!(
        internal.collect::<Vec<_>>(),
        [
            repartition("stock-stats-by-ticker-repartition", None),
            repartition("stock-stats-by-total-repartition", Some(2)),
            windowed("stock-stats-low-changelog"),
            changelog("stock-stats-seen-changelog"),
            changelog("stock-stats-total-changelog"),
            changelog("stock-stats-kept-changelog"),
            windowed("stock-stats-mine-changelog"),
            changelog("stock-stats-held-suppressed-changelog"),
            changelog("stock-stats-held2-suppressed-changelog"),
            changelog("stock-stats-held3-suppressed-changelog"),
            changelog("stock-stats-general-timers-changelog"),
        ]
    );
    let store = |name: &str| topology.store(topology.find_store(name).unwrap());
    assert!(store("totals").changelog.is_none() && store("totals").in_memory && store("totals").row_at_a_time);
    assert!(store("seen").row_at_a_time && !store("low").row_at_a_time && !store("low").in_memory);
    assert_eq!(store("mine").kind, StoreKind::Session { retention_ms: 6_000 });
    assert!(topology.subtopologies[1].row_at_a_time && !topology.subtopologies[2].row_at_a_time);
    let kind = |name: &str| &topology.node(topology.find(name).unwrap()).kind;
    let NodeKind::Suppress(held) = kind("held2") else { panic!("held2 is no suppress") };
    assert_eq!(held.until, SuppressUntil::WindowCloses { grace_ms: 6_000 }); // the gap and the grace
    let NodeKind::Aggregate(kept) = kind("kept") else { panic!("kept is no aggregate") };
    assert_eq!((kept.value_format, kept.emit), (Format::Json, Emit::Commit));
    let late = topology.node(topology.find("late").unwrap()).inputs[0].clone();
    assert_eq!(late.port, PORT_LATE);
}

#[test]
fn nodes_that_share_a_store_are_one_part_with_as_many_partitions() {
    let text = "application: a\ntopics: { t: { partitions: 4 } }\nstores: { s: { kind: key-value } }\nnodes:\n  \
        t: { source: t }\n  r: { from: t, repartition: r }\n  a: { from: t, process: { plugin: p, stores: [s] } }\n  \
        b: { from: r, process: { plugin: p, stores: { mine: s } } }\n";
    let topology = parse("t.yaml", text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!((topology.subtopologies.len(), topology.subtopologies[0].sources.len()), (1, 2));
    assert_eq!(topology.topics[1].partitions, Some(4));
    let NodeKind::Process(plugin) = &topology.node(topology.find("b").unwrap()).kind else { panic!("b is no process") };
    assert_eq!(plugin.stores, [("mine".to_owned(), StoreIndex(0))]);
}

#[test]
fn a_join_of_streams_keeps_its_sides_and_what_waits_and_reads_as_many_partitions_of_each() {
    let text = "application: a\ntopics: { t: { key: string, value: json, partitions: 4 }, u: { key: string, value: json } }\nnodes:\n  t: { source: t }\n  \
        u: { source: u }\n  k: { from: u, key-by: value.k }\n  r: { from: k, repartition: r }\n  \
        near: { from: t, join: r, within: { before: 1s, after: 2s }, grace: 4s, how: left }\n  o: { from: near, sink: u }\n  \
        both: { from: t, join: t, within: 1s }\n  p: { from: both, sink: u }\n";
    let topology = parse("t.yaml", text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let stores: Vec<_> = topology.stores.iter().map(|store| (store.name.as_str(), store.kind)).collect();
    let joined = |retention_ms| StoreKind::Joined { retention_ms };
    let expected = [
        ("near-left", joined(7_000)),
        ("near-right", joined(7_000)),
        ("near-waiting", StoreKind::Waiting),
        ("both-left", joined(2_000)),
        ("both-right", joined(2_000)),
    ];
    assert_eq!(stores, expected);
    let internal =
        topology.topics.iter().filter_map(|topic| Some((topic.name.as_str(), topic.internal?, topic.partitions)));
    let internal: Vec<_> = internal.collect();
    assert_eq!(internal[0], ("a-r-repartition", Internal::Repartition, Some(4)));
    assert_eq!(internal[1].1, Internal::WindowedChangelog);
    assert_eq!(internal[3], ("a-near-waiting-changelog", Internal::Changelog, None));
    assert_eq!(topology.subtopologies.len(), 2);
    assert!(topology.subtopologies.iter().all(|part| !part.row_at_a_time));
}

#[test]
fn mapped_rows_have_the_format_of_the_topic_that_they_go_straight_to() {
    let text = "application: a\ntopics: { t: { value: json }, u: { key: json, value: string } }\nnodes:\n  \
        t: { source: t }\n  a: { from: t, map: { key: value.k, value: value.v } }\n  b: { from: a, sink: u }\n  \
        c: { from: t, map: { key: value.k, value: value.v } }\n  d: { from: c, sink: u }\n  e: { from: c, filter: 'true' }\n  \
        f: { from: t, map: { key: value.k, value: value.v, key-format: bytes, value-format: bytes } }\n  g: { from: f, sink: u }\n";
    let topology = parse("t.yaml", text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let formats = |name: &str| match &topology.node(topology.find(name).unwrap()).kind {
        NodeKind::Map(map) => (map.key_format, map.value_format),
        other => panic!("{other:?}"),
    };
    assert_eq!(formats("a"), (Format::Json, Format::String));
    assert_eq!(formats("c"), (Format::String, Format::Json));
    assert_eq!(formats("f"), (Format::Bytes, Format::Bytes));
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
