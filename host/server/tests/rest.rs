//! REST from outside, on the embedded log.

mod support;

use std::time::{Duration, Instant};

use support::{FILTER, Host};

#[test]
fn a_host_says_that_it_lives_and_what_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::ready(dir.path(), FILTER, &["--threads", "2"]);
    assert_eq!(host.get("/livez"), (200, "ok\n".to_owned()));
    let body = "{\"key\":\"a\",\"value\":{\"state\":\"CREATED\"}}\n{\"key\":\"b\",\"value\":\"no json\"}\n";
    let (status, answer) = host.post("/api/v1/topics/orders/records", body);
    assert_eq!(status, 200, "{answer}");
    host.lines("created", 1);
    let until = Instant::now() + Duration::from_secs(10);
    let page = loop {
        let page = host.get("/metrics").1;
        if page.contains("weir_node_dropped_records_total{node=\"new\"") || Instant::now() > until {
            break page;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(page.contains("weir_node_rows_in_total{node=\"new\"} 2"), "{page}");
    assert!(page.contains("weir_node_dropped_records_total{node=\"new\",reason=\"weir.decode\"} 1"), "{page}");
    assert!(page.contains("weir_task_state{task=\"0_1\",state=\"RUNNING\"} 1"), "{page}");
    let status: serde_json::Value = serde_json::from_str(&host.get("/api/v1/status").1).unwrap();
    assert_eq!((status["tasks"].as_array().unwrap().len(), status["threads"].as_array().unwrap().len()), (2, 2));
    assert_eq!(status["ready"], true);
    let lag: i64 =
        status["tasks"].as_array().unwrap().iter().map(|task| task["positions"][0]["lag"].as_i64().unwrap()).sum();
    assert_eq!(lag, 0);
    let topology: serde_json::Value = serde_json::from_str(&host.get("/api/v1/topology").1).unwrap();
    assert_eq!(topology["nodes"][1]["from"], "orders");
    assert_eq!(host.stop(), 0);
}

#[test]
fn what_is_wrong_is_answered_as_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::ready(dir.path(), FILTER, &["--artifact-bytes-max", "100"]);
    let (status, answer) = host.post("/api/v1/topics/orders/records", "{}\n{\"x\":1}\n");
    let problem: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (status, &problem["type"], &problem["errors"][0]["line"]),
        (422, &"urn:weir:problem:invalid".into(), &2.into())
    );
    assert_eq!(host.get("/api/v1/nodes/nowhere").0, 404);
    assert_eq!(host.get("/api/v1/deployments/x").0, 404);
    assert_eq!(host.get("/api/v1/topics/orders/records?from=yesterday").0, 400);
    assert_eq!(host.get("/nowhere").0, 404);
    let (status, problem) = host.put("/api/v1/nodes/new/plugin", &[], b"\0asm");
    assert_eq!((status, problem["status"].as_u64()), (404, Some(404)), "{problem}");
    let digest = format!("/api/v1/artifacts/sha256:{}", "0".repeat(64));
    let (status, problem) = host.put(&digest, &[], &[0; 101]);
    assert_eq!(status, 413);
    assert!(problem["detail"].as_str().unwrap().contains("--artifact-bytes-max"), "{problem}");
    assert_eq!(host.put(&digest, &[], &[0; 100]).0, 422);
    assert_eq!(host.put("/api/v1/artifacts/x", &[], &[]).0, 422);
}

#[test]
fn a_restart_goes_on_where_the_host_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let line = |n: u32| format!("{{\"key\":\"k{n}\",\"value\":{{\"state\":\"CREATED\",\"n\":{n}}}}}\n");
    let host = Host::ready(dir.path(), FILTER, &[]);
    assert_eq!(host.post("/api/v1/topics/orders/records", &(0..100).map(line).collect::<String>()).0, 200);
    host.lines("created", 100);
    assert_eq!(host.stop(), 0);
    let host = Host::ready(dir.path(), FILTER, &[]);
    assert_eq!(host.post("/api/v1/topics/orders/records", &(100..200).map(line).collect::<String>()).0, 200);
    host.lines("created", 200);
    host.signal("KILL");
    drop(host);
    let host = Host::ready(dir.path(), FILTER, &[]);
    let mut numbers: Vec<u64> =
        host.lines("created", 200).iter().map(|line| line["value"]["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_host_without_its_broker_lives_is_not_ready_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path(), FILTER, &["--bootstrap", "127.0.0.1:1"]);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        assert_eq!(host.get("/livez").0, 200);
        let (status, reason) = host.get("/readyz");
        assert_eq!(status, 503, "{reason}");
        if reason.contains("127.0.0.1:1") {
            break;
        }
        assert!(Instant::now() < until, "{reason}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.get("/api/v1/topics/orders/records").0, 503);
    assert_eq!(host.stop(), 0);
}
