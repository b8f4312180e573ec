//! Event time by a plugin, from outside: windows by what it finds, rows that it refuses, its hot swap, what does not fit.
//! It needs the plugins of `cargo xtask plugins`.

#![allow(clippy::unwrap_used, reason = "this is test code, though not every function here is a test")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Host, left, plugin, plugin_dir, run, topology};

/// Orders of two topics by the 10 seconds in which they say that they were made.
const COUNTED: &str = r#"
application: shop
topics:
  orders:  { key: string, value: json, partitions: 1 }
  refunds: { key: string, value: json, partitions: 1 }
  counts:  { key: string, value: json, partitions: 1 }
nodes:
  orders:  { source: { topics: [orders, refunds], timestamp: { plugin: event-time, config: { unitMs: 1 } } }, on-error: skip }
  counted: { from: orders, window: { tumbling: 10s }, aggregate: count, emit: update }
  shown:   { from: counted, map: { value: '{"start": window.start, "n": value}' } }
  counts:  { from: shown, sink: counts }
"#;

/// Metrics follow what has happened within this time, on a busy machine too.
const FIGURES_WAIT: Duration = Duration::from_secs(10);

const PUT: &str = "/api/v1/nodes/orders/plugin?wait=20s";

fn start(dir: &Path) -> Host {
    Host::ready(dir, COUNTED, &["--plugin-dir", plugin_dir().to_str().unwrap()])
}

fn post(host: &Host, values: &[&str]) {
    post_to(host, "orders", values);
}

fn post_to(host: &Host, topic: &str, values: &[&str]) {
    let lines: String = values.iter().map(|value| format!("{{\"key\":\"k\",\"value\":{value}}}\n")).collect();
    let (status, answer) = host.post(&format!("/api/v1/topics/{topic}/records"), &lines);
    assert_eq!(status, 200, "{answer}");
}

/// Start and count of each result, and when the order was made that changed it.
fn counts(host: &Host, count: usize) -> Vec<(i64, i64, i64)> {
    let number = |value: &Value| value.as_i64().unwrap();
    let lines = host.lines("counts", count);
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
        .iter()
        .map(|line| (number(&line["value"]["start"]), number(&line["value"]["n"]), number(&line["ts"])))
        .collect()
}

/// How often rows of the source were left out for `reason`.
fn dropped(host: &Host, reason: &str) -> Option<String> {
    let page = host.get("/metrics").1;
    let lines = page.lines().filter(|line| line.starts_with("weir_node_dropped_records_total{"));
    let mut ours = lines.filter(|line| line.contains("node=\"orders\"") && line.contains(&format!("\"{reason}\"")));
    ours.next()?.rsplit(' ').next().map(str::to_owned)
}

fn deploy(host: &Host, config: &Value) -> (u16, Value) {
    let node: Value = serde_json::from_str(&host.get("/api/v1/nodes/orders").1).unwrap();
    let body = json!({ "artifact": node["artifact"], "config": config });
    host.put(PUT, &[], body.to_string().as_bytes())
}

