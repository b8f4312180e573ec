//! The plugin of the benchmarks and demos as it is shipped: how large, and what a record costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_core::ports::{Call, Processor};
use weir_core::record::{RecordBatch, Rows, Taken, TopicPartition};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;
use weir_wasm::{HostConfig, PluginHost};
use wit_component::ComponentEncoder;

/// What a component of a few lines of logic on JSON may weigh.
const COMPONENT_BYTES_MAX: usize = 150_000;
const BATCH: usize = 1_000;

#[test]
fn the_component_stays_small() {
    let module = fs::read(weir_tests::host::plugin("order-details").unwrap()).unwrap();
    let component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    assert!(
        component.len() <= COMPONENT_BYTES_MAX && module.len() <= COMPONENT_BYTES_MAX,
        "{} bytes as a component, {} as a core module, {COMPONENT_BYTES_MAX} allowed",
        component.len(),
        module.len()
    );
    let host = PluginHost::new(HostConfig { instances_max: 2, ..HostConfig::default() }).unwrap();
    let artifact = host.load(&component).unwrap();
    assert_eq!(artifact.size(), component.len());
}

#[test]
#[ignore = "a measurement: `cargo test --release --test order_details -- --ignored --nocapture`"]
fn what_a_record_costs() {
    let module = fs::read(weir_tests::host::plugin("order-details").unwrap()).unwrap();
    let host = PluginHost::new(HostConfig { instances_max: 2, ..HostConfig::default() }).unwrap();
    let plugin = host.plugin(&host.load(&module).unwrap(), "", "app", &NodeName::from("order-details")).unwrap();
    let mut instance = plugin.instantiate(TaskId { subtopology: 0, partition: 0 }).unwrap();
    let mut batch = RecordBatch::default();
    for offset in 0..BATCH as i64 {
        let value = format!(
            r#"{{"id":"order-{offset}","customerId":{},"state":"CREATED","product":"JUMPERS","quantity":{},"price":{}.5}}"#,
            offset % 10,
            offset % 7,
            offset % 90
        );
        batch.push(offset, offset, Some(b"order"), Some(value.as_bytes()), &[]);
    }
    let taken = Taken {
        partitions: vec![TopicPartition::new("orders", 0)],
        partition: vec![0; BATCH],
        offsets: batch.offsets.clone(),
        stream_times: batch.timestamps.clone(),
    };
    let rows = Rows::from_batch(batch);
    let mut best = Duration::MAX;
    for _ in 0..500 {
        let begin = Instant::now();
        black_box(instance.process(&Call { rows: &rows, taken: &taken, state: None }).unwrap());
        best = best.min(begin.elapsed());
    }
    println!("{} ns per record, the best of 500 batches of {BATCH}", best.as_nanos() / BATCH as u128);
}
