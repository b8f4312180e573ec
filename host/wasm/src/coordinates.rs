use sha2::{Digest as _, Sha256};
use weir_core::record::{HeaderCells, Rows, Taken, TopicName};

/// Where the rows of the call in progress came from: copied for plugins that import `context`, because what a guest's
/// store holds must outlive the call that it was borrowed for.
#[derive(Debug)]
pub(crate) struct Coordinates {
    pub(crate) topics: Vec<TopicName>,
    pub(crate) topic: Vec<u32>,
    pub(crate) partitions: Vec<i32>,
    pub(crate) offsets: Vec<i64>,
    pub(crate) stream_times: Vec<i64>,
    pub(crate) headers: Option<HeaderCells>,
    pub(crate) windows: Option<Vec<(i64, i64)>>,
}

impl Coordinates {
    pub(crate) fn of(rows: &Rows, taken: &Taken) -> Self {
        let origins = &rows.origins;
        let topic = |&origin: &u32| taken.partition[origin as usize];
        Self {
            // One entry per input partition, so a topic may appear twice; a guest looks up by index and never notices.
            topics: taken.partitions.iter().map(|partition| partition.topic.clone()).collect(),
            topic: origins.iter().map(topic).collect(),
            partitions: origins.iter().map(|row| taken.partitions[topic(row) as usize].partition).collect(),
            offsets: origins.iter().map(|&origin| taken.offsets[origin as usize]).collect(),
            stream_times: origins.iter().map(|&origin| taken.stream_times[origin as usize]).collect(),
            headers: rows.headers.clone(),
            windows: rows.windows.clone(),
        }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// `size` bytes that depend on the application, the node and where row `row` came from, and on nothing else: neither on
    /// the row's place in its batch nor on what was asked before. `None`: there is no such row.
    pub(crate) fn random(&self, application: &str, node: &str, row: u32, size: usize) -> Option<Vec<u8>> {
        let at = row as usize;
        let topic = self.topics.get(*self.topic.get(at)? as usize)?;
        let mut seed = Sha256::new();
        for name in [application, node, topic.as_str()] {
            seed.update((name.len() as u64).to_le_bytes());
            seed.update(name);
        }
        seed.update(self.partitions.get(at)?.to_le_bytes());
        seed.update(self.offsets.get(at)?.to_le_bytes());
        let mut bytes = Vec::with_capacity(size.next_multiple_of(32));
        for block in 0_u64.. {
            if bytes.len() >= size {
                break;
            }
            bytes.extend_from_slice(&seed.clone().chain_update(block.to_le_bytes()).finalize());
        }
        bytes.truncate(size);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::record::{RecordBatch, TopicPartition};

    fn coordinates(offsets: &[i64]) -> Coordinates {
        let mut batch = RecordBatch::default();
        offsets.iter().for_each(|&offset| batch.push(offset, 0, None, None, &[]));
        let taken = Taken {
            partitions: vec![TopicPartition::new("orders", 3)],
            partition: vec![0; offsets.len()],
            offsets: offsets.to_vec(),
            stream_times: vec![0; offsets.len()],
        };
        Coordinates::of(&Rows::from_batch(batch), &taken)
    }

    #[test]
    fn randomness_is_the_rows_own_wherever_its_batch_begins() {
        let (whole, cut) = (coordinates(&[7, 8, 9]), coordinates(&[9]));
        assert_eq!(whole.random("app", "node", 2, 100), cut.random("app", "node", 0, 100));
        assert_eq!(
            whole.random("app", "node", 2, 100).map(|bytes| bytes[..8].to_vec()),
            cut.random("app", "node", 0, 8)
        );
        assert_ne!(whole.random("app", "node", 0, 8), whole.random("app", "node", 1, 8));
        assert_ne!(whole.random("app", "node", 0, 8), whole.random("app", "other", 0, 8));
        assert_ne!(whole.random("ab", "c", 0, 8), whole.random("a", "bc", 0, 8));
        assert_eq!(whole.random("app", "node", 3, 8), None);
    }
}
