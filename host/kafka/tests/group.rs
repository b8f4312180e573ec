//! Members that die, sleep and come back, on a real broker (`WEIR_TEST_KAFKA`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

mod support;

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use support::*;
use weir_core::ports::{Client, CommitError, Incoming, NewTopic, Replay, Transport};
use weir_core::record::{TopicName, TopicPartition};
use weir_kafka::KafkaTransport;

/// Nobody polls for longer than the group allows: the partitions go to another, the open transaction is refused, and the
/// sleeper is told that it has lost them.
#[test]
fn a_zombie_commits_nothing_and_learns_of_its_loss() {
    let client = client();
    let (input, output) = (topic(&client, "in", 1), topic(&client, "out", 1));
    client.append(&TopicPartition::new(&input, 0), &batch(&["a"])).unwrap();
    let application = unique("zombie");
    let mut settings = config(&application, "sleeper", &[&input]);
    settings.max_poll_interval_ms = 6_000;
    settings.transaction_timeout_ms = 60_000;
    let mut sleeper = connector(settings).kafka_transport(0).unwrap();
    assert_eq!(until_assigned(&mut sleeper).len(), 1);
    sleeper.begin().unwrap();
    sleeper.produce(&outgoing(&output, 0, batch(&["zombie"]))).unwrap();
    let mut other = connector(config(&application, "other", &[&input])).kafka_transport(0).unwrap();
    let positions = until_assigned(&mut other);
    assert_eq!((positions[0].offset, &positions[0].metadata), (0, &None));
    let refused = sleeper.commit(&[position(&input, 0, 1, "zombie")]);
    assert!(matches!(refused, Err(CommitError::Fenced(_))), "{refused:?}");
    let lost = until(&mut sleeper, "the loss", |came| {
        came.iter().find_map(|incoming| match incoming {
            Incoming::Lost(partitions) => Some(partitions.clone()),
            _ => None,
        })
    });
    assert_eq!(lost, [TopicPartition::new(&input, 0)]);
    sleeper.abort().unwrap();
    other.begin().unwrap();
    other.produce(&outgoing(&output, 0, batch(&["other"]))).unwrap();
    other.commit(&[position(&input, 0, 1, "")]).unwrap();
    assert_eq!(values(&client, &output, 0), ["other"]);
}

