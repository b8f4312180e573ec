//! What the attacks on stores, timers and folds must come to, and what a node's binding refuses.

#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod guests;

use guests::memory::{self, Memory};
use guests::{TASK, bound, call_with, host, instance, stateful};
use weir_core::ports::{
    AccessError, Aggregator, Call, Entries, Extracted, Extractor, Groups, KeyRange, Processor, StateAccess, StateCell,
    StoreHandle, Trap, TrapKind,
};
use weir_core::record::{Column, RecordBatch, Rows, Taken, TopicPartition};
use weir_core::state::keys;
use weir_wasm::{Binding, Instance, Role};

const STORES: [(&str, &str); 2] = [("things", "key-value"), ("seen", "window")];

fn hoard(config: &str) -> Instance {
    bound(&host(), "hoard", config, stateful(&STORES)).instantiate(TASK).expect("an instance")
}

/// How `hoard` ends, over a store of a thousand large entries and many windows.
fn verdict(what: &str) -> Trap {
    let memory = Memory::shared();
    let value = vec![b'x'; 100 << 10];
    for key in 0..1_000_u32 {
        let row = keys::key_value(&key.to_be_bytes());
        memory.borrow_mut().put(StoreHandle(0), &row, Some(&value)).expect("put");
    }
    for start in 0..200_000 {
        memory.borrow_mut().put(StoreHandle(1), &keys::window(b"k", start), Some(b"")).expect("put");
    }
    let mut instance = hoard(&format!(r#"{{"what":"{what}"}}"#));
    call_with(&mut instance, &[Some(b"a"), None], Some(&memory)).expect_err("a trap")
}

#[test]
fn writes_and_pages_without_end_meet_the_limit_on_bytes() {
    for what in ["write", "write-many", "page", "page-backward", "page-windows", "many-keys", "timer-name"] {
        let trap = verdict(what);
        assert_eq!(trap.kind, TrapKind::HostCalls, "{what}: {trap}");
        assert!(trap.message.contains("host_call_bytes_max"), "{what}: {trap}");
    }
}

#[test]
fn a_page_is_read_in_steps_so_that_the_host_never_holds_what_the_guest_may_not_have() {
    struct Counting(Memory, usize);
    impl StateAccess for Counting {
        fn get(&mut self, store: StoreHandle, key: &[u8]) -> Result<Option<Vec<u8>>, AccessError> {
            self.0.get(store, key)
        }
        fn get_many(&mut self, store: StoreHandle, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, AccessError> {
            self.0.get_many(store, keys)
        }
        fn put(&mut self, store: StoreHandle, key: &[u8], value: Option<&[u8]>) -> Result<(), AccessError> {
            self.0.put(store, key, value)
        }
        fn range(
            &mut self,
            store: StoreHandle,
            range: &KeyRange,
            limit: usize,
            backward: bool,
        ) -> Result<Entries, AccessError> {
            let entries = self.0.range(store, range, limit, backward)?;
            self.1 += entries.iter().map(|(_, value)| value.len()).sum::<usize>();
            Ok(entries)
        }
        fn mark(&mut self) -> u32 {
            self.0.mark()
        }
        fn undo(&mut self, mark: u32) -> Result<(), AccessError> {
            self.0.undo(mark)
        }
        fn schedule(&mut self, row: u32, name: &[u8], at: i64) -> Result<(), AccessError> {
            self.0.schedule(row, name, at)
        }
        fn schedule_after(&mut self, row: u32, name: &[u8], ms: u64) -> Result<(), AccessError> {
            self.0.schedule_after(row, name, ms)
        }
        fn cancel(&mut self, name: &[u8]) -> Result<(), AccessError> {
            self.0.cancel(name)
        }
    }
    let mut counting = Counting(Memory::default(), 0);
    for key in 0..1_000_u32 {
        let row = keys::key_value(&key.to_be_bytes());
        counting.put(StoreHandle(0), &row, Some(&vec![b'x'; 1 << 20])).expect("put");
    }
    let counting = std::rc::Rc::new(std::cell::RefCell::new(counting));
    let state: StateCell = counting.clone();
    let rows = rows(&[Some(b"a")]);
    let taken = taken(1);
    let mut instance = hoard(r#"{"what":"page"}"#);
    let trap = instance.process(&Call { rows: &rows, taken: &taken, state: Some(&state) }).expect_err("a trap");
    assert_eq!(trap.kind, TrapKind::HostCalls, "{trap}");
    let read = counting.borrow().1;
    assert!(read <= 40 << 20, "of a gigabyte {read} bytes were read for a guest that may have 8 MB");
}

#[test]
fn too_many_handles_and_calls_meet_their_limits() {
    let trap = verdict("handles");
    assert!(trap.message.starts_with("store_handles_max"), "{trap}");
    let trap = verdict("timers");
    assert!(trap.message.starts_with("host_calls_max"), "{trap}");
}

#[test]
fn a_handle_that_was_never_given_reaches_nothing() {
    for (what, told) in [("foreign-handle", "unknown handle index"), ("other-kind", "handle index")] {
        let trap = verdict(what);
        assert_eq!(trap.kind, TrapKind::Panic, "{trap}");
        assert!(trap.message.contains(told), "{what}: {trap}");
    }
}

#[test]
fn arguments_that_contradict_themselves_are_told_by_the_function_that_they_were_for() {
    for (what, told) in [
        ("null-key", "key-value-store.get-many: key 0 is null"),
        ("starts", "window-store.get-many: 2 keys, but 1 cells beside them"),
        ("changes", "key-value-store.put-many: 2 keys, but 1 cells beside them"),
        ("forged", "key-value-store.get-many: keys: the last cell ends at 4294967295, but there are 0 bytes of data"),
        ("undo", "state.undo: there is no mark 7 in this call"),
        ("timer-row", "timers.schedule is called for row 2 of 2"),
    ] {
        let trap = verdict(what);
        assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Panic, told), "{what}");
    }
}

#[test]
fn stores_are_opened_in_create_and_used_in_calls() {
    let mut config = String::new();
    let mut refused = |what: &str| {
        config = format!(r#"{{"in-create":"{what}"}}"#);
        let fault = bound(&host(), "hoard", &config, stateful(&STORES)).instantiate(TASK).expect_err("refused");
        fault.message.lines().next().unwrap_or_default().to_owned()
    };
    let outside = "is called while no call with rows is in progress; `create` may open stores and nothing else";
    assert_eq!(refused("read"), format!("`create` trapped: panic: key-value-store.get {outside}"));
    assert_eq!(refused("timer"), format!("`create` trapped: panic: timers.cancel {outside}"));
    assert_eq!(refused("mark"), format!("`create` trapped: panic: state.mark {outside}"));
    assert_eq!(
        refused("unknown"),
        "`create` trapped: panic: state.open-key-value: node `node` has no store `nobody's` for its plugin; it declares \
         `things` (key-value), `seen` (window)"
    );
    assert_eq!(refused("kind"), "`create` trapped: panic: state.open-session: `things` is a key-value store");
    let fault = instance(&host(), "hoard", "").expect_err("it has no stores at all");
    assert!(fault.message.contains("has no store `things` for its plugin; it declares none"), "{fault}");
}

#[test]
fn a_timers_row_is_its_own() {
    let memory = Memory::shared();
    let state = memory::cell(&memory);
    let (rows, taken) = (rows(&[Some(b"a"), Some(b"b")]).select(&[0, 0]), taken(2));
    let mut instance = hoard(r#"{"what":"timer-again"}"#);
    let trap = instance.on_timers(&Call { rows: &rows, taken: &taken, state: Some(&state) }).expect_err("a trap");
    assert_eq!(trap.message, "timers.schedule is called for row 2 of 2");
    assert_eq!(memory.borrow().kept.timers.len(), 1, "the two before it were of rows that there are");
}

#[test]
fn a_plugin_that_does_not_fit_its_node_is_told_how_to_mend_it() {
    let host = host();
    let misfits = |name: &str, binding: Binding| {
        let plugin = bound(&host, name, "", binding);
        let misfits = plugin.binding().misfits(plugin.artifact());
        misfits.into_iter().map(|misfit| misfit.detail).collect::<Vec<_>>()
    };
    assert_eq!(misfits("hoard", stateful(&STORES)), Vec::<String>::new());
    assert_eq!(
        misfits("hoard", Binding::default()),
        [
            "it asks for a key-value store `things`, which its node does not declare",
            "it asks for a window store `seen`, which its node does not declare",
            "it sets timers, which its node does not allow"
        ]
    );
    assert_eq!(
        misfits("hoard", stateful(&[("things", "window"), ("seen", "window")])),
        ["it takes `things` for a key-value store, but the topology makes it a window store"]
    );
    let aggregate = |merges| Binding { role: Role::Aggregator, merges, ..Binding::default() };
    assert_eq!(
        misfits("identity", aggregate(true)),
        [
            "it is a processor, but its node is an aggregate node",
            "it does not merge accumulators, but session windows do merge"
        ]
    );
    assert_eq!(misfits("forge", aggregate(true)), Vec::<String>::new());
    let fault = bound(&host, "identity", "", aggregate(false)).try_out(TASK).expect_err("refused");
    assert_eq!(fault.message, "it exports no weir:plugin/aggregation, which an aggregate node calls");
}

#[test]
fn folds_that_contradict_themselves_are_malformed() {
    let taken = taken(3);
    let groups = |every_row| Groups {
        keys: [Some(&b"a"[..]), Some(b"b")].into_iter().collect(),
        windows: Some(vec![(0, 10), (10, 20)]),
        accumulators: [None, Some(&b"7"[..])].into_iter().collect(),
        row_ends: vec![2, 3],
        rows: rows(&[Some(b"1"), Some(b"2"), Some(b"3")]),
        taken: &taken,
        every_row,
    };
    let forge = |what: &str| {
        let config = format!(r#"{{"what":"{what}"}}"#);
        bound(&host(), "forge", &config, Binding { role: Role::Aggregator, ..Binding::default() })
            .instantiate_aggregator(TASK)
            .expect("an instance")
    };
    for (what, every_row, told) in [
        ("cells-missing", false, "accumulators: 0 cells, 2 are due"),
        ("cells-too-many", false, "accumulators: 3 cells, 2 are due"),
        ("cells-too-many", true, "accumulators: 4 cells, 3 are due"),
        ("null-with-bytes", false, "accumulators: cell 0 is null but holds 3 bytes"),
        ("reject-beyond", false, "rejects: row 3 of 3"),
        ("reject-twice", false, "rejects: row 1 comes after row 1"),
    ] {
        let mut instance = forge(what);
        let trap = instance.fold(&groups(every_row)).expect_err("a trap");
        assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Malformed, told), "{what}");
        let again = instance.fold(&groups(every_row)).expect_err("it is not called again");
        assert!(again.message.contains("trapped before"), "{again}");
    }
    assert_eq!(forge("").fold(&groups(false)).expect("folds").accumulators.len(), 2);
    assert_eq!(forge("").fold(&groups(true)).expect("folds").accumulators.len(), 3);
    let pair: Column = [Some(&b"1"[..]), Some(b"2")].into_iter().collect();
    let trap = forge("cells-missing").merge(&pair, &pair, &pair).expect_err("a trap");
    assert_eq!(trap.message, "merged: 0 cells, 2 are due");
    assert_eq!(forge("").merge(&pair, &pair, &pair).expect("merges"), pair);
}

#[test]
fn times_that_contradict_themselves_or_are_not_for_a_source_are_malformed() {
    let (rows, taken) = (rows(&[Some(b"1"), None, Some(b"3")]), taken(3));
    let call = Call { rows: &rows, taken: &taken, state: None };
    let forge = |what: &str| {
        let config = format!(r#"{{"what":"{what}"}}"#);
        bound(&host(), "forge", &config, extracting()).instantiate_extractor(TASK).expect("an instance")
    };
    for (what, told) in [
        ("timestamps-cut", "timestamps: 7 bytes are not numbers of 8 bytes each"),
        ("timestamps-missing", "timestamps: 1 cells, 3 are due"),
        ("keys", "keys: a source takes timestamps alone; return none"),
        ("partitions", "partitions: a source takes timestamps alone; return none"),
        ("topics", "topics: a source takes timestamps alone; return none"),
        ("reject-beyond", "rejects: row 3 of 3"),
    ] {
        let mut instance = forge(what);
        let trap = instance.extract(&call).expect_err("a trap");
        assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Malformed, told), "{what}");
        let again = instance.extract(&call).expect_err("it is not called again");
        assert!(again.message.contains("trapped before"), "{again}");
    }
    assert_eq!(forge("").extract(&call).expect("own times"), Extracted::default());
}

#[test]
fn an_extractor_finds_times_and_refuses_rows() {
    let rows = rows(&[Some(br#"{"at":7}"#), Some(b"{}"), Some(br#"{"at":-1}"#)]);
    let call = Call { rows: &rows, taken: &taken(3), state: None };
    let mut instance = bound(&host(), "event-time", r#"{"unitMs":10}"#, extracting())
        .instantiate_extractor(TASK)
        .expect("an instance");
    let extracted = instance.extract(&call).expect("times");
    assert_eq!(extracted.timestamps, Some(vec![70, 0, -10]));
    let rejects: Vec<(u32, &str)> = extracted.rejects.iter().map(|it| (it.row, it.code.as_str())).collect();
    assert_eq!(rejects, [(1, "weir.decode")]);

    let fault = bound(&host(), "event-time", "null", extracting()).try_out(TASK).expect_err("refused");
    assert!(fault.message.contains("missing field `unitMs`"), "{fault}");
    let artifact = host().load(&guests::bytes("identity")).expect("a plugin");
    let misfits: Vec<String> = extracting().misfits(&artifact).into_iter().map(|misfit| misfit.detail).collect();
    assert_eq!(misfits, ["it is a processor, but its node is a source"]);
    let fault = bound(&host(), "identity", "", extracting()).try_out(TASK).expect_err("refused");
    assert_eq!(fault.message, "it exports no weir:plugin/extraction, which a source calls");
}

fn extracting() -> Binding {
    Binding { role: Role::Extractor, ..Binding::default() }
}

fn rows(values: &[Option<&[u8]>]) -> Rows {
    let mut batch = RecordBatch::default();
    values.iter().for_each(|value| batch.push(0, 5, Some(b"k"), *value, &[]));
    Rows::from_batch(batch)
}

fn taken(rows: usize) -> Taken {
    Taken {
        partitions: vec![TopicPartition::new("orders", 3)],
        partition: vec![0; rows],
        offsets: (0..rows as i64).collect(),
        stream_times: vec![5; rows],
    }
}

#[test]
#[ignore = "a measurement: `cargo test --release --workspace --test state -- --ignored --nocapture`"]
fn what_a_key_costs() {
    const CALLS: u32 = 3_000;
    println!("| keys a call | none | get | get-many | put | put-many |\n| --- | --- | --- | --- | --- | --- |");
    for count in [1_u32, 10, 1_000] {
        let mut line = format!("| {count} |");
        for how in ["none", "get", "get-many", "put", "put-many"] {
            let config = format!(r#"{{"how":"{how}","keys":{count}}}"#);
            let plugin = bound(&roomy(), "keeper", &config, stateful(&[("kept", "key-value")]));
            let mut instance = plugin.instantiate(TASK).expect("an instance");
            let memory = Memory::shared();
            for key in 0..u64::from(count) {
                let row = keys::key_value(&key.to_be_bytes());
                memory.borrow_mut().put(StoreHandle(0), &row, Some(&[b'x'; 100])).expect("put");
            }
            let best = (0..CALLS)
                .map(|_| {
                    let begin = std::time::Instant::now();
                    call_with(&mut instance, &[None], Some(&memory)).expect("an output");
                    begin.elapsed()
                })
                .min();
            line += &format!(" {} |", best.unwrap_or_default().as_nanos() / u128::from(count));
        }
        println!("{line}");
    }
}

/// A host with the limits that hosts have.
fn roomy() -> weir_wasm::PluginHost {
    let limits = weir_wasm::Limits { host_calls_max: 10_000, ..weir_wasm::Limits::default() };
    let config = weir_wasm::HostConfig { instances_max: 2, limits, ..weir_wasm::HostConfig::default() };
    weir_wasm::PluginHost::new(config).expect("a host")
}
