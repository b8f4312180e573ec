//! The log through its ports, on the simulated disk.

use std::time::Duration;

use weir_core::ports::{CommitError, Connector, Incoming, Position};
use weir_core::record::TopicPartition;

use super::model::{Transaction, batch, commit, connector, contents, open, outgoing, topic, transport};
use crate::disk::sim::{Random, SimDisk};

const NO_WAIT: Duration = Duration::ZERO;

#[test]
fn reopening_at_any_point_changes_nothing() {
    for segment_bytes in [500, 2_000, 1 << 20] {
        let (mut disk, mut model, mut random) =
            (SimDisk::default(), super::model::Model::default(), Random(segment_bytes));
        for number in 0..60 {
            let log = open(&disk, segment_bytes).unwrap();
            let client = connector(&log).client();
            ["in", "out"].iter().for_each(|name| assert_eq!(client.create_topic(&topic(name)).unwrap(), number == 0));
            let transaction = Transaction::random(&mut random, number);
            assert!(commit(&mut *transport(&log), &transaction));
            model.apply(&transaction);
            assert_eq!(contents(&log), model);
            disk = disk.process_kill();
        }
        assert_eq!(contents(&open(&disk, segment_bytes).unwrap()), model);
    }
}

#[test]
fn a_reader_wakes_on_a_commit_and_sees_nothing_of_an_aborted_one() {
    let log = open(&SimDisk::default(), 1 << 20).unwrap();
    let client = connector(&log).client();
    ["in", "out"].iter().for_each(|name| assert!(client.create_topic(&topic(name)).unwrap()));
    let out = TopicPartition::new("out", 1);
    let mut writer = transport(&log);
    let row = (5, Some(b"k".to_vec()), None);
    writer.begin().unwrap();
    writer.produce(&outgoing(&"out".into(), &[(1, row.clone())])).unwrap();
    writer.abort().unwrap();
    assert_eq!(client.offsets(&out).unwrap(), (0, 0));
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| client.read(&out, 0, 10, Duration::from_secs(60)).unwrap());
        std::thread::sleep(Duration::from_millis(30));
        writer.begin().unwrap();
        writer.produce(&outgoing(&"out".into(), &[(1, row.clone())])).unwrap();
        writer.commit(&[]).unwrap();
        let (rows, next) = reading.join().unwrap();
        assert_eq!((rows, next), (batch(&[row]), 1));
    });
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_thread_cannot_commit_what_it_has_given_away() {
    let log = open(&SimDisk::default(), 1 << 20).unwrap();
    let connector = connector(&log);
    assert!(connector.client().create_topic(&topic("in")).unwrap());
    let mut first = transport(&log);
    let mut second = connector.transport(1).unwrap();
    let revoked = match &first.poll(NO_WAIT).unwrap()[..] {
        [Incoming::Revoked(partitions)] => partitions.clone(),
        other => panic!("{other:?}"),
    };
    let position = |offset| Position { partition: revoked[0].clone(), offset, metadata: Some("m".into()) };
    first.begin().unwrap();
    first.commit(&[position(3)]).unwrap();
    first.release(&revoked).unwrap();
    assert_eq!(second.poll(NO_WAIT).unwrap(), [Incoming::Assigned(vec![position(3)])]);
    first.begin().unwrap();
    assert!(matches!(first.commit(&[position(9)]), Err(CommitError::Fenced(_))));
    assert_eq!(connector.client().committed(&revoked).unwrap(), [position(3)]);
    drop(second);
    assert_eq!(first.poll(NO_WAIT).unwrap(), [Incoming::Assigned(vec![position(3)])]);
}

#[test]
fn an_offset_is_found_by_timestamp_across_segments() {
    let log = open(&SimDisk::default(), 400).unwrap();
    let client = connector(&log).client();
    assert!(client.create_topic(&topic("in")).unwrap());
    let partition = TopicPartition::new("in", 0);
    for number in 0..40 {
        let value = Some(vec![b'x'; 50]);
        client
            .append(&partition, &batch(&[(number * 10, None, value.clone()), (number * 10 + 5, None, value)]))
            .unwrap();
    }
    for timestamp in 0..395 {
        assert_eq!(client.offset_at(&partition, timestamp).unwrap(), (timestamp + 4) / 5, "at {timestamp}");
    }
    assert_eq!(client.offset_at(&partition, 396).unwrap(), 80);
}

#[test]
fn commits_of_many_threads_share_syncs_and_all_are_there() {
    let disk = SimDisk::default();
    let log = open(&disk, 5_000).unwrap();
    let client = connector(&log).client();
    assert!(client.create_topic(&topic("in")).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let client = &client;
            scope.spawn(move || {
                let partition = TopicPartition::new("in", thread);
                for number in 0..200 {
                    let offsets = client.append(&partition, &batch(&[(number, None, Some(vec![7; 20]))])).unwrap();
                    assert_eq!(offsets, [number]);
                }
            });
        }
    });
    let model = contents(&log);
    assert_eq!(contents(&open(&disk.process_kill(), 5_000).unwrap()), model);
    assert!(model.rows.values().all(|rows| rows.len() == 200));
}
