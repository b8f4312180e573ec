//! The contract as guests in three languages keep it: each passes `conformance/cases.json`, a record a call and all in one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

#[path = "../../host/wasm/tests/guests/memory.rs"]
mod memory;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use memory::Memory;
use serde_json::{Map, Value, json};
use weir_core::ports::{Call, Output, Processor, Trap};
use weir_core::record::{RecordBatch, Rows, Taken, TopicPartition};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;
use weir_wasm::{Artifact, Binding, HostConfig, Instance, MetricValue, Plugin, PluginHost};

const APPLICATION: &str = "conformance";
const TASK: TaskId = TaskId { subtopology: 0, partition: 1 };
/// The offset of a case's first record.
const OFFSET_BEGIN: i64 = 100;
/// The host's clock, for timers by it.
const NOW_MS: i64 = 7;
/// What the guests keep.
const STORES: [(&str, &str); 3] = [("kv", "key-value"), ("win", "window"), ("ses", "session")];

static HOST: LazyLock<PluginHost> = LazyLock::new(|| PluginHost::new(config()).unwrap());

#[test]
fn a_rust_guest_passes_the_cases() {
    passes("conformance-rust");
}

#[test]
fn a_c_guest_passes_the_cases() {
    passes("conformance-c");
}

#[test]
fn a_python_guest_passes_the_cases() {
    passes("conformance-python");
}

#[test]
fn randomness_is_the_same_in_every_language_and_at_every_batch_size() {
    let rows = [json!({"value": "random 8"}), json!({"value": "random 40"}), json!({"value": "random 8"})];
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for guest in ["conformance-rust", "conformance-c", "conformance-python"] {
        let plugin = plugin(&HOST, &artifact(guest), "null");
        for batch in [1, 2, 3] {
            seen.push(run(&plugin, &rows, batch, &Memory::shared()));
        }
    }
    assert!(seen.iter().all(|outcomes| *outcomes == seen[0]), "{seen:#?}");
    assert_ne!(seen[0][0], seen[0][2], "two records have different dice");
}

