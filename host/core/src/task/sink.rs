//! What a step writes, put in the order that batching must not show: by the row that caused it, then by path.

use std::collections::BTreeMap;

use crate::ports::Outgoing;
use crate::record::{Rows, Taken, TopicName, partition};
use crate::topology::TopicIndex;

/// Rows collected for each topic, in the order of the nodes that wrote them.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    topics: BTreeMap<TopicIndex, Vec<Rows>>,
}

impl Sinks {
    pub(crate) fn push(&mut self, topic: TopicIndex, rows: Rows) {
        if !rows.is_empty() {
            self.topics.entry(topic).or_default().push(rows);
        }
    }

    /// What is to be produced: `describe` gives a topic's name and partitions.
    pub(crate) fn finish(self, taken: &Taken, describe: impl Fn(TopicIndex) -> (TopicName, i32)) -> Vec<Outgoing> {
        let outgoing = |(topic, parts): (TopicIndex, Vec<Rows>)| {
            let (topic, count) = describe(topic);
            let rows = Rows::interleave(parts);
            Outgoing { topic, partitions: partitions(&rows, taken, count), rows }
        };
        self.topics.into_iter().map(outgoing).collect()
    }
}

fn partitions(rows: &Rows, taken: &Taken, count: i32) -> Vec<i32> {
    // A null key goes round robin by its row's offset and its place among that row's outputs: the same at every replay.
    let mut ordinal = 0;
    let mut previous = None;
    let choose = |row: usize| {
        let origin = rows.origins[row];
        ordinal = if previous == Some(origin) { ordinal + 1 } else { 0 };
        previous = Some(origin);
        let (source, offset) = taken.coordinates(origin);
        partition(
            rows.keys.get(row),
            (offset.unsigned_abs() + u64::from(source.partition.unsigned_abs())).wrapping_add(ordinal),
            count,
        )
    };
    (0..rows.len()).map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordBatch, TopicPartition};

    fn rows(values: &[&[u8]], origins: &[u32], key: Option<&[u8]>) -> Rows {
        let mut batch = RecordBatch::default();
        values.iter().enumerate().for_each(|(i, value)| batch.push(i as i64, 0, key, Some(value), &[]));
        Rows { origins: origins.to_vec(), ..Rows::from_batch(batch) }
    }

    fn taken(rows: usize) -> Taken {
        Taken {
            partitions: vec![TopicPartition::new("in", 1)],
            partition: vec![0; rows],
            offsets: (10..10 + rows as i64).collect(),
            stream_times: vec![0; rows],
        }
    }

    #[test]
    fn rows_of_two_writers_leave_by_origin_and_then_by_path() {
        let mut sinks = Sinks::default();
        sinks.push(TopicIndex(0), rows(&[b"a0", b"a0+", b"a2"], &[0, 0, 2], None));
        sinks.push(TopicIndex(0), rows(&[b"b0", b"b1"], &[0, 1], None));
        let out = sinks.finish(&taken(3), |_| ("out".into(), 3));
        let values: Vec<_> = out[0].rows.values.iter().map(|value| value.unwrap().to_vec()).collect();
        assert_eq!(values, [&b"a0"[..], b"a0+", b"b0", b"b1", b"a2"]);
        // offset + partition + ordinal, modulo 3
        assert_eq!(out[0].partitions, [11 % 3, 12 % 3, 13 % 3, 12 % 3, 13 % 3]);
    }

    #[test]
    fn a_key_decides_the_partition() {
        let mut sinks = Sinks::default();
        sinks.push(TopicIndex(0), rows(&[b"a", b"b"], &[0, 1], Some(b"key")));
        let out = sinks.finish(&taken(2), |_| ("out".into(), 7));
        assert_eq!(out[0].partitions, [crate::record::partition_of_key(b"key", 7); 2]);
    }
}
