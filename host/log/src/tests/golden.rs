//! A segment as it was written by version 1, checked in: a change of the format cannot go unnoticed, and old logs open.
//! A deliberate change raises `frame::VERSION` and writes the file anew: `UPDATE_GOLDEN=1 cargo test -p weir-log golden`.

use std::path::Path;

use weir_core::ports::{Connector, Position};
use weir_core::record::{RecordBatch, Rows, TopicPartition};

use super::model::{connector, contents, open, topic, transport};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;

const SEGMENT: &str = "/sim/log/00000000000000000000.seg";

fn write_log(disk: &SimDisk) {
    let log = open(disk, 1 << 20).unwrap();
    let client = connector(&log).client();
    ["in", "out"].iter().for_each(|name| assert!(client.create_topic(&topic(name)).unwrap()));
    let mut batch = RecordBatch::default();
    batch.push(0, 1_700_000_000_000, Some(b"key"), Some(b"value"), &[]);
    batch.push(0, -1, None, Some(b""), &[(b"trace", Some(b"42")), (b"empty", None)]);
    batch.push(0, 7, Some(b""), None, &[]);
    client.append(&TopicPartition::new("in", 1), &batch).unwrap();
    let mut writer = transport(&log);
    writer.begin().unwrap();
    let rows = Rows::from_batch(batch);
    writer.produce(&weir_core::ports::Outgoing { topic: "out".into(), partitions: vec![2, 0, 2], rows }).unwrap();
    let partition = TopicPartition::new("in", 1);
    writer.commit(&[Position { partition, offset: 3, metadata: Some("stream-time=7".into()) }]).unwrap();
}

#[test]
fn a_log_is_written_as_version_1_has_it_and_read_back() {
    let disk = SimDisk::default();
    write_log(&disk);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.seg");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, disk.bytes(Path::new(SEGMENT))).unwrap();
    }
    let golden = std::fs::read(&golden).unwrap();
    assert!(disk.bytes(Path::new(SEGMENT)) == golden, "the format has changed: raise frame::VERSION");
    let other = SimDisk::default();
    other.create(Path::new(SEGMENT)).unwrap().write_all_at(&golden, 0).unwrap();
    assert_eq!(contents(&open(&other, 1 << 20).unwrap()), contents(&open(&disk, 1 << 20).unwrap()));
    let client = connector(&open(&other, 1 << 20).unwrap()).client();
    let (rows, _) = client.read(&TopicPartition::new("in", 1), 1, 1, std::time::Duration::ZERO).unwrap();
    let headers = rows.headers.unwrap();
    assert_eq!(headers.row(0).collect::<Vec<_>>(), [(&b"trace"[..], Some(&b"42"[..])), (b"empty", None)]);
}
