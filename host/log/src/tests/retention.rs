//! What goes, and what stays.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Client, Connector, NewTopic, TransportError};
use weir_core::record::TopicPartition;

use super::model::{LOG_ID, OwnedRow, Transaction, batch, commit, connector, open, topic, transport};
use crate::disk::sim::SimDisk;
use crate::{EmbeddedLog, LogConfig};

fn create(client: &dyn Client, name: &str, compacted: bool, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert!(client.create_topic(&NewTopic { name: name.into(), partitions: 1, compacted, settings }).unwrap());
}

fn filler(client: &dyn Client, name: &str) {
    client.append(&TopicPartition::new(name, 0), &batch(&[(0, None, Some(vec![b'.'; 600]))])).unwrap();
}

/// Offset, key and value of all rows.
fn rows(client: &dyn Client, partition: &TopicPartition) -> Vec<(i64, OwnedRow)> {
    let (mut offset, end) = client.offsets(partition).unwrap();
    let mut rows = Vec::new();
    while offset < end {
        let (batch, next) = client.read(partition, offset, 3, Duration::ZERO).unwrap();
        assert!(next > offset);
        for row in 0..batch.len() {
            let cell = |column: &weir_core::record::Column| column.get(row).map(<[u8]>::to_vec);
            rows.push((batch.offsets[row], (batch.timestamps[row], cell(&batch.keys), cell(&batch.values))));
        }
        offset = next;
    }
    rows
}

fn log_bytes(disk: &SimDisk) -> usize {
    let segments = disk.names().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    segments.map(|path| disk.bytes(&path).len()).sum()
}

#[test]
fn a_compacted_topic_keeps_the_last_row_of_each_key_where_it_was() {
    let disk = SimDisk::default();
    let log = open(&disk, 5_000).unwrap();
    let client = connector(&log).client();
    create(&*client, "table", true, &[]);
    create(&*client, "filler", false, &[("retention.bytes", "0")]);
    let table = TopicPartition::new("table", 0);
    let mut last = BTreeMap::new();
    for number in 0..400_i64 {
        let key = format!("key-{}", if number < 10 { number } else { number % 5 });
        let value = (number % 7 != 0).then(|| format!("value-{number}").into_bytes());
        let row = (number, Some(key.clone().into_bytes()), value);
        let offset = client.append(&table, &batch(std::slice::from_ref(&row))).unwrap()[0];
        last.insert(key, (offset, row));
        filler(&*client, "filler");
    }
    assert!(log_bytes(&disk) < 30_000, "{} bytes are left", log_bytes(&disk));
    for log in [log, open(&disk.process_kill(), 5_000).unwrap()] {
        let client = connector(&log).client();
        assert_eq!(client.offsets(&table).unwrap(), (0, 400));
        let left = rows(&*client, &table);
        assert!(left.len() < 100, "{} rows are left", left.len());
        assert!(left.is_sorted_by_key(|(offset, _)| *offset));
        let mut found = BTreeMap::new();
        for (offset, row) in left {
            found.insert(String::from_utf8(row.1.clone().unwrap()).unwrap(), (offset, row));
        }
        assert_eq!(found, last);
    }
}

#[test]
fn a_topic_keeps_the_bytes_it_asks_for_and_a_late_reader_goes_on_behind() {
    let disk = SimDisk::default();
    let log = open(&disk, 5_000).unwrap();
    let client = connector(&log).client();
    create(&*client, "short", false, &[("retention.bytes", "10000")]);
    assert!(client.create_topic(&topic("in")).unwrap());
    let mut transaction = Transaction::default();
    transaction.rows.insert(TopicPartition::new("in", 2), vec![(1, None, Some(b"kept".to_vec()))]);
    transaction.positions.insert(TopicPartition::new("in", 2), (1, "metadata".into()));
    assert!(commit(&mut *transport(&log), &transaction));
    (0..200).for_each(|_| filler(&*client, "short"));
    let short = TopicPartition::new("short", 0);
    let (begin, end) = client.offsets(&short).unwrap();
    assert!((100..190).contains(&begin), "{begin}");
    assert_eq!(end, 200);
    assert!(log_bytes(&disk) < 40_000);
    let (late, _) = client.read(&short, 0, 5, Duration::ZERO).unwrap();
    assert_eq!(late.offsets[0], begin);
    for log in [log, open(&disk.process_kill(), 5_000).unwrap()] {
        let client = connector(&log).client();
        assert_eq!(client.offsets(&short).unwrap(), (begin, end));
        assert_eq!(rows(&*client, &TopicPartition::new("in", 2)).len(), 1, "a topic without retention keeps all");
        let position = &client.committed(&[TopicPartition::new("in", 2)]).unwrap()[0];
        assert_eq!((position.offset, position.metadata.as_deref()), (1, Some("metadata")));
    }
}

#[test]
fn the_whole_log_keeps_within_its_bound() {
    let disk = SimDisk::default();
    let config = LogConfig { segment_bytes: 5_000, retention_bytes: Some(20_000) };
    let log = crate::open::open(Arc::new(disk.clone()), Path::new("/sim"), config, LOG_ID).map(Arc::new).unwrap();
    let log: Arc<EmbeddedLog> = log;
    let client = connector(&log).client();
    create(&*client, "all", false, &[]);
    (0..200).for_each(|_| filler(&*client, "all"));
    assert!(log_bytes(&disk) < 30_000, "{} bytes are left", log_bytes(&disk));
    assert!(client.offsets(&TopicPartition::new("all", 0)).unwrap().0 > 100);
}

#[test]
fn a_setting_that_is_not_known_is_refused_by_name() {
    let log = open(&SimDisk::default(), 5_000).unwrap();
    let settings = BTreeMap::from([("segment.ms".to_owned(), "5".to_owned())]);
    let refused = connector(&log).client().create_topic(&NewTopic { settings, ..topic("t") }).unwrap_err();
    assert!(matches!(&refused, TransportError::Abortable(why) if why.contains("`segment.ms`")), "{refused}");
}