fn passes(guest: &str) {
    let cases: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(root().join("conformance/cases.json")).unwrap()).unwrap();
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for case in &cases {
        let rows = case["rows"].as_array().unwrap();
        for batch in [1, 3, rows.len()] {
            // A host of its own where metrics are counted, so that they are of this case alone.
            let own = case.get("metrics").map(|_| PluginHost::new(config()).unwrap());
            let host = own.as_ref().unwrap_or(&HOST);
            let artifact = if own.is_some() { host.load(&component(guest)).unwrap() } else { artifact(guest) };
            let plugin = plugin(host, &artifact, &case.get("config").unwrap_or(&Value::Null).to_string());
            let memory = Memory::shared();
            memory.borrow_mut().now_ms = NOW_MS;
            let outcomes = run(&plugin, rows, batch, &memory);
            let of = format!("{guest}: {} (batch of {batch})", case["name"]);
            for (row, (outcome, expected)) in outcomes.iter().zip(case["expect"].as_array().unwrap()).enumerate() {
                if let Err(difference) = check(&rows[row], outcome, expected) {
                    failures.push(format!("{of}: row {row}: {difference}"));
                }
            }
            if let Some(time) = case["advance"].as_i64() {
                let fired = advance(&plugin, &memory, time);
                let left: Map<_, _> = memory.borrow().kept.timers.iter().map(timer).collect();
                if (&fired, &Value::from(left.clone())) != (&case["fired"], &case["timers"]) {
                    failures.push(format!("{of}: {fired} fired, {left:?} are left"));
                }
            }
            if let Some(expected) = case.get("metrics") {
                let counted = metrics(host);
                if counted != *expected {
                    failures.push(format!("{of}: metrics {counted}, expected {expected}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// One outcome per row: `{"emits": [..]}`, `{"reject": [code, message]}`, `{"trap": message}`.
///
/// A batch that traps is run again without the row that the guest named, in a fresh instance, as the engine's bisection would.
fn run(plugin: &Plugin, rows: &[Value], batch: usize, memory: &Rc<RefCell<Memory>>) -> Vec<Value> {
    let mut instance = plugin.instantiate(TASK).unwrap();
    let mut outcomes: Vec<Value> = Vec::new();
    while outcomes.len() < rows.len() {
        let from = outcomes.len();
        let to = rows.len().min(from + batch);
        let before = memory.borrow().kept.clone();
        match call(&mut instance, rows, (from, to), memory) {
            Ok(output) => {
                let taken = output.taken.map_or(to - from, |taken| taken as usize);
                assert!(taken > 0 && taken <= to - from, "taken {taken} of {}", to - from);
                outcomes.extend(outcomes_of(&output, taken));
            }
            Err(trap) => {
                let row = trap.row.expect("a guest names the row that it traps at") as usize;
                memory.borrow_mut().kept = before;
                instance = plugin.instantiate(TASK).unwrap();
                if row > 0 {
                    let before = call(&mut instance, rows, (from, from + row), memory).unwrap();
                    outcomes.extend(outcomes_of(&before, row));
                }
                outcomes.push(json!({"trap": trap.to_string()}));
            }
        }
    }
    outcomes
}

/// The timers that are due until `time`, a call for each time: what came of each.
fn advance(plugin: &Plugin, memory: &Rc<RefCell<Memory>>, time: i64) -> Value {
    let mut instance = plugin.instantiate(TASK).unwrap();
    let mut fired = Vec::new();
    let due = memory.borrow_mut().due(time);
    for timers in due.chunk_by(|a, b| a.0 == b.0) {
        let mut records = RecordBatch::default();
        timers.iter().for_each(|(at, name)| records.push(-1, *at, Some(name), None, &[]));
        let taken = Taken {
            partitions: vec![TopicPartition::new("input", 1)],
            partition: vec![0; timers.len()],
            offsets: records.offsets.clone(),
            stream_times: records.timestamps.clone(),
        };
        let state = memory::cell(memory);
        let rows = Rows::from_batch(records);
        let output = instance.on_timers(&Call { rows: &rows, taken: &taken, state: Some(&state) }).unwrap();
        for (outcome, (at, name)) in outcomes_of(&output, timers.len()).iter().zip(timers) {
            for emitted in outcome["emits"].as_array().unwrap() {
                let mut shown = json!({"key": String::from_utf8_lossy(name), "timestamp": at});
                shown.as_object_mut().unwrap().extend(emitted.as_object().unwrap().clone());
                fired.push(shown);
            }
            let mark = weir_core::state::keys::key_value(name);
            assert_eq!(memory.borrow().kept.rows.get(&(0, mark)).map(Vec::as_slice), Some(&b"fired"[..]));
        }
    }
    fired.into()
}

fn timer((name, at): (&Vec<u8>, &i64)) -> (String, Value) {
    (String::from_utf8_lossy(name).into_owned(), json!(at))
}

fn call(
    instance: &mut Instance,
    rows: &[Value],
    (from, to): (usize, usize),
    memory: &Rc<RefCell<Memory>>,
) -> Result<Output, Trap> {
    let mut records = RecordBatch::default();
    for (index, row) in rows.iter().enumerate().take(to).skip(from) {
        let key = row.get("key").and_then(text);
        let value = text(&row["value"]);
        let headers: Vec<(String, Option<String>)> = row["headers"].as_array().map_or(Vec::new(), |all| {
            all.iter().map(|header| (header[0].as_str().unwrap().to_owned(), text(&header[1]))).collect()
        });
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref().map(str::as_bytes))).collect();
        let offset = OFFSET_BEGIN + index as i64;
        records.push(
            offset,
            row["timestamp"].as_i64().unwrap_or(0),
            key.as_deref().map(str::as_bytes),
            value.as_deref().map(str::as_bytes),
            &headers,
        );
    }
    let highest = |row: usize| rows[..=row].iter().map(|row| row["timestamp"].as_i64().unwrap_or(0)).max().unwrap();
    let taken = Taken {
        partitions: vec![TopicPartition::new("input", 1)],
        partition: vec![0; to - from],
        offsets: records.offsets.clone(),
        stream_times: (from..to).map(highest).collect(),
    };
    memory.borrow_mut().begin();
    let state = memory::cell(memory);
    instance.process(&Call { rows: &Rows::from_batch(records), taken: &taken, state: Some(&state) })
}

/// What each of the first `taken` rows came to; an output holds only what it set itself.
fn outcomes_of(output: &Output, taken: usize) -> Vec<Value> {
    let mut outcomes = vec![json!({"emits": []}); taken];
    let shown = |cell: Option<&[u8]>| cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    for (index, &row) in output.rows.iter().enumerate() {
        let mut emitted = Map::new();
        emitted.insert("port".into(), output.ports.as_ref().map_or(0, |ports| ports[index]).into());
        let column = |part: &Option<weir_core::record::Column>| part.as_ref().map(|part| json!(shown(part.get(index))));
        emitted.extend(column(&output.values).map(|value| ("value".to_owned(), value)));
        emitted.extend(column(&output.keys).map(|key| ("key".to_owned(), key)));
        emitted.extend(output.timestamps.as_ref().map(|times| ("timestamp".to_owned(), json!(times[index]))));
        emitted.extend(output.headers.as_ref().map(|headers| {
            let row: Vec<_> =
                headers.row(index).map(|(name, value)| json!([shown(Some(name)), shown(value)])).collect();
            ("headers".to_owned(), json!(row))
        }));
        outcomes[row as usize]["emits"].as_array_mut().unwrap().push(emitted.into());
    }
    for reject in &output.rejects {
        let outcome = &mut outcomes[reject.row as usize];
        assert_eq!(outcome["emits"], json!([]), "a row is in both outputs and rejects");
        *outcome = json!({"reject": [reject.code, reject.message]});
    }
    outcomes
}

/// What a case leaves out is inherited of the row, whether the guest wrote it or left it out too.
fn check(row: &Value, outcome: &Value, expected: &Value) -> Result<(), String> {
    let differs = || Err(format!("{}, expected {}", brief(outcome), brief(expected)));
    if let Some(message) = expected.get("trap") {
        let trapped = outcome["trap"].as_str().is_some_and(|trap| trap.contains(message.as_str().unwrap()));
        return if trapped { Ok(()) } else { differs() };
    }
    let Some(wanted) = expected["emits"].as_array() else {
        return if outcome == expected { Ok(()) } else { differs() };
    };
    let Some(emitted) = outcome["emits"].as_array().filter(|emitted| emitted.len() == wanted.len()) else {
        return differs();
    };
    for (emitted, wanted) in emitted.iter().zip(wanted) {
        let inherited = json!({
            "port": 0,
            "key": row.get("key").and_then(text),
            "value": text(&row["value"]),
            "timestamp": row["timestamp"].as_i64().unwrap_or(0),
            "headers": row.get("headers").cloned().unwrap_or_else(|| json!([])),
        });
        for (part, inherited) in inherited.as_object().unwrap() {
            let got = emitted.get(part).unwrap_or(inherited);
            let fits = match wanted.get("hexDigits") {
                Some(digits) if part == "value" => {
                    got.as_str().is_some_and(|hex| hex.len() as u64 == digits.as_u64().unwrap())
                }
                _ => *got == wanted.get(part).map_or_else(|| inherited.clone(), |cell| resolved(part, cell)),
            };
            if !fits {
                return differs();
            }
        }
    }
    Ok(())
}

fn resolved(part: &str, cell: &Value) -> Value {
    if matches!(part, "key" | "value") { json!(text(cell)) } else { cell.clone() }
}

/// A cell's text: null, a string, or `{"text": "echo ", "then": "x", "times": 1000}`.
fn text(cell: &Value) -> Option<String> {
    match cell {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        long => {
            let part = |name: &str| long[name].as_str().unwrap();
            Some(format!("{}{}", part("text"), part("then").repeat(long["times"].as_u64().unwrap() as usize)))
        }
    }
}

fn metrics(host: &PluginHost) -> Value {
    let shown = |value: &MetricValue| match value {
        MetricValue::Count(count) => count.to_string(),
        MetricValue::Gauge(level) => level.to_string(),
        MetricValue::Summary { count, sum } => format!("{sum} in {count}"),
    };
    host.metrics()
        .snapshot()
        .iter()
        .map(|metric| (metric.name.clone(), json!(shown(&metric.value))))
        .collect::<Map<_, _>>()
        .into()
}

/// A guest, compiled once for all tests: a Python guest takes its time.
fn artifact(guest: &str) -> Artifact {
    static LOADED: Mutex<BTreeMap<String, Artifact>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let load = || HOST.load(&component(guest)).unwrap_or_else(|error| panic!("{guest}: {error}"));
    loaded.entry(guest.to_owned()).or_insert_with(load).clone()
}

fn component(guest: &str) -> Vec<u8> {
    fs::read(weir_tests::host::plugin(guest).unwrap()).unwrap()
}

fn plugin(host: &PluginHost, artifact: &Artifact, config: &str) -> Plugin {
    let stores = STORES.map(|(name, kind)| (name.to_owned(), kind.to_owned())).to_vec();
    let binding = Binding { stores, timers: true, ..Binding::default() };
    assert_eq!(binding.misfits(artifact), []);
    host.bound_plugin(artifact, config, APPLICATION, &NodeName::from("case"), binding).unwrap()
}

/// Few instances, and room for the interpreter of a Python guest; what is compiled stays for the next run.
fn config() -> HostConfig {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let cache_dir = Some(root().join("..").join(target).join("tmp/plugin-cache"));
    HostConfig { instances_max: 8, cache_dir, ..HostConfig::default() }
}

/// The folder of this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The first 300 characters: a megabyte in a failure helps nobody.
fn brief(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
