//! Built guests, and calls for them.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

pub mod memory;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use weir_core::ports::{Call, CreateFault, Output, Processor, Trap};
use weir_core::record::{RecordBatch, Rows, Taken, TopicPartition};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;
use weir_wasm::{Binding, HostConfig, Instance, Limits, Plugin, PluginHost};

/// The task that all of them run for.
pub const TASK: TaskId = TaskId { subtopology: 0, partition: 3 };

/// The component or core module `target/plugins/{name}.wasm`.
pub fn bytes(name: &str) -> Vec<u8> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins"));
    let path = std::env::var_os("WEIR_PLUGINS").map_or_else(default, PathBuf::from).join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; build it with `cargo xtask plugins`", path.display()))
}

/// A host of few instances with small limits, so that each is met soon.
pub fn host() -> PluginHost {
    let limits = Limits {
        call_deadline: std::time::Duration::from_millis(300),
        memory_bytes_max: 16 << 20,
        output_bytes_max: 2 << 20,
        host_call_bytes_max: 8 << 20,
        ..Limits::default()
    };
    PluginHost::new(HostConfig { instances_max: 8, limits, ..HostConfig::default() }).expect("a host")
}

/// The plugin `name` with its configuration.
pub fn plugin(host: &PluginHost, name: &str, config: &str) -> Plugin {
    let artifact = host.load(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    host.plugin(&artifact, config, "app", &NodeName::from("node")).expect("JSON")
}

/// An instance of it.
pub fn instance(host: &PluginHost, name: &str, config: &str) -> Result<Instance, CreateFault> {
    plugin(host, name, config).instantiate(TASK)
}

/// The plugin `name` at a node that gives it what `binding` says.
pub fn bound(host: &PluginHost, name: &str, config: &str, binding: Binding) -> Plugin {
    let artifact = host.load(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    host.bound_plugin(&artifact, config, "app", &NodeName::from("node"), binding).expect("JSON")
}

/// A process node with these stores, by name and kind, and with timers.
pub fn stateful(stores: &[(&str, &str)]) -> Binding {
    let stores = stores.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    Binding { stores, timers: true, ..Binding::default() }
}

/// Calls with `values`, each under the key `k`, from offset 100 on.
pub fn call(instance: &mut Instance, values: &[Option<&[u8]>]) -> Result<Output, Trap> {
    call_with(instance, values, None)
}

/// The same with the state of its node.
pub fn call_with(
    instance: &mut Instance,
    values: &[Option<&[u8]>],
    memory: Option<&Rc<RefCell<memory::Memory>>>,
) -> Result<Output, Trap> {
    let mut batch = RecordBatch::default();
    for (row, value) in values.iter().enumerate() {
        batch.push(100 + row as i64, 1_000 + row as i64, Some(b"k"), *value, &[]);
    }
    let taken = Taken {
        partitions: vec![TopicPartition::new("orders", 3)],
        partition: vec![0; values.len()],
        offsets: batch.offsets.clone(),
        stream_times: batch.timestamps.clone(),
    };
    let state = memory.map(memory::cell);
    instance.process(&Call { rows: &Rows::from_batch(batch), taken: &taken, state: state.as_ref() })
}

/// How the plugin `name` ends on a call of three rows.
pub fn verdict(name: &str, config: &str) -> Trap {
    let mut instance = instance(&host(), name, config).unwrap_or_else(|fault| panic!("{fault}"));
    let trap = call(&mut instance, &[Some(b"a"), Some(b"b"), None]).expect_err("a trap");
    let again = call(&mut instance, &[Some(b"a")]).expect_err("an instance that trapped is not called again");
    assert!(again.message.contains("trapped before"), "{again}");
    trap
}
