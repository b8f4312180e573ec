//! How fast the store on disk is, beside RocksDB used bare for the same work: `cargo run --release --workspace --example
//! rates [-- CASE...]`. Every transaction of 40,000 records is a read of its keys and a write of their new values; a
//! restore is writes alone. Only the ratio of the two means something on a busy machine.
#![allow(clippy::unwrap_used, reason = "a measurement ends where it fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, MemtableFactory, Options, ReadOptions,
    WriteBatch, WriteOptions,
};
use weir_core::ports::{Changes, Checkpoint, Position, Replayed, StateStore, StateSupplier};
use weir_core::record::TopicPartition;
use weir_core::task::TaskId;
use weir_core::topology::{Span, Store, StoreIndex, StoreKind, TopicIndex, Topology};
use weir_rocksdb::{RocksOptions, RocksStores};

const RECORDS: u64 = 4_000_000;
const RECORDS_PER_TRANSACTION: u64 = 40_000;
const STORE: StoreIndex = StoreIndex(0);
const TASK: TaskId = TaskId { subtopology: 0, partition: 0 };
const KEY_BYTES: usize = 24;

/// What is counted.
const CASES: [&str; 4] = ["windows", "table", "unique", "restore"];

type Key = [u8; KEY_BYTES];
type Counts = BTreeMap<Key, u64>;

/// Where counts are kept.
trait Rates {
    fn read(&self, keys: &[&[u8]]) -> Vec<Option<Vec<u8>>>;
    fn write(&self, counts: &Counts, is_restore: bool);
}

struct Bare(DB);

impl Bare {
    fn new(dir: &Path, case: &str) -> Self {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(64 << 20);
        options.set_max_write_buffer_number(4);
        options.increase_parallelism(2);
        options.set_compression_type(DBCompressionType::Lz4);
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(10.0, false);
        table.set_block_cache(&Cache::new_lru_cache(128 << 20));
        options.set_block_based_table_factory(&table);
        options.set_memtable_prefix_bloom_ratio(0.1);
        options.set_memtable_whole_key_filtering(true);
        if case == "restore" {
            options.set_memtable_factory(MemtableFactory::Vector);
            options.set_allow_concurrent_memtable_write(false);
        }
        let family = ColumnFamilyDescriptor::new("default", options.clone());
        Self(DB::open_cf_descriptors(&options, dir, [family]).unwrap())
    }
}

impl Rates for Bare {
    fn read(&self, keys: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let family = self.0.cf_handle("default").unwrap();
        let keys = keys.iter().copied();
        let values = self.0.batched_multi_get_cf_opt(family, keys, true, &ReadOptions::default());
        values.into_iter().map(|value| value.unwrap().map(|value| value.to_vec())).collect()
    }

    fn write(&self, counts: &Counts, _is_restore: bool) {
        let (mut batch, mut options) = (WriteBatch::default(), WriteOptions::default());
        options.disable_wal(true);
        counts.iter().for_each(|(key, count)| batch.put(key, count.to_le_bytes()));
        self.0.write_opt(batch, &options).unwrap();
    }
}

struct Weir(Arc<dyn StateStore>);

impl Weir {
    fn new(dir: &Path) -> Self {
        let store = Store {
            name: "counts".to_owned(),
            kind: StoreKind::KeyValue { ttl_ms: None },
            in_memory: false,
            changelog: Some(TopicIndex(0)),
            source: None,
            subtopology: 0,
            row_at_a_time: false,
            span: Span::default(),
        };
        let topology = Topology {
            application: "rates".to_owned(),
            topics: vec![],
            stores: vec![store],
            nodes: vec![],
            subtopologies: vec![],
        };
        Self(RocksStores::open(RocksOptions::default(), Arc::new(topology), dir).open(TASK).unwrap())
    }
}

impl Rates for Weir {
    fn read(&self, keys: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        self.0.get_many(STORE, keys).unwrap()
    }

    fn write(&self, counts: &Counts, is_restore: bool) {
        let position = Position { partition: TopicPartition::new("input", 0), offset: 1, metadata: None };
        let checkpoint = Checkpoint {
            changelogs: [(STORE, Replayed { next: 1, topic_id: "id".to_owned() })].into(),
            positions: if is_restore { vec![] } else { vec![position] },
            applied_at_ms: 1,
        };
        let row = |(key, count): (&Key, &u64)| (STORE, key.to_vec(), Some(count.to_le_bytes().to_vec()));
        self.0.apply(&Changes { writes: counts.iter().map(row).collect(), checkpoint }).unwrap();
    }
}

/// The key of each record.
fn key(case: &str, record: u64, drawn: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    let keys = if case == "unique" || case == "restore" { 2_000_000 } else { 10_000 };
    key[..8].copy_from_slice(&(drawn % keys).to_be_bytes());
    if case == "windows" {
        key[8..16].copy_from_slice(&(record / 10_000).to_be_bytes());
    }
    key
}

/// Records per second.
fn measure(case: &str, rates: &dyn Rates) -> f64 {
    let is_restore = case == "restore";
    let mut drawn: u64 = 88_172_645_463_325_252;
    let mut in_store = 0.0;
    for first in (0..RECORDS).step_by(RECORDS_PER_TRANSACTION as usize) {
        let mut counts = Counts::new();
        for record in first..first + RECORDS_PER_TRANSACTION {
            drawn ^= drawn << 13;
            drawn ^= drawn >> 7;
            drawn ^= drawn << 17;
            *counts.entry(key(case, record, drawn)).or_default() += 1;
        }
        let begin = Instant::now();
        if !is_restore {
            let keys: Vec<Key> = counts.keys().copied().collect();
            let keys: Vec<&[u8]> = keys.iter().map(Key::as_slice).collect();
            for (count, value) in counts.values_mut().zip(rates.read(&keys)) {
                *count += value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
            }
        }
        rates.write(&counts, is_restore);
        in_store += begin.elapsed().as_secs_f64();
    }
    RECORDS as f64 / in_store
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    println!("{:10} {:>14} {:>14} {:>7}", "case", "bare records/s", "weir records/s", "ratio");
    for case in CASES.into_iter().filter(|case| asked.is_empty() || asked.iter().any(|asked| asked == case)) {
        let dir = tempfile::tempdir().unwrap();
        let bare = measure(case, &Bare::new(&dir.path().join("bare"), case));
        let weir = measure(case, &Weir::new(&dir.path().join("weir")));
        println!("{case:10} {bare:14.0} {weir:14.0} {:7.2}", weir / bare);
    }
}
