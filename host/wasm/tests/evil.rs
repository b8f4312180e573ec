//! What each attack of `plugins/evil` must come to. None may hurt the host, or a neighbour in the same host.

#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod guests;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use guests::{TASK, call, host, instance, plugin, verdict};
use weir_core::ports::TrapKind;
use weir_core::topology::NodeName;
use weir_wasm::{MetricValue, Port, Reads};

#[test]
fn an_endless_call_meets_its_deadline() {
    let begun = Instant::now();
    let trap = verdict("endless", r#"{"in":"process"}"#);
    assert_eq!(trap.kind, TrapKind::Deadline, "{trap:?}");
    assert!(trap.message.contains("303ms"), "300 and a millisecond for each of three rows: {trap}");
    assert!(trap.backtrace.contains("process"), "{}", trap.backtrace);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_endless_create_is_a_create_fault() {
    let fault = instance(&host(), "endless", r#"{"in":"create"}"#).expect_err("refused");
    assert!(fault.message.contains("`create` trapped: deadline"), "{fault}");
}

#[test]
fn an_endless_drop_does_not_hold_the_host_up() {
    let begun = Instant::now();
    drop(instance(&host(), "endless", r#"{"in":"drop"}"#).expect("an instance"));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_memory_bomb_meets_its_limit_and_its_neighbour_keeps_its_memory() {
    let host = host();
    let mut neighbour = instance(&host, "identity", "").expect("an instance");
    let mut bomb = instance(&host, "swell", r#"{"what":"memory"}"#).expect("an instance");
    let trap = call(&mut bomb, &[Some(b"a")]).expect_err("a trap");
    assert_eq!(trap.kind, TrapKind::Memory, "{trap:?}");
    assert!(trap.message.contains("memory_bytes_max") && trap.message.contains("16777216"), "{trap}");
    assert!(trap.backtrace.contains("swell_memory") || trap.backtrace.contains("process"), "{}", trap.backtrace);
    let output = call(&mut neighbour, &[Some(b"kept")]).expect("an output");
    assert_eq!(output.values.expect("values").get(0), Some(&b"kept"[..]));
}

#[test]
fn endless_recursion_meets_the_stack_limit() {
    let trap = verdict("swell", r#"{"what":"stack"}"#);
    assert_eq!(trap.kind, TrapKind::Stack, "{trap:?}");
    assert!(trap.backtrace.contains("recurse"), "{}", trap.backtrace);
    assert!(trap.backtrace.lines().count() <= 41, "alike frames are cut: {}", trap.backtrace);
}

#[test]
fn parts_that_contradict_one_another_are_malformed() {
    for (forgery, told) in [
        ("ends-backwards", "values: cell 1 ends at 1, before its start at 2"),
        ("ends-beyond", "values: the last cell ends at 4000000000, but there are 3 bytes of data"),
        ("ends-cut", "keys: 3 bytes are not numbers of 4 bytes each"),
        ("null-with-bytes", "values: cell 0 is null but holds 3 bytes"),
        ("validity-short", "values: the validity bitmap has 0 bytes, but 1 cells need 1"),
        ("cells-missing", "values: 0 cells for 1 outputs"),
        ("ports-too-many", "ports: 2 cells for 1 outputs"),
        ("timestamps-cut", "timestamps: 7 bytes are not numbers of 8 bytes each"),
        ("header-null-name", "headers: cell 0 is null but holds 0 bytes"),
        ("header-rows-backwards", "headers: cell 1 ends at 1, before its start at 2"),
        ("rows-cut", "rows: 5 bytes are not numbers of 4 bytes each"),
    ] {
        let trap = verdict("forge", &format!(r#"{{"what":"{forgery}"}}"#));
        assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Malformed, told), "{forgery}");
    }
}

#[test]
fn an_output_beyond_its_limit_is_told_by_its_size() {
    let trap = verdict("flood", r#"{"what":"output"}"#);
    assert_eq!(trap.kind, TrapKind::OutputSize, "{trap:?}");
    assert!(trap.message.contains("output_bytes_max"), "{trap}");
}

/// Holds the text by which `trap::is_too_much` knows wasmtime's own bound.
#[test]
fn an_output_that_the_host_cannot_even_take_out_is_told_as_too_large() {
    let trap = verdict("flood", r#"{"what":"rejects"}"#);
    assert_eq!(trap.kind, TrapKind::OutputSize, "{trap:?}");
    assert!(trap.message.starts_with("more than output_bytes_max"), "{trap}");
}

#[test]
fn import_calls_are_bounded_in_number_and_in_bytes() {
    for (attack, limit) in
        [("calls", "host_calls_max"), ("bytes", "host_call_bytes_max"), ("random", "host_call_bytes_max")]
    {
        let trap = verdict("flood", &format!(r#"{{"what":"{attack}"}}"#));
        assert_eq!(trap.kind, TrapKind::HostCalls, "{attack}: {trap:?}");
        assert!(trap.message.starts_with(limit), "{attack}: {trap}");
    }
}

#[test]
fn log_lines_carry_coordinates_and_beyond_their_bound_are_counted() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(lines, || {
        let mut burst = instance(&host(), "flood", r#"{"what":"log"}"#).expect("an instance");
        call(&mut burst, &[Some(b"a")]).expect("an output");
        let mut long = instance(&host(), "flood", r#"{"what":"log-long"}"#).expect("an instance");
        call(&mut long, &[Some(b"a")]).expect("an output");
    });
    let text = log.text();
    assert_eq!(text.matches("line ").count(), 100, "{text}");
    assert!(text.contains(r#"line 0 node="node" task="0_3" from="orders/3" offset=100"#), "{text}");
    assert!(text.contains("dropped_lines=400") && text.contains("dropped_lines=1"), "{text}");
    assert!(text.len() < 64 << 10, "the long line is not in it");
}

#[test]
fn metric_names_are_bounded_and_a_call_that_traps_counts_nothing() {
    let host = host();
    call(&mut instance(&host, "flood", r#"{"what":"metrics"}"#).expect("an instance"), &[None]).expect("an output");
    assert_eq!(host.metrics().snapshot().len(), 256);
    assert_eq!(host.metrics().dropped(), [(NodeName::from("node"), 244)]);

    let host = guests::host();
    call(&mut instance(&host, "faint", r#"{"what":"panic"}"#).expect("an instance"), &[None]).expect_err("a trap");
    assert_eq!(host.metrics().snapshot(), []);
    call(&mut instance(&host, "faint", "").expect("an instance"), &[None]).expect("an output");
    assert_eq!(host.metrics().snapshot()[0].value, MetricValue::Count(1));
}

#[test]
fn a_panic_brings_its_last_words_its_row_and_its_frames() {
    let trap = verdict("faint", r#"{"what":"panic"}"#);
    assert_eq!((trap.kind, trap.row), (TrapKind::Panic, Some(2)));
    assert_eq!(trap.message, "no order can have a negative quantity");
    assert!(trap.backtrace.contains("faint::panics_on_purpose"), "{}", trap.backtrace);
    assert!(!trap.backtrace.contains("17h"), "names without their hashes: {}", trap.backtrace);
}

#[test]
fn a_trap_without_words_is_told_by_what_the_machine_saw() {
    let trap = verdict("faint", r#"{"what":"abort"}"#);
    assert_eq!((trap.kind, trap.row), (TrapKind::Panic, None));
    assert!(trap.message.contains("unreachable"), "{trap}");
}

#[test]
fn imports_used_against_the_contract_end_the_call() {
    let trap = verdict("faint", r#"{"what":"bounds"}"#);
    assert_eq!(trap.message, "context.random asks for row 3 of 3");
    let trap = verdict("faint", r#"{"what":"manifest"}"#);
    assert_eq!(trap.message, "manifest.about is called outside of `describe`");
}

#[test]
fn a_refused_configuration_says_where_and_what() {
    let fault = instance(&host(), "faint", r#"{"in-create":"refuse"}"#).expect_err("refused");
    assert_eq!(fault.message, "it refuses its configuration: /max: must be positive");
    let fault = instance(&host(), "faint", r#"{"in-create":"trap"}"#).expect_err("refused");
    assert!(fault.message.starts_with("`create` trapped: panic"), "{fault}");
}

#[test]
fn a_full_pool_names_the_setting_to_raise() {
    let host = host();
    let plugin = plugin(&host, "identity", "");
    let held: Vec<_> = (0..8).map(|_| plugin.instantiate(TASK).expect("an instance")).collect();
    let fault = plugin.instantiate(TASK).expect_err("the pool is full");
    assert!(fault.message.starts_with("all 8 instances of this host are in use; raise instances_max"), "{fault}");
    drop(held);
    plugin.instantiate(TASK).expect("there is room again");
}

#[test]
fn the_manifest_is_what_describe_said() {
    let plugin = plugin(&host(), "faint", "");
    let manifest = plugin.artifact().manifest();
    assert_eq!((manifest.name.as_str(), manifest.sdk.as_str()), ("faint", "none"));
    assert_eq!(manifest.reads, Reads { keys: true, values: false, timestamps: false });
    let port = |name: &str, key: &str, value: &str| Port {
        name: name.to_owned(),
        key_format: key.to_owned(),
        value_format: value.to_owned(),
    };
    assert_eq!(manifest.ports, [port("good", "string", "json"), port("bad", "", "bytes")]);
    assert!(plugin.artifact().imports().contains(&"weir:plugin/logging@0.1.2.fault".to_owned()));
    assert!(plugin.artifact().exports().contains(&"weir:plugin/processing@0.1.2".to_owned()));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("a lock").clone()).expect("UTF-8")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
