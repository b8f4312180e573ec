//! How fast the log is on this disk: `cargo run --release -p weir-log --example throughput [DIR] [ROWS]`.
//!
//! Rows of 120 bytes in batches of 4096 over 4 partitions, a durable commit every 40,000 rows: appended, read back, and
//! copied from one topic to another as a stream thread does.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a product")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use weir_core::ports::{Connector, Incoming, NewTopic, Outgoing, Position, Transport};
use weir_core::record::{RecordBatch, Rows, TopicName};
use weir_log::{EmbeddedLog, LogConfig, LogConnector};

const PARTITIONS: i32 = 4;
const BATCH_ROWS: usize = 4096;
const COMMIT_ROWS: usize = 40_000;
const VALUE_BYTES: usize = 120;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(|| std::env::temp_dir().join("weir-throughput"), PathBuf::from);
    let rows: usize = arguments.next().map_or(2_000_000, |rows| rows.parse().unwrap());
    let log = EmbeddedLog::open(&dir, LogConfig::default()).unwrap();
    let connector = LogConnector { log, application: "copy".into(), topics: vec!["in".into()] };
    let client = connector.client();
    for name in ["in", "out"] {
        let topic = NewTopic { name: name.into(), partitions: PARTITIONS, compacted: false, settings: BTreeMap::new() };
        assert!(client.create_topic(&topic).unwrap(), "`{}` holds a log already", dir.display());
    }
    let mut transport = connector.transport(0).unwrap();
    let rate = |what: &str, started: Instant| {
        println!("{what:8} {:>10.0} rows/s", rows as f64 / started.elapsed().as_secs_f64());
    };

    let started = Instant::now();
    append(&mut *transport, rows);
    rate("append", started);
    let started = Instant::now();
    let positions = drain(&mut *transport, rows, |_, _, _| {});
    rate("read", started);
    transport.seek(&positions.into_keys().map(|partition| (partition, 0)).collect::<Vec<_>>()).unwrap();
    let started = Instant::now();
    copy(&mut *transport, rows);
    rate("copy", started);

    drop((transport, client, connector));
    let started = Instant::now();
    drop(EmbeddedLog::open(&dir, LogConfig::default()).unwrap());
    println!("reopen   {:>10.1?}", started.elapsed());
    std::fs::remove_dir_all(&dir).unwrap();
}

fn append(transport: &mut dyn Transport, rows: usize) {
    let mut batch = RecordBatch::default();
    let value = vec![b'v'; VALUE_BYTES];
    for row in 0..BATCH_ROWS {
        batch.push(row as i64, 1_700_000_000_000, Some(format!("order-{row}").as_bytes()), Some(&value), &[]);
    }
    let partitions = (0..BATCH_ROWS).map(|row| row as i32 % PARTITIONS).collect();
    let outgoing = Outgoing { topic: "in".into(), partitions, rows: Rows::from_batch(batch) };
    let (mut done, mut open) = (0, 0);
    transport.begin().unwrap();
    while done < rows {
        transport.produce(&outgoing).unwrap();
        done += BATCH_ROWS;
        open += BATCH_ROWS;
        if open >= COMMIT_ROWS {
            transport.commit(&[]).unwrap();
            transport.begin().unwrap();
            open = 0;
        }
    }
    transport.commit(&[]).unwrap();
}

type Positions = BTreeMap<weir_core::record::TopicPartition, i64>;

/// Fetches `rows` rows and hands them on with how far each partition has come.
fn drain(
    transport: &mut dyn Transport,
    rows: usize,
    mut take: impl FnMut(&mut dyn Transport, Outgoing, &Positions),
) -> Positions {
    let (mut done, mut positions) = (0, Positions::new());
    let out: TopicName = "out".into();
    while done < rows {
        for incoming in transport.poll(Duration::from_secs(10)).unwrap() {
            let Incoming::Fetched(partition, batch) = incoming else { continue };
            done += batch.len();
            positions.insert(partition.clone(), batch.offsets.last().unwrap() + 1);
            let partitions = vec![partition.partition; batch.len()];
            take(transport, Outgoing { topic: out.clone(), partitions, rows: Rows::from_batch(batch) }, &positions);
        }
    }
    positions
}

fn copy(transport: &mut dyn Transport, rows: usize) {
    let mut open = 0;
    let commit = |transport: &mut dyn Transport, positions: &Positions| {
        let position = |(partition, offset): (&_, &_)| Position {
            partition: Clone::clone(partition),
            offset: *offset,
            metadata: None,
        };
        transport.commit(&positions.iter().map(position).collect::<Vec<_>>()).unwrap();
    };
    transport.begin().unwrap();
    let positions = drain(transport, rows, |transport, outgoing, positions| {
        open += outgoing.rows.len();
        transport.produce(&outgoing).unwrap();
        if open >= COMMIT_ROWS {
            commit(transport, positions);
            transport.begin().unwrap();
            open = 0;
        }
    });
    commit(transport, &positions);
}
