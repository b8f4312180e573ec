//! A table is restored from its topic, to where its task has read it: not from a changelog, and not beyond.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::application::{Application, PARTITIONS};
use weir_tests::host::{HostOptions, WeirHost};
use weir_tests::wait;

const READY_WAIT: Duration = Duration::from_secs(60);
const JOINED_WAIT: Duration = Duration::from_secs(60);
const CUSTOMERS: u64 = 500;

fn topology(application: &str, orders: &str, output: &str, partitions: i32) -> String {
    format!(
        "\
application: {application}
topics:
  {orders}: {{ key: string, value: string, partitions: {partitions} }}
  {application}-customers: {{ key: string, value: string, partitions: {partitions} }}
  {output}: {{ key: string, value: string, partitions: {partitions} }}
nodes:
  orders:    {{ source: {orders} }}
  customers: {{ table: {application}-customers }}
  joined:    {{ from: orders, join: customers, how: left, value: 'left + \"|\" + (right == null ? \"nobody\" : right)' }}
  out:       {{ from: joined, sink: {output} }}
"
    )
}

fn rows(value: impl Fn(u64) -> String) -> impl Iterator<Item = (String, String)> {
    (0..CUSTOMERS).map(move |customer| (format!("k{customer}"), value(customer)))
}

/// Every customer's order `order` is joined with version `version` of the customer, each once.
fn judge(order: &str, version: u64, found: &BTreeMap<String, Vec<String>>) -> Result<()> {
    for (customer, expected) in rows(|customer| format!("{order}|name{customer}-{version}")) {
        let of_order = found.get(&customer).into_iter().flatten().filter(|value| value.starts_with(order));
        let of_order: Vec<&String> = of_order.collect();
        ensure!(of_order == [&expected], "{customer}: {of_order:?}, not {expected}");
    }
    Ok(())
}

/// Puts rows in by way of a host: for the log that it has within.
fn append(host: &WeirHost, topic: &str, rows: impl Iterator<Item = (String, String)>) -> Result<()> {
    let lines: String = rows.map(|(key, value)| format!("{}\n", json!({ "key": key, "value": value }))).collect();
    let path = format!("/api/v1/topics/{topic}/records");
    let (status, answer) = host.post(&path, "application/jsonl", lines.as_bytes())?;
    ensure!(status == 200, "{status} {answer}");
    Ok(())
}

fn of_kafka(application: &Application) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in application.kafka.read_committed(&application.output())? {
        let text = |bytes: Option<Vec<u8>>| anyhow::Ok(String::from_utf8(bytes.context("nothing is null")?)?);
        found.entry(text(row.key)?).or_default().push(text(row.value)?);
    }
    Ok(found)
}

#[test]
fn a_table_is_restored_to_where_it_was_read_and_what_came_behind_is_input() -> Result<()> {
    let application = Application::new("tables", topology)?;
    let (kafka, customers) = (&application.kafka, format!("{}-customers", application.name()));
    kafka.create_topic_with(&customers, PARTITIONS, &[("cleanup.policy", "compact")])?;
    let put = |topic: &str, value: &dyn Fn(u64) -> String| {
        kafka.produce(topic, rows(value).map(|(key, value)| (Some(key), Some(value))), None)
    };
    let wait = |order: &'static str, version: u64, host: &WeirHost| {
        wait::until("all orders are joined", JOINED_WAIT, || {
            Ok(judge(order, version, &of_kafka(&application)?).is_ok().then_some(()))
        })
        .or_else(|error| judge(order, version, &of_kafka(&application)?).context(error))
        .with_context(|| host.log())
    };
    put(&customers, &|customer| format!("name{customer}-1"))?;
    let host = WeirHost::start_ready(&application.host("a"), READY_WAIT)?;
    put(&application.input(), &|_| "first".to_owned())?;
    wait("first", 1, &host)?;
    let (_, stores) = host.get("/api/v1/stores")?;
    ensure!(stores.contains(&format!("\"{customers}\"")), "the store is not restored from `{customers}`: {stores}");
    host.kill()?;
    // While nobody reads: orders, and after them other names. Where a restore goes beyond what was read, it finds those.
    put(&application.input(), &|_| "second".to_owned())?;
    std::thread::sleep(Duration::from_millis(50));
    put(&customers, &|customer| format!("name{customer}-2"))?;
    fs::remove_dir_all(application.state_dir("a").join("stores"))?;
    let host = WeirHost::start_ready(&application.host("a"), READY_WAIT)?;
    wait("second", 1, &host)?;
    put(&application.input(), &|_| "third".to_owned())?;
    wait("third", 2, &host)?;
    let from = host.restored_from(&customers);
    ensure!(from.len() == PARTITIONS as usize, "not every partition was restored: {from:?}\n{}", host.log());
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_table_of_the_log_within_a_host_is_restored_from_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, state) = (folder.path().join("topology.yaml"), folder.path().join("state"));
    fs::write(&file, topology("within", "orders", "answers", 2))?;
    let options = HostOptions::new(&file, &state);
    let found = |host: &WeirHost| {
        let (_, lines) = host.get("/api/v1/topics/answers/records?from=beginning&untilEnd=true")?;
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines.lines() {
            let row: Value = serde_json::from_str(line)?;
            let text = |field: &str| row[field].as_str().map(str::to_owned).context("a text");
            found.entry(text("key")?).or_default().push(text("value")?);
        }
        anyhow::Ok(found)
    };
    let wait = |order: &'static str, version: u64, host: &WeirHost| {
        wait::until("all orders are joined", JOINED_WAIT, || {
            Ok(judge(order, version, &found(host)?).is_ok().then_some(()))
        })
        .or_else(|error| judge(order, version, &found(host)?).context(error))
    };
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    append(&host, "within-customers", rows(|customer| format!("name{customer}-1")))?;
    append(&host, "orders", rows(|_| "first".to_owned()))?;
    wait("first", 1, &host)?;
    host.kill()?;
    fs::remove_dir_all(state.join("stores"))?;
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    append(&host, "orders", rows(|_| "second".to_owned()))?;
    wait("second", 1, &host)?;
    append(&host, "within-customers", rows(|customer| format!("name{customer}-2")))?;
    append(&host, "orders", rows(|_| "third".to_owned()))?;
    wait("third", 2, &host)?;
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}
