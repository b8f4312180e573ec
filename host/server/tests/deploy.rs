//! Hot deployment from outside, on the embedded log: what is swapped, what is refused, what a restart remembers.
//! It needs the plugins of `cargo xtask plugins`.

#![allow(clippy::unwrap_used, reason = "this is test code, though not every function here is a test")]

mod support;

use serde_json::{Value, json};
use support::{Host, plugin, plugin_dir};

const STAMPED: &str = r#"
application: shop
topics:
  orders:  { key: string, value: json, partitions: 2 }
  stamped: { key: string, value: json, partitions: 2 }
nodes:
  orders:  { source: orders }
  stamp:   { from: orders, process: { plugin: stamp, config: { version: one } }, on-error: skip }
  stamped: { from: stamp, sink: stamped }
"#;

const PUT: &str = "/api/v1/nodes/stamp/plugin";

fn start(dir: &std::path::Path, text: &str) -> Host {
    Host::ready(dir, text, &["--plugin-dir", plugin_dir().to_str().unwrap()])
}

fn orders(host: &Host, ids: std::ops::Range<u32>) {
    let line = |id: u32| format!("{{\"key\":\"k{id}\",\"value\":{{\"id\":\"{id}\",\"state\":\"CREATED\"}}}}\n");
    let (status, answer) = host.post("/api/v1/topics/orders/records", &ids.map(line).collect::<String>());
    assert_eq!(status, 200, "{answer}");
}

/// The version that stamped each output, in the order of ids.
fn stamps(host: &Host, count: usize) -> Vec<String> {
    let mut lines = host.lines("stamped", count);
    assert_eq!(lines.len(), count);
    lines.sort_by_key(|line| line["value"]["orderId"].as_str().unwrap().parse::<u32>().unwrap());
    lines.iter().map(|line| line["value"]["version"].as_str().unwrap().to_owned()).collect()
}

fn digest(host: &Host) -> String {
    let node: Value = serde_json::from_str(&host.get("/api/v1/nodes/stamp").1).unwrap();
    node["artifact"].as_str().unwrap().to_owned()
}

fn deploy(host: &Host, query: &str, headers: &[(&str, &str)], version: &str) -> (u16, Value) {
    let body = json!({ "artifact": digest(host), "config": { "version": version } });
    host.put(&format!("{PUT}?{query}"), headers, body.to_string().as_bytes())
}

#[test]
fn a_swap_takes_effect_and_the_same_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), STAMPED);
    orders(&host, 0..10);
    assert_eq!(stamps(&host, 10), vec!["one"; 10]);
    let (status, view) = deploy(&host, "wait=20s", &[], "two");
    assert_eq!((status, &view["phase"], &view["swapped"]), (200, &json!("live"), &json!(2)), "{view}");
    orders(&host, 10..20);
    assert_eq!(stamps(&host, 20)[10..], vec!["two"; 10]);
    let (status, again) = deploy(&host, "wait=20s", &[], "two");
    assert_eq!((status, &again["changed"], &again["id"]), (200, &json!(false), &view["id"]));
    // The component as the body keeps the configuration: nothing changes either.
    let (status, same) = host.put(PUT, &[], &std::fs::read(plugin("stamp")).unwrap());
    assert_eq!((status, &same["changed"]), (200, &json!(false)), "{same}");
    let id = view["id"].as_str().unwrap();
    let seen: Value = serde_json::from_str(&host.get(&format!("/api/v1/deployments/{id}")).1).unwrap();
    assert_eq!(seen["phase"], "live");
}

#[test]
fn a_rollback_brings_the_version_before_and_a_restart_keeps_what_was_deployed() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), STAMPED);
    let (exit, _, words) = host.shell(&["plugin", "rollback", "stamp"], "");
    assert_eq!(exit, 3, "{words}");
    let config = r#"{"version":"two"}"#;
    let path = plugin("stamp");
    let (exit, _, words) = host.shell(&["plugin", "deploy", "stamp", path.to_str().unwrap(), "--config", config], "");
    assert_eq!(exit, 0, "{words}");
    host.signal("KILL");
    drop(host);
    let host = start(dir.path(), STAMPED);
    orders(&host, 0..5);
    assert_eq!(stamps(&host, 5), vec!["two"; 5]);
    let (exit, data, words) = host.shell(&["plugin", "rollback", "stamp"], "");
    assert!(exit == 0 && data.contains("live 2/2"), "{data}{words}");
    orders(&host, 5..10);
    assert_eq!(stamps(&host, 10)[5..], vec!["one"; 5]);
    let (_, history, _) = host.shell(&["plugin", "history", "stamp", "-o", "json"], "");
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    let from: Vec<&str> = history.iter().map(|one| one["from"].as_str().unwrap()).collect();
    assert_eq!(from, ["rollback", "api", "file"]);
}

#[test]
fn the_file_decides_only_over_what_came_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    drop(start(dir.path(), STAMPED));
    let host = start(dir.path(), &STAMPED.replace("version: one", "version: three"));
    orders(&host, 0..5);
    assert_eq!(stamps(&host, 5), vec!["three"; 5]);
    assert_eq!(deploy(&host, "wait=20s", &[], "four").0, 200);
    drop(host);
    let host = start(dir.path(), STAMPED);
    orders(&host, 5..10);
    assert_eq!(stamps(&host, 10)[5..], vec!["four"; 5]);
}

#[test]
fn what_is_refused_leaves_the_version_before_running() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), STAMPED);
    orders(&host, 0..10);
    stamps(&host, 10);
    let refused = |body: &[u8], with: &str| {
        let (status, problem) = host.put(PUT, &[], body);
        assert_eq!(status, 422, "{problem}");
        assert!(problem.to_string().contains(with), "{problem}");
    };
    refused(b"\x7fELF....", "neither a component");
    refused(b"\0asm\x01\0\0\0", "weir:plugin");
    refused(br#"{"artifact":"sha256:00"}"#, "no digest");
    refused(format!(r#"{{"artifact":"sha256:{}"}}"#, "0".repeat(64)).as_bytes(), "weir plugin push");
    refused(format!(r#"{{"artifact":"{}","config":{{}}}}"#, digest(&host)).as_bytes(), "version");
    let (status, problem) = deploy(&host, "", &[("if-match", "\"999\"")], "two");
    assert_eq!(status, 412, "{problem}");
    let (status, tried) = deploy(&host, "dryRun=true", &[], "two");
    assert_eq!((status, &tried["records"]), (200, &json!(10)), "{tried}");
    orders(&host, 10..20);
    assert_eq!(stamps(&host, 20), vec!["one"; 20]);
}

#[test]
fn a_plugin_that_traps_on_recent_records_is_refused_with_the_record_and_a_backtrace() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), STAMPED);
    orders(&host, 0..10);
    stamps(&host, 10);
    let (path, config) = (plugin("faint"), r#"{"what":"panic"}"#);
    let deploy = ["plugin", "deploy", "stamp", path.to_str().unwrap(), "--config", config, "-o", "json"];
    let (exit, data, words) = host.shell(&deploy, "");
    assert_eq!((exit, data.as_str()), (6, ""), "{words}");
    let problem: Value = serde_json::from_str(&words).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(" at orders/"), "{problem}");
    let trap = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(trap.contains("negative quantity") && trap.contains("panics_on_purpose"), "{trap}");
    orders(&host, 10..20);
    assert_eq!(stamps(&host, 20), vec!["one"; 20]);
}
