//! What a call costs: ns per record in and out, values of 100 bytes, by batch size. Issue 4 asks for 60 at a batch of 100
//! or more, and aims at 35. `cargo bench -p weir-wasm --bench call`, after `cargo xtask plugins`.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weir_core::ports::{Call, Processor};
use weir_core::record::{RecordBatch, Rows, Taken, TopicPartition};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;
use weir_wasm::{HostConfig, PluginHost};

const VALUE: [u8; 100] = [b'x'; 100];

fn identity(criterion: &mut Criterion) {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins"));
    let directory = std::env::var_os("WEIR_PLUGINS").map_or_else(default, PathBuf::from);
    let bytes = std::fs::read(directory.join("identity.wasm")).expect("`cargo xtask plugins` builds it");
    let host = PluginHost::new(HostConfig::default()).expect("a host");
    let artifact = host.load(&bytes).expect("loads");
    let plugin = host.plugin(&artifact, "", "bench", &NodeName::from("identity")).expect("JSON");
    let mut instance = plugin.instantiate(TaskId { subtopology: 0, partition: 0 }).expect("an instance");

    let mut group = criterion.benchmark_group("identity");
    for count in [1_usize, 100, 1_000, 4_096] {
        let mut batch = RecordBatch::default();
        (0..count as i64).for_each(|offset| batch.push(offset, offset, Some(b"key-0001"), Some(&VALUE), &[]));
        let taken = Taken {
            partitions: vec![TopicPartition::new("orders", 0)],
            partition: vec![0; count],
            offsets: batch.offsets.clone(),
            stream_times: batch.timestamps.clone(),
        };
        let rows = Rows::from_batch(batch);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| instance.process(&Call { rows: &rows, taken: &taken, state: None }).expect("an output"));
        });
    }
    group.finish();
    criterion.bench_function("instantiate and drop", |bencher| {
        bencher.iter(|| plugin.instantiate(TaskId { subtopology: 0, partition: 0 }).expect("an instance"));
    });
}

criterion_group!(benches, identity);
criterion_main!(benches);