#[test]
fn windows_go_by_the_plugins_time_and_what_has_none_is_skipped_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path());
    post(&host, &[r#"{"at":1000}"#, "{}", r#"{"at":2000}"#, r#"{"at":-1}"#, r#"{"at":3,"breaks":true}"#]);
    post(&host, &[r#"{"at":11000}"#, r#"{"at":9000}"#, r#"{"at":12000}"#]);
    // 9000 came too late: the times of the records themselves are years later, and move nothing.
    assert_eq!(counts(&host, 4), [(0, 1, 1000), (0, 2, 2000), (10_000, 1, 11_000), (10_000, 2, 12_000)]);
    for reason in ["weir.decode", "weir.timestamp", "panic"] {
        // A thread tells its figures now and then, not with each commit.
        let since = Instant::now();
        while dropped(&host, reason).as_deref() != Some("1") {
            assert!(since.elapsed() < FIGURES_WAIT, "{reason}: {:?}", dropped(&host, reason));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_swap_of_the_plugin_finds_times_anew_and_one_that_traps_on_recent_records_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path());
    post(&host, &[r#"{"at":1000}"#]);
    assert_eq!(counts(&host, 1), [(0, 1, 1000)]);
    let (status, view) = deploy(&host, &json!({ "unitMs": 1000 }));
    assert_eq!((status, &view["phase"]), (200, &json!("live")), "{view}");
    post(&host, &[r#"{"at":12}"#]);
    assert_eq!(counts(&host, 2)[1], (10_000, 1, 12_000));
    let (status, problem) = deploy(&host, &json!({ "unit": 5 }));
    assert!(status == 422 && problem.to_string().contains("unknown field `unit`"), "{problem}");
    post_to(&host, "refunds", &[r#"{"at":13}"#, r#"{"at":14,"breaks":true}"#]);
    assert_eq!(counts(&host, 3)[2], (10_000, 2, 13_000));
    let (status, problem) = deploy(&host, &json!({ "unitMs": 500 }));
    assert!(status == 422 && problem["detail"].as_str().unwrap().contains("at refunds/0@1"), "{status} {problem}");
    let processor = std::fs::read(plugin("stamp")).unwrap();
    let (status, problem) = host.put(PUT, &[], &processor);
    assert!(status == 422 && problem.to_string().contains("it is a processor, but its node is a source"), "{problem}");
    post(&host, &[r#"{"at":15}"#]);
    assert_eq!(counts(&host, 4)[3], (10_000, 3, 15_000));
}

#[test]
fn neither_batches_nor_restarts_nor_aborts_show_in_windows_of_the_plugins_time() {
    let dir = tempfile::tempdir().unwrap();
    topology(dir.path(), COUNTED);
    let case = dir.path().join("cases/times");
    std::fs::create_dir_all(&case).unwrap();
    let row =
        |topic: &str, value: &str| format!("{{\"topic\":\"{topic}\",\"key\":\"a\",\"value\":{value},\"ts\":77}}\n");
    let rows = [
        row("orders", r#"{"at":3000}"#),
        row("refunds", r#"{"at":2000}"#),
        row("orders", r#"{"at":4000,"breaks":true}"#),
        row("orders", "7"),
        row("refunds", r#"{"at":12000}"#),
        row("orders", r#"{"at":11000}"#),
    ];
    std::fs::write(case.join("in.jsonl"), rows.concat()).unwrap();
    let (dir, plugins) = (dir.path().to_str().unwrap().to_owned(), plugin_dir());
    for more in [&["--update"][..], &[]] {
        let mut arguments = vec!["test", &dir, "--plugin-dir", plugins.to_str().unwrap()];
        arguments.extend(more);
        let (exit, data, words) = left(&run(&arguments, ""));
        assert_eq!(exit, 0, "{data}{words}");
    }
    let expect = std::fs::read_to_string(case.join("expect.jsonl")).unwrap();
    assert!(expect.contains(r#""ts":12000,"key":"a","value":{"start":10000,"n":1}"#), "{expect}");
}

#[test]
fn a_processor_in_the_place_of_an_extractor_is_told_at_its_line_and_inspect_names_the_world() {
    let dir = tempfile::tempdir().unwrap();
    let file = topology(dir.path(), &COUNTED.replace("plugin: event-time", "plugin: stamp"));
    let plugins = plugin_dir();
    let check =
        |file: &Path| left(&run(&["check", file.to_str().unwrap(), "--plugin-dir", plugins.to_str().unwrap()], ""));
    let (exit, _, words) = check(&file);
    assert_eq!(exit, 6, "{words}");
    for part in
        ["it is a processor, but its node is a source", ":8:", "name a plugin that exports weir:plugin/extraction"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
    let (exit, _, words) = check(&topology(dir.path(), COUNTED));
    assert_eq!(exit, 0, "{words}");
    let (exit, data, words) = left(&run(&["inspect", plugin("event-time").to_str().unwrap()], ""));
    assert!(exit == 0 && data.contains("world    extractor\n"), "{data}{words}");
}
