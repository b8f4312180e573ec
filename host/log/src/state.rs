//! What is committed, as every reader sees it. Changed in one place: a frame that is durable is applied.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use weir_core::record::{TopicName, TopicPartition};

use crate::config::INDEXES_CACHED_MAX;
use crate::frame::{Meta, PartitionKey, PositionMeta, RangeMeta, TopicMeta};
use crate::group::Group;
use crate::segment::{ChunkRef, Segment, SegmentIndex};

/// A stretch of a partition's rows within one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub segment: u64,
    pub first: i64,
    pub next: i64,
    pub bytes: u64,
    pub max_timestamp: i64,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The first offset that can be read.
    pub begin: i64,
    /// The offset that the next row gets.
    pub next: i64,
    /// In offset order.
    pub extents: Vec<Extent>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub meta: TopicMeta,
    pub partitions: Vec<Partition>,
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub offset: i64,
    pub metadata: String,
}

/// Where a partition's next rows are.
pub(crate) enum Plan {
    /// In these chunks of one segment.
    Chunks(Segment, Vec<ChunkRef>),
    /// In a sealed segment whose index is not in memory.
    Load(u64, Segment),
    /// Nowhere below `next`.
    Nothing,
}

/// All that is committed.
pub(crate) struct State {
    pub topics: BTreeMap<u32, Topic>,
    pub by_name: BTreeMap<TopicName, u32>,
    /// The id of the next topic: above all that were ever given.
    pub next_topic: u32,
    pub positions: BTreeMap<(String, PartitionKey), Committed>,
    /// By the sequence of their first frame; the last is the one written to.
    pub segments: BTreeMap<u64, Segment>,
    /// The index of the last segment.
    pub active: SegmentIndex,
    /// Those of sealed segments that were read last.
    indexes: VecDeque<(u64, Arc<SegmentIndex>)>,
    /// By application.
    pub groups: BTreeMap<String, Group>,
    /// Why the log takes no more.
    pub failed: Option<String>,
}

impl State {
    pub fn new() -> Self {
        Self {
            topics: BTreeMap::new(),
            by_name: BTreeMap::new(),
            next_topic: 0,
            positions: BTreeMap::new(),
            segments: BTreeMap::new(),
            active: SegmentIndex::default(),
            indexes: VecDeque::new(),
            groups: BTreeMap::new(),
            failed: None,
        }
    }

    pub fn key(&self, partition: &TopicPartition) -> Option<PartitionKey> {
        let topic = self.by_name.get(&partition.topic)?;
        let count = self.topics.get(topic)?.meta.partitions;
        (0..count).contains(&partition.partition).then_some((*topic, partition.partition))
    }

    pub fn name(&self, (topic, partition): PartitionKey) -> Option<TopicPartition> {
        Some(TopicPartition::new(self.topics.get(&topic)?.meta.name.as_str(), partition))
    }