/// A static member that comes back in time costs the others nothing: they see no rebalance.
#[test]
fn a_restart_of_a_static_member_moves_no_partition() {
    let client = client();
    let input = topic(&client, "in", 2);
    let application = unique("static");
    let mut stays = connector(config(&application, "stays", &[&input])).kafka_transport(0).unwrap();
    until_assigned(&mut stays);
    let mut restarts = connector(config(&application, "restarts", &[&input])).kafka_transport(0).unwrap();
    let started = Instant::now();
    let (mut kept, mut given) = (Vec::new(), Vec::new());
    while kept.len() != 1 || given.len() != 1 {
        assert!(started.elapsed() < PATIENCE, "both have a partition: {kept:?} {given:?}");
        for (transport, has) in [(&mut stays, &mut kept), (&mut restarts, &mut given)] {
            for incoming in transport.poll(Duration::from_millis(20)).unwrap_or_default() {
                match incoming {
                    Incoming::Assigned(positions) => *has = positions.into_iter().map(|at| at.partition).collect(),
                    Incoming::Revoked(partitions) => {
                        has.clear();
                        transport.release(&partitions).unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
    drop(restarts);
    let mut again = connector(config(&application, "restarts", &[&input])).kafka_transport(0).unwrap();
    let mut back = Vec::new();
    while back.is_empty() {
        assert!(started.elapsed() < PATIENCE * 2, "it has its partition back");
        for incoming in again.poll(Duration::from_millis(20)).unwrap_or_default() {
            if let Incoming::Assigned(positions) = incoming {
                back = positions.into_iter().map(|at| at.partition).collect();
            }
        }
        let mut seen = stays.poll(Duration::from_millis(20)).unwrap();
        // That its partition has no rows is no news of the group.
        seen.retain(|incoming| !matches!(incoming, Incoming::Ended(_)));
        assert_eq!(seen, [], "the other sees nothing of it");
    }
    assert_eq!(back, given);
}

/// An owner dies between its offsets and the end of its transaction. Brokers would keep the offsets unstable until the
/// transaction times out; the next owner ends it as soon as the group has expelled the dead one.
#[test]
fn the_open_transaction_of_an_expelled_owner_is_ended_at_once() {
    let client = client();
    let (input, output) = (topic(&client, "in", 1), topic(&client, "out", 1));
    client.append(&TopicPartition::new(&input, 0), &batch(&["a", "b"])).unwrap();
    let application = unique("expelled");
    let ghost = format!("{application}-ghost-0");
    list_host(&client, &application, &ghost);
    let producer = die_in_mid_transaction(&application, &ghost, &input, &output);
    let usual = Instant::now();
    let mut undisturbed = connector(config(&unique("undisturbed"), "h", &[&input])).kafka_transport(0).unwrap();
    until_assigned(&mut undisturbed);
    let usual = usual.elapsed();
    let started = Instant::now();
    let mut heir = connector(config(&application, "heir", &[&input])).kafka_transport(0).unwrap();
    let positions = until_assigned(&mut heir);
    let took = started.elapsed();
    eprintln!("assigned {took:?} after its start, an undisturbed one {usual:?}");
    assert!(took < Duration::from_secs(8), "{took:?}: the transaction had a minute left");
    assert_eq!((positions[0].offset, &positions[0].metadata), (0, &None), "what was open did not happen");
    producer.commit_transaction(Duration::from_secs(5)).expect_err("the dead one is fenced");
    assert_eq!(replayed(&mut heir, &output), [""; 0], "nor did a row of the changelog");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} until the replay ended: the transaction had a minute left");
    heir.begin().unwrap();
    heir.produce(&outgoing(&output, 0, batch(&["heir"]))).unwrap();
    heir.commit(&[position(&input, 0, 2, "heir")]).unwrap();
    assert_eq!(replayed(&mut heir, &output), ["heir"]);
    assert_eq!(values(&client, &output, 0), ["heir"]);
}

/// The values that a replay of partition 0 brings until it ends.
fn replayed(transport: &mut KafkaTransport, topic: &TopicName) -> Vec<String> {
    transport.replay(&[Replay { partition: TopicPartition::new(topic, 0), from: None }]).unwrap();
    until(transport, "the end of the replay", |came| {
        let mut values = Vec::new();
        for incoming in came {
            let Incoming::Replayed { rows, next, end, .. } = incoming else { continue };
            values
                .extend(rows.values.iter().map(|cell| String::from_utf8_lossy(cell.unwrap_or_default()).into_owned()));
            if next >= end {
                return Some(values);
            }
        }
        None
    })
}

fn list_host(client: &std::sync::Arc<dyn Client>, application: &str, id: &str) {
    let name = TopicName::from(format!("{application}-hosts").as_str());
    let topic = NewTopic { name: name.clone(), partitions: 1, compacted: true, settings: Default::default() };
    client.create_topic(&topic).unwrap();
    let mut rows = weir_core::record::RecordBatch::default();
    let value = format!(r#"{{"instance":null,"clientId":"{id}","started":1}}"#);
    rows.push(0, 1, Some(id.as_bytes()), Some(value.as_bytes()), &[]);
    client.append(&TopicPartition::new(name, 0), &rows).unwrap();
}

/// A member that joins, writes, adds its offsets, and leaves without an end; its transaction has a minute.
fn die_in_mid_transaction(application: &str, id: &str, input: &TopicName, output: &TopicName) -> BaseProducer {
    let mut common = ClientConfig::new();
    common.set("bootstrap.servers", bootstrap()).set("client.id", id);
    let consumer: BaseConsumer = common
        .clone()
        .set("group.id", application)
        .set("enable.auto.commit", "false")
        .set("partition.assignment.strategy", "range")
        .create()
        .unwrap();
    consumer.subscribe(&[input.as_str()]).unwrap();
    let started = Instant::now();
    while consumer.assignment().unwrap().count() == 0 {
        assert!(started.elapsed() < PATIENCE);
        let _row = consumer.poll(Duration::from_millis(50));
    }
    let producer: BaseProducer =
        common.set("transactional.id", id).set("transaction.timeout.ms", "60000").create().unwrap();
    producer.init_transactions(Duration::from_secs(10)).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<str, str>::to(output.as_str()).partition(0).payload("ghost")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(input.as_str(), 0, Offset::Offset(2)).unwrap();
    let group = consumer.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&offsets, &group, Duration::from_secs(10)).unwrap();
    producer
}
