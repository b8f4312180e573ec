//! The ceiling: what bare librdkafka reaches when it copies IN to OUT exactly once with one consumer and one transactional
//! producer. `echo GROUP IN OUT`; runs until it is killed. A peer of `cargo xtask bench`, and nothing else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, group, input, output] = arguments.as_slice() else { anyhow::bail!("usage: echo GROUP IN OUT") };
    let bootstrap = std::env::var("BOOTSTRAP").context("BOOTSTRAP=host:port is not set")?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "range")
        .set("queued.min.messages", "1000000")
        .set("fetch.queue.backoff.ms", "2")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("transactional.id", format!("{group}-tx"))
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    producer.init_transactions(TIMEOUT)?;
    consumer.subscribe(&[input])?;
    let mut offsets: HashMap<i32, i64> = HashMap::new();
    let mut began: Option<Instant> = None;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(10)) {
            let message = message?;
            if began.is_none() {
                producer.begin_transaction()?;
                began = Some(Instant::now());
            }
            let mut record = BaseRecord::to(output)
                .key(message.key().unwrap_or_default())
                .payload(message.payload().unwrap_or_default())
                .timestamp(message.timestamp().to_millis().unwrap_or(0));
            if let Some(headers) = message.headers() {
                record = record.headers(headers.detach());
            }
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(5));
                record = back;
            }
            offsets.insert(message.partition(), message.offset() + 1);
        }
        if began.is_some_and(|began| began.elapsed() >= COMMIT_INTERVAL) {
            let mut positions = TopicPartitionList::new();
            for (&partition, &offset) in &offsets {
                positions.add_partition_offset(input, partition, Offset::Offset(offset))?;
            }
            // Not `flush()`: rust-rdkafka's polls up to its 100 ms deadline even when everything is delivered.
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::from_micros(500));
            }
            let group = consumer.group_metadata().context("no group")?;
            producer.send_offsets_to_transaction(&positions, &group, TIMEOUT)?;
            producer.commit_transaction(TIMEOUT)?;
            offsets.clear();
            began = None;
        }
    }
}
