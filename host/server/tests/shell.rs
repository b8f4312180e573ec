//! The shell from outside: exit codes, and what it says where something is wrong.

mod support;

use support::{FILTER, Host, left, run, topology};

#[test]
fn a_wrong_topology_is_answered_with_every_mistake_and_exit_6() {
    let dir = tempfile::tempdir().unwrap();
    let text = FILTER.replace("from: orders,", "from: ordres,").replace("sink: created }", "snik: created }");
    let file = topology(dir.path(), &text);
    for command in ["check", "run"] {
        let (exit, data, words) = left(&run(&[command, file.to_str().unwrap()], ""));
        assert_eq!((exit, data.as_str()), (6, ""), "{words}");
        assert!(words.contains("ordres") && words.contains("snik") && words.contains("topology.yaml:8:"), "{words}");
    }
}

#[test]
fn a_plugin_that_is_missing_is_told_at_its_line_with_the_places_that_were_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let text = FILTER.replace("filter: value.state == \"CREATED\"", "process: { plugin: nowhere }");
    let file = topology(dir.path(), &text);
    let (exit, _, words) = left(&run(&["check", file.to_str().unwrap()], ""));
    assert_eq!(exit, 6, "{words}");
    assert!(words.contains("topology.yaml:8:") && words.contains("nowhere.wasm"), "{words}");
    let state = dir.path().join("state");
    let listen = ["run", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--state-dir", state.to_str().unwrap()];
    let (exit, _, words) = left(&run(&listen, ""));
    assert_eq!(exit, 6, "{words}");
    assert!(words.contains("never deployed") && words.contains("nowhere.wasm"), "{words}");
}

#[test]
fn a_good_topology_is_answered_with_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = topology(dir.path(), FILTER);
    let (exit, data, words) = left(&run(&["check", file.to_str().unwrap(), "-o", "json"], ""));
    assert_eq!(exit, 0, "{words}");
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!((data["application"].as_str(), data["nodes"].as_u64()), (Some("shop"), Some(3)));
}

#[test]
fn a_file_that_is_not_there_is_exit_3_and_one_that_is_no_plugin_exit_6() {
    assert_eq!(left(&run(&["check", "/nowhere.yaml"], "")).0, 3);
    assert_eq!(left(&run(&["inspect", "/nowhere.wasm"], "")).0, 3);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.wasm");
    std::fs::write(&file, "hello").unwrap();
    let (exit, _, words) = left(&run(&["inspect", file.to_str().unwrap()], ""));
    assert_eq!(exit, 6);
    assert!(words.contains("not WebAssembly"), "{words}");
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_2() {
    let (exit, _, words) = left(&run(&["run", "t.yaml", "--listen", "0.0.0.0:8480"], ""));
    assert_eq!(exit, 2);
    assert!(words.contains("no authentication"), "{words}");
    assert_eq!(left(&run(&["run", "t.yaml", "--commit-interval", "5"], "")).0, 2);
    assert_eq!(left(&run(&["fly"], "")).0, 2);
}

#[test]
fn no_host_and_no_broker_are_exit_5() {
    let (exit, _, words) = left(&run(&["status", "--host", "127.0.0.1:1"], ""));
    assert_eq!(exit, 5, "{words}");
    assert!(words.contains("weir run"), "{words}");
    let dir = tempfile::tempdir().unwrap();
    let file = topology(dir.path(), FILTER);
    let (exit, _, words) =
        left(&run(&["check", file.to_str().unwrap(), "--connect", "--bootstrap", "127.0.0.1:1"], ""));
    assert_eq!(exit, 5, "{words}");
    assert!(words.contains("127.0.0.1:1"), "{words}");
}

#[test]
fn a_second_host_on_a_state_directory_is_told_which_process_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::ready(dir.path(), FILTER, &[]);
    let (file, state) = (dir.path().join("topology.yaml"), dir.path().join("state"));
    let (file, state) = (file.to_str().unwrap(), state.to_str().unwrap());
    let (exit, _, words) = left(&run(&["run", file, "--state-dir", state, "--listen", "127.0.0.1:0"], ""));
    assert_eq!(exit, 4, "{words}");
    assert!(words.contains(&format!("held by process {}", host.pid())), "{words}");
}

#[test]
fn lines_go_in_and_come_out_and_a_bad_one_is_told_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::ready(dir.path(), FILTER, &[]);
    let lines = "{\"key\":\"a\",\"value\":{\"state\":\"CREATED\",\"n\":1.5},\"ts\":5,\"headers\":{\"h\":\"x\"}}\n\
                 {\"key\":\"b\",\"value\":{\"state\":\"SHIPPED\"}}\n\nnot json\n{\"key\":\"c\",\"value\":1}\n";
    let (exit, data, words) = host.shell(&["produce", "orders"], lines);
    assert_eq!(exit, 6, "{words}");
    assert!(words.contains("line 4") && data.contains("2 written"), "{data}{words}");
    let out = host.lines("created", 1);
    assert_eq!((out.len(), &out[0]["key"], &out[0]["ts"]), (1, &"a".into(), &5.into()));
    assert_eq!(
        (out[0]["value"].to_string(), &out[0]["headers"]["h"]),
        (r#"{"state":"CREATED","n":1.5}"#.to_owned(), &"x".into())
    );
    assert_eq!(host.shell(&["produce", "nowhere"], "{}\n").0, 3);
    assert_eq!(host.shell(&["tail", "nowhere", "--until-end"], "").0, 3);
}

#[test]
fn a_topology_is_drawn_described_and_explained_and_only_a_graph_is_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let file = topology(dir.path(), FILTER);
    let file = file.to_str().unwrap();
    let shown = |arguments: &[&str]| {
        let (exit, data, words) = left(&run(arguments, ""));
        assert_eq!(exit, 0, "{words}");
        data
    };
    assert!(shown(&["graph", file]).starts_with("flowchart LR"));
    assert!(shown(&["graph", file, "-o", "svg"]).starts_with("<svg "));
    assert!(shown(&["graph", file, "-o", "dot"]).starts_with("digraph \"shop\""));
    let graph: serde_json::Value = serde_json::from_str(&shown(&["graph", file, "-o", "json"])).unwrap();
    assert_eq!(graph["vertices"].as_array().map(Vec::len), Some(5));
    assert!(shown(&["describe", file]).contains("sub-topology 0: 2 tasks"));
    let described: serde_json::Value = serde_json::from_str(&shown(&["describe", file, "-o", "json"])).unwrap();
    assert_eq!(described["subtopologies"][0]["nodes"][1]["kind"], "filter");
    assert!(shown(&["check", "--explain", file]).contains("topology.yaml:7:3  not decoded"));
    let (exit, _, words) = left(&run(&["check", file, "-o", "svg"], ""));
    assert_eq!(exit, 2);
    assert!(words.contains("only `weir graph` draws"), "{words}");
}
