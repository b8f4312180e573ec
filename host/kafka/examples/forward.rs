//! Copies a topic exactly once through the transport alone: what Kafka's share of a record costs.
//! `forward BOOTSTRAP APPLICATION IN OUT ROWS`
#![allow(clippy::unwrap_used, reason = "a measurement stops where something is wrong")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_core::ports::{Incoming, Outgoing, Position, Transport};
use weir_core::record::{Rows, TopicName, TopicPartition};
use weir_kafka::{KafkaConfig, KafkaConnector};

const COMMIT: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, bootstrap, application, input, output, rows] = arguments.as_slice() else {
        eprintln!("forward BOOTSTRAP APPLICATION IN OUT ROWS");
        std::process::exit(2);
    };
    let mut config = KafkaConfig::new(bootstrap, application, "host");
    config.topics = vec![TopicName::from(input.as_str())];
    let wanted: u64 = rows.parse().unwrap();
    let mut transport = KafkaConnector::new(config).unwrap().kafka_transport(0).unwrap();
    let (mut positions, mut began) = (BTreeMap::<TopicPartition, i64>::new(), None::<Instant>);
    let (mut polled, mut produced, mut committed) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut count, mut batches, mut commits, mut first) = (0_u64, 0_u64, 0_u32, None::<Instant>);
    let topic = TopicName::from(output.as_str());
    while count < wanted || began.is_some() {
        let at = Instant::now();
        let incoming = transport.poll(Duration::from_millis(10)).unwrap_or_default();
        polled += at.elapsed();
        for incoming in incoming {
            let Incoming::Fetched(partition, batch) = incoming else { continue };
            let at = Instant::now();
            first.get_or_insert(at);
            if began.is_none() {
                transport.begin().unwrap();
                began = Some(at);
            }
            count += batch.len() as u64;
            batches += 1;
            positions.insert(partition.clone(), batch.offsets.last().unwrap() + 1);
            let partitions = vec![partition.partition; batch.len()];
            let rows = Rows::from_batch(batch);
            transport.produce(&Outgoing { topic: topic.clone(), partitions, rows }).unwrap();
            produced += at.elapsed();
        }
        if began.is_some_and(|began| began.elapsed() >= COMMIT) {
            let at = Instant::now();
            let list: Vec<Position> = std::mem::take(&mut positions)
                .into_iter()
                .map(|(partition, offset)| Position { partition, offset, metadata: None })
                .collect();
            transport.commit(&list).unwrap();
            committed += at.elapsed();
            commits += 1;
            began = None;
        }
    }
    let took = first.map_or(Duration::ZERO, |first| first.elapsed());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{count} rows in {:.2} s: {:.0} k/s; us a row: poll {:.2} produce {:.2} commit {:.2}; {:.0} rows a batch; commit {:.1} ms; {}",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64() / 1e3,
        each(polled),
        each(produced),
        each(committed),
        count as f64 / batches as f64,
        committed.as_secs_f64() * 1e3 / f64::from(commits),
        std::fs::read_to_string("/proc/self/status")
            .unwrap_or_default()
            .lines()
            .find(|l| l.contains("VmHWM"))
            .unwrap_or(""),
    );
}