    pub fn partition(&self, (topic, partition): PartitionKey) -> Option<&Partition> {
        self.topics.get(&topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    fn partition_mut(&mut self, (topic, partition): PartitionKey) -> Option<&mut Partition> {
        self.topics.get_mut(&topic)?.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// Takes in what a durable frame of `segment` does; its chunks' bytes begin at `data`. Chunks go to the active index,
    /// which a scan has filled already where `indexed`.
    pub fn apply(&mut self, segment: u64, data: u64, meta: &Meta, indexed: bool) {
        for topic in &meta.topics {
            self.next_topic = self.next_topic.max(topic.id + 1);
            if topic.partitions == 0 {
                self.forget_topic(topic.id);
                continue;
            }
            let count = usize::try_from(topic.partitions).unwrap_or(0);
            self.by_name.insert(topic.name.as_str().into(), topic.id);
            self.topics
                .entry(topic.id)
                .or_insert_with(|| Topic { meta: topic.clone(), partitions: vec![Partition::default(); count] });
        }
        if meta.segments_from > 0 {
            self.drop_segments(meta.segments_from);
        }
        for &RangeMeta { partition, begin, next } in &meta.ranges {
            if let Some(known) = self.partition_mut(partition) {
                known.begin = known.begin.max(begin);
                known.next = known.next.max(next);
                let begin = known.begin;
                known.extents.retain(|extent| extent.next > begin);
            }
        }
        for PositionMeta { application, partition, offset, metadata } in &meta.positions {
            let committed = Committed { offset: *offset, metadata: metadata.clone() };
            if self.partition(*partition).is_some() {
                self.positions.insert((application.clone(), *partition), committed);
            }
        }
        if !indexed {
            self.active.add(data, &meta.chunks);
        }
        for chunk in &meta.chunks {
            self.extend(segment, chunk.partition, chunk.base, chunk.next, chunk.bytes, chunk.max_timestamp);
        }
        if meta.segments_from > 0 && !meta.snapshot {
            self.coalesce();
        }
    }

    /// Its rows are in no partition from now on; their space comes back with their segments.
    fn forget_topic(&mut self, id: u32) {
        if let Some(topic) = self.topics.remove(&id) {
            self.by_name.remove(&TopicName::from(topic.meta.name.as_str()));
        }
        self.positions.retain(|(_, (topic, _)), _| *topic != id);
    }

    /// Notes that rows of a partition lie in a segment.
    pub fn extend(&mut self, segment: u64, key: PartitionKey, first: i64, next: i64, bytes: u32, max_timestamp: i64) {
        let Some(partition) = self.partition_mut(key) else { return };
        partition.next = partition.next.max(next);
        if next <= partition.begin {
            return;
        }
        let at = partition.extents.partition_point(|extent| extent.first < first);
        if let Some(before) = at.checked_sub(1).and_then(|before| partition.extents.get_mut(before))
            && before.segment == segment
            && before.next == first
        {
            before.next = before.next.max(next);
            before.bytes += u64::from(bytes);
            before.max_timestamp = before.max_timestamp.max(max_timestamp);
            return;
        }
        let extent = Extent { segment, first, next, bytes: u64::from(bytes), max_timestamp };
        partition.extents.insert(at, extent);
    }

    /// Makes one of neighbours in the same segment with nothing but a compacted gap between them. Only once all are
    /// there: rows carried over from older segments may lie in a gap.
    pub fn coalesce(&mut self) {
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.extents.dedup_by(|after, before| {
                let same = after.segment == before.segment;
                if same {
                    before.next = after.next;
                    before.bytes += after.bytes;
                    before.max_timestamp = before.max_timestamp.max(after.max_timestamp);
                }
                same
            });
        }
    }

    /// Forgets segments that begin before `from`.
    pub fn drop_segments(&mut self, from: u64) {
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.extents.retain(|extent| extent.segment >= from);
        }
        self.indexes.retain(|(segment, _)| *segment >= from);
    }

    /// Where the rows of a partition from `offset` on lie: chunks of at most `rows` rows and `bytes` bytes, but at least
    /// one.
    pub fn plan(&mut self, key: PartitionKey, offset: i64, rows: usize, bytes: usize) -> Plan {
        let Some(partition) = self.partition(key) else { return Plan::Nothing };
        let at = partition.extents.partition_point(|extent| extent.next <= offset);
        let Some(extent) = partition.extents.get(at) else { return Plan::Nothing };
        let (number, until) = (extent.segment, extent.next);
        let Some(segment) = self.segments.get(&number).cloned() else { return Plan::Nothing };
        let is_active = self.segments.last_key_value().is_some_and(|(last, _)| *last == number);
        let sealed = self.indexes.iter().find(|(known, _)| *known == number).map(|(_, index)| index.clone());
        let index = match &sealed {
            _ if is_active => &self.active,
            Some(index) => index,
            None => return Plan::Load(number, segment),
        };
        let (mut rows_left, mut bytes_left) = (rows as i64, bytes as i64);
        let mut chosen = Vec::new();
        for chunk in index.at_offset(key, offset) {
            if chunk.base >= until || rows_left <= 0 || (bytes_left <= 0 && !chosen.is_empty()) {
                break;
            }
            rows_left -= chunk.next - chunk.base.max(offset);
            bytes_left -= i64::from(chunk.bytes);
            chosen.push(*chunk);
        }
        if chosen.is_empty() { Plan::Nothing } else { Plan::Chunks(segment, chosen) }
    }

    /// Keeps the index of a sealed segment, in place of the one kept longest.
    pub fn keep_index(&mut self, segment: u64, index: Arc<SegmentIndex>) {
        if self.indexes.iter().any(|(known, _)| *known == segment) {
            return;
        }
        if self.indexes.len() >= INDEXES_CACHED_MAX {
            self.indexes.pop_front();
        }
        self.indexes.push_back((segment, index));
    }

    /// A meta that makes a state like this one, but for the rows.
    pub fn snapshot(&self) -> Meta {
        let mut meta = Meta {
            snapshot: true,
            segments_from: self.segments.first_key_value().map_or(0, |(first, _)| *first),
            ..Meta::default()
        };
        let last = self.topics.last_key_value().map_or(0, |(last, _)| last + 1);
        if last < self.next_topic {
            meta.topics.push(TopicMeta::deleted(self.next_topic - 1));
        }
        for (&id, topic) in &self.topics {
            meta.topics.push(topic.meta.clone());
            for (partition, known) in topic.partitions.iter().enumerate() {
                let partition = (id, partition as i32);
                meta.ranges.push(RangeMeta { partition, begin: known.begin, next: known.next });
            }
        }
        for ((application, partition), Committed { offset, metadata }) in &self.positions {
            let (application, metadata) = (application.clone(), metadata.clone());
            meta.positions.push(PositionMeta { application, partition: *partition, offset: *offset, metadata });
        }
        meta
    }
}
