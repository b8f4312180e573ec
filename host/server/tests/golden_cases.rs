//! `weir test` from outside: what it says of cases, what it writes, how it ends.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::path::Path;

use support::{left, plugin_dir, run, topology};

/// Counts rows by key, and sums them up by window.
const COUNTS: &str = r#"
application: shop
topics:
  orders: { key: string, value: json }
  counts: { key: string, value: json }
  sums:   { key: string, value: json }
stores:
  counts: { kind: key-value }
  sums:   { kind: window }
nodes:
  orders: { source: orders }
  counted: { from: orders, aggregate: count, store: counts }
  out:    { from: counted, sink: counts }
  summed: { from: orders, window: { tumbling: 10s }, aggregate: { n: count, sum: { sum: value.price } }, emit: close, store: sums }
  sums:   { from: summed, sink: sums }
"#;

const ORDERS: &str = r#"{"topic":"orders","key":"a","value":{"price":1},"ts":1000}
{"topic":"orders","key":"b","value":{"price":2},"ts":2000}
{"topic":"orders","key":"a","value":{"price":4},"ts":3000}
{"commit":true}
{"restart":true}
{"topic":"orders","key":"a","value":{"price":8},"ts":12000}
"#;

fn case(dir: &Path, name: &str, files: &[(&str, &str)]) {
    let folder = dir.join("cases").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

fn file(dir: &Path, path: &str) -> String {
    std::fs::read_to_string(dir.join(path)).unwrap()
}

#[test]
fn what_comes_out_is_written_down_and_then_holds() {
    let dir = tempfile::tempdir().unwrap();
    topology(dir.path(), COUNTS);
    case(dir.path(), "two-windows", &[("in.jsonl", ORDERS)]);
    let here = dir.path().to_str().unwrap();

    let (exit, data, words) = left(&run(&["test", here], ""));
    assert_eq!(exit, 1, "{words}");
    assert_eq!(
        data,
        "FAILED  two-windows  6 lines, 16 runs\n        \
         there is no expect.jsonl: write one, or have it written with `weir test --update`\n\
         shop: 1 case, 0 passed, 1 failed\n"
    );

    let (exit, data, words) = left(&run(&["test", here, "--update"], ""));
    assert_eq!(exit, 0, "{words}");
    assert_eq!(data, "updated two-windows  6 lines, 16 runs\nshop: 1 case, 0 passed, 0 failed, 1 updated\n");
    assert_eq!(
        file(dir.path(), "cases/two-windows/expect.jsonl"),
        r#"{"topic":"counts","ts":3000,"key":"a","value":2}
{"topic":"counts","ts":2000,"key":"b","value":1}
{"topic":"counts","ts":12000,"key":"a","value":3}
{"topic":"sums","ts":3000,"key":"a","value":{"n":2,"sum":5}}
{"topic":"sums","ts":2000,"key":"b","value":{"n":1,"sum":2}}
"#
    );
    let state = file(dir.path(), "cases/two-windows/state.jsonl");
    assert!(state.starts_with("{\"store\":\"counts\",\"key\":\"a\",\"value\":3}\n"), "{state}");
    assert!(state.contains(r#""value":{"n":1,"sum":8},"window":{"start":10000,"end":20000}}"#), "{state}");

    let (exit, data, words) = left(&run(&["test", here], ""));
    assert_eq!(exit, 0, "{words}");
    assert_eq!(data, "ok      two-windows  6 lines, 16 runs\nshop: 1 case, 1 passed, 0 failed\n");
}

#[test]
fn a_difference_is_shown_field_by_field_and_told_to_ci() {
    let dir = tempfile::tempdir().unwrap();
    topology(dir.path(), COUNTS);
    let expect = r#"{"topic":"counts","key":"a","value":2}
{"topic":"counts","key":"c","value":1,"ts":2001}
{"topic":"counts","key":"a","value":3}
{"topic":"counts","key":"d","value":1}
{"topic":"sums","key":"a","value":{"n":2, "sum":6}}
"#;
    let state = r#"{"store":"counts","key":"a","value":4}
{"store":"counts","key":"b","value":1}
"#;
    case(dir.path(), "good", &[("in.jsonl", ""), ("expect.jsonl", "")]);
    case(dir.path(), "wrong", &[("in.jsonl", ORDERS), ("expect.jsonl", expect), ("state.jsonl", state)]);
    let report = dir.path().join("report.xml");
    let here = dir.path().join("topology.yaml");
    let arguments = ["test", here.to_str().unwrap(), "--junit", report.to_str().unwrap()];
    let (exit, data, words) = left(&run(&arguments, ""));
    assert_eq!(exit, 1, "{words}");
    let wanted = r#"ok      good   0 lines, 4 runs
FAILED  wrong  6 lines, 16 runs
        counts, row 2: key: expected "c", came "b"
        counts, row 2: ts: expected 2001, came 2000
        counts, row 4: missing: {"topic":"counts","ts":0,"key":"d","value":1}
        sums, row 1: value /sum: expected 6, came 5
        sums, row 2: not expected: {"topic":"sums","ts":2000,"key":"b","value":{"n":1,"sum":2}}
        counts, key "a": value: expected 4, came 3
"#;
    assert!(data.starts_with(wanted), "{data}");
    assert!(data.ends_with("shop: 2 cases, 1 passed, 1 failed\n"), "{data}");
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("counts, row 2: key: expected &quot;c&quot;"));
}

#[test]
fn wrong_files_are_told_with_their_lines_and_what_is_missing_is_exit_3() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    assert_eq!(left(&run(&["test", here], "")).0, 3);
    topology(dir.path(), COUNTS);
    let (exit, _, words) = left(&run(&["test", here], ""));
    assert_eq!(exit, 3);
    assert!(words.contains("there are no cases") && words.contains("in.jsonl"), "{words}");
    case(dir.path(), "bad", &[("in.jsonl", "{\"advance\":\"20\"}\n\n{\"key\":1}\n")]);
    let (exit, _, words) = left(&run(&["test", here], ""));
    assert_eq!(exit, 6);
    assert!(words.contains("in.jsonl:1:") && words.contains("in.jsonl:3:"), "{words}");
    case(dir.path(), "bad", &[("in.jsonl", "{\"topic\":\"ordres\",\"key\":\"a\"}\n")]);
    let (exit, data, _) = left(&run(&["test", here], ""));
    assert_eq!(exit, 1);
    assert!(data.contains("in.jsonl:1: the topology of `shop` has no topic `ordres`"), "{data}");
}

#[test]
fn plugins_run_as_a_host_runs_them() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
application: orders
topics:
  orders:   { key: string, value: json }
  verdicts: { key: string, value: json }
nodes:
  orders:  { source: orders }
  details: { from: orders, process: { plugin: order-details } }
  out:     { from: details, sink: verdicts }
"#;
    topology(dir.path(), text);
    let order = r#"{"id":"o1","state":"CREATED","product":"JUMPERS","quantity":1,"price":2.5,"customerId":7}"#;
    let rows = format!("{{\"topic\":\"orders\",\"key\":\"o1\",\"value\":{order},\"ts\":5}}\n");
    let verdict = r#"{"orderId":"o1","checkType":"ORDER_DETAILS_CHECK","validationResult":"PASS"}"#;
    let expect = format!("{{\"topic\":\"verdicts\",\"key\":\"o1\",\"value\":{verdict},\"ts\":5}}\n");
    case(dir.path(), "pass", &[("in.jsonl", &rows), ("expect.jsonl", &expect)]);
    let poison = "{\"topic\":\"orders\",\"key\":\"o2\",\"value\":\"no order\",\"ts\":6}\n";
    case(dir.path(), "poison", &[("in.jsonl", poison), ("expect.jsonl", "")]);
    let (here, plugins) = (dir.path().to_str().unwrap(), plugin_dir());
    let (exit, data, words) = left(&run(&["test", here, "--plugin-dir", plugins.to_str().unwrap()], ""));
    assert_eq!(exit, 1, "{words}");
    assert!(data.contains("ok      pass "), "{data}{words}");
    assert!(data.contains("FAILED  poison") && data.contains("stopped at node `details` at orders/0@0"), "{data}");
}

#[test]
fn the_example_s_cases_hold() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders");
    let dir = tempfile::tempdir().unwrap();
    let text = file(&example, "topology.yaml");
    topology(dir.path(), &text.replace("../../target/plugins/order-details.wasm", "order-details"));
    let read = |name| file(&example, &format!("cases/verdicts/{name}"));
    let files = [("in.jsonl", &*read("in.jsonl")), ("expect.jsonl", &*read("expect.jsonl"))];
    case(dir.path(), "verdicts", &files);
    let (here, plugins) = (dir.path().to_str().unwrap(), plugin_dir());
    let (exit, data, words) = left(&run(&["test", here, "--plugin-dir", plugins.to_str().unwrap()], ""));
    assert_eq!(exit, 0, "{data}{words}");
}
