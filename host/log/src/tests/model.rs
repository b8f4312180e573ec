//! What a log should hold, kept in maps: the slow, plain oracle. And a driver that does the same to both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Client, Connector, Incoming, NewTopic, Outgoing, Position, Transport, TransportError};
use weir_core::record::{RecordBatch, Rows, TopicName, TopicPartition};

use crate::disk::Disk;
use crate::disk::sim::Random;
use crate::{EmbeddedLog, LogConfig, LogConnector, OpenError};

pub(super) const LOG_ID: u64 = 7;
pub(super) const PARTITIONS: i32 = 3;

/// One row, owned: timestamp, key, value.
pub(super) type OwnedRow = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub rows: BTreeMap<TopicPartition, Vec<OwnedRow>>,
    pub positions: BTreeMap<TopicPartition, (i64, String)>,
}

/// What one transaction does.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    pub rows: BTreeMap<TopicPartition, Vec<OwnedRow>>,
    pub positions: BTreeMap<TopicPartition, (i64, String)>,
    /// Bytes for the topic `filler`, which keeps nothing: segments full of it are cleaned.
    pub filler_bytes: usize,
}

impl Transaction {
    pub fn random(random: &mut Random, number: u64) -> Self {
        let mut transaction = Self::default();
        for _ in 0..1 + random.below(4) {
            let partition = TopicPartition::new(["in", "out"][random.below(2) as usize], random.below(3) as i32);
            let rows = transaction.rows.entry(partition).or_default();
            for row in 0..random.below(12) {
                let cell = |random: &mut Random, text: String| match random.below(6) {
                    0 => None,
                    1 => Some(vec![]),
                    _ => Some(text.into_bytes()),
                };
                let key = cell(random, format!("key-{}", random.clone().below(5)));
                let value = cell(random, format!("{number}/{row}/{}", "x".repeat(random.clone().below(90) as usize)));
                rows.push((number as i64 * 10, key, value));
            }
        }
        let partition = TopicPartition::new("in", random.below(3) as i32);
        transaction.positions.insert(partition, (number as i64, format!("metadata {number}")));
        transaction.rows.retain(|_, rows| !rows.is_empty());
        transaction
    }
}

impl Model {
    pub fn apply(&mut self, transaction: &Transaction) {
        for (partition, rows) in &transaction.rows {
            self.rows.entry(partition.clone()).or_default().extend(rows.iter().cloned());
        }
        self.positions.extend(transaction.positions.clone());
    }
}

pub(super) fn batch(rows: &[OwnedRow]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for (index, (timestamp, key, value)) in rows.iter().enumerate() {
        batch.push(index as i64, *timestamp, key.as_deref(), value.as_deref(), &[]);
    }
    batch
}

pub(super) fn open(disk: &(impl Disk + Clone + 'static), segment_bytes: u64) -> Result<Arc<EmbeddedLog>, OpenError> {
    let config = LogConfig { segment_bytes, retention_bytes: None };
    crate::open::open(Arc::new(disk.clone()), Path::new("/sim"), config, LOG_ID).map(Arc::new)
}

pub(super) fn connector(log: &Arc<EmbeddedLog>) -> LogConnector {
    LogConnector { log: log.clone(), application: "app".into(), topics: vec!["in".into()] }
}

pub(super) fn topic(name: &str) -> NewTopic {
    NewTopic { name: name.into(), partitions: PARTITIONS, compacted: false, settings: BTreeMap::new() }
}

pub(super) fn outgoing(topic: &TopicName, rows: &[(i32, OwnedRow)]) -> Outgoing {
    let owned = rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    let partitions = rows.iter().map(|(partition, _)| *partition).collect();
    Outgoing { topic: topic.clone(), partitions, rows: Rows::from_batch(batch(&owned)) }
}

/// A transport that has got its partitions.
pub(super) fn transport(log: &Arc<EmbeddedLog>) -> Box<dyn Transport> {
    let mut transport = connector(log).transport(0).unwrap();
    let incoming = transport.poll(Duration::ZERO).unwrap();
    assert!(matches!(&incoming[..], [Incoming::Assigned(positions)] if positions.len() == PARTITIONS as usize));
    transport
}

/// Commits a transaction; `false`: it was not acknowledged.
pub(super) fn commit(transport: &mut dyn Transport, transaction: &Transaction) -> bool {
    if transport.begin().is_err() {
        return false;
    }
    for (partition, rows) in &transaction.rows {
        let rows = rows.iter().map(|row| (partition.partition, row.clone())).collect::<Vec<_>>();
        if transport.produce(&outgoing(&partition.topic, &rows)).is_err() {
            return false;
        }
    }
    if transaction.filler_bytes > 0 {
        let row = (0, (0, None, Some(vec![0; transaction.filler_bytes])));
        if transport.produce(&outgoing(&"filler".into(), &[row])).is_err() {
            return false;
        }
    }
    let position = |(partition, (offset, metadata)): (&TopicPartition, &(i64, String))| Position {
        partition: partition.clone(),
        offset: *offset,
        metadata: Some(metadata.clone()),
    };
    transport.commit(&transaction.positions.iter().map(position).collect::<Vec<_>>()).is_ok()
}

/// All that a log holds.
pub(super) fn contents(log: &Arc<EmbeddedLog>) -> Model {
    try_contents(log).unwrap()
}

/// The same, or why it cannot be read.
pub(super) fn try_contents(log: &Arc<EmbeddedLog>) -> Result<Model, TransportError> {
    let client = connector(log).client();
    let mut model = Model::default();
    for name in ["in", "out"] {
        for number in 0..PARTITIONS {
            let partition = TopicPartition::new(name, number);
            let Ok((begin, end)) = client.offsets(&partition) else { continue };
            let rows = read_all(&*client, &partition, begin, end)?;
            if !rows.is_empty() {
                model.rows.insert(partition.clone(), rows);
            }
            for position in client.committed(std::slice::from_ref(&partition)).unwrap() {
                model.positions.insert(partition.clone(), (position.offset, position.metadata.unwrap()));
            }
        }
    }
    Ok(model)
}

fn read_all(
    client: &dyn Client,
    partition: &TopicPartition,
    begin: i64,
    end: i64,
) -> Result<Vec<OwnedRow>, TransportError> {
    let (mut rows, mut offset) = (Vec::new(), begin);
    while offset < end {
        let (batch, next) = client.read(partition, offset, 5, Duration::ZERO)?;
        assert!(next > offset, "reading goes on");
        assert_eq!(batch.offsets, (offset..offset + batch.len() as i64).collect::<Vec<_>>());
        for row in 0..batch.len() {
            let cell = |column: &weir_core::record::Column| column.get(row).map(<[u8]>::to_vec);
            rows.push((batch.timestamps[row], cell(&batch.keys), cell(&batch.values)));
        }
        offset = next;
    }
    Ok(rows)
}
