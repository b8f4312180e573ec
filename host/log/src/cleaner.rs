//! Takes back the space of rows that are no longer needed, whenever a segment is sealed.
//!
//! Space comes back from the front: a segment goes once what is still needed of it (rows within their retention, the last
//! row of each key of a compacted topic) is at most half of it; that is carried over to the last segment, in the same
//! frame that says the segment is gone. Positions and topics are in every segment's snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::SystemTime;

use crate::chunk::RowsBuilder;
use crate::error::ReadError;
use crate::frame::{ChunkMeta, Meta, PartitionKey, RangeMeta};
use crate::log::EmbeddedLog;
use crate::open::remove_segment;
use crate::reader::read_chunk;
use crate::retention::Retention;
use crate::segment::{ChunkRef, Segment};
use crate::state::{Extent, State};
use crate::writer::Writer;

impl EmbeddedLog {
    /// Expires rows and drops segments from the front. The segment written to stays.
    pub(crate) fn clean(&self, writer: &mut Writer) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let (begins, sealed, total) = {
            let state = self.state();
            let sealed = state.segments.range(..writer.segment).map(|(number, segment)| (*number, segment.clone()));
            let total = state.segments.values().map(|segment| segment.bytes).sum::<u64>();
            (expired(&state, self.config.retention_bytes, writer.segment, now), sealed.collect::<Vec<_>>(), total)
        };
        let mut survivors = Survivors::default();
        let mut dropped = Vec::new();
        for (number, segment) in sealed {
            match self.survivors_of(number, &begins, &survivors, writer.clean_at_bytes <= total) {
                Ok(Some(more)) => survivors = more,
                Ok(None) => {
                    writer.clean_at_bytes = writer.clean_at_bytes.max(total + total / 2);
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, segment = %segment.path.display(), "cannot clean a segment: it stays");
                    break;
                }
            }
            dropped.push(number);
        }
        if begins.is_empty() && dropped.is_empty() {
            return Ok(());
        }
        let state = self.state();
        let front = state.segments.keys().find(|number| !dropped.contains(number)).copied().unwrap_or(writer.segment);
        drop(state);
        let ranges = begins.iter().map(|(&partition, &begin)| RangeMeta { partition, begin, next: begin }).collect();
        let meta = Meta { segments_from: front, ranges, chunks: survivors.chunks, ..Meta::default() };
        self.append(writer, &[(meta, &survivors.data)])?;
        for number in dropped {
            self.state().segments.remove(&number);
            remove_segment(&*self.disk, &self.dir, number);
        }
        Ok(())
    }

    /// What has to be carried over so that segment `number` can go, beside what is carried over already; none where that
    /// is too much.
    fn survivors_of(
        &self,
        number: u64,
        begins: &BTreeMap<PartitionKey, i64>,
        before: &Survivors,
        may_compact: bool,
    ) -> Result<Option<Survivors>, ReadError> {
        let bytes_max = self.config.segment_bytes / 2;
        let (mut plain, mut compacted, mut plain_bytes) = (Vec::new(), Vec::new(), 0);
        {
            let state = self.state();
            for (key, is_compacted, extent) in extents(&state).filter(|(_, _, extent)| extent.segment == number) {
                let begin = begins.get(&key).copied().unwrap_or(0);
                match is_compacted {
                    true if extent.next > begin => compacted.push((key, extent.clone())),
                    false if extent.next > begin => {
                        plain.push((key, extent.first.max(begin)));
                        plain_bytes += extent.bytes;
                    }
                    _ => {}
                }
            }
        }
        if before.data.len() as u64 + plain_bytes > bytes_max || (!may_compact && !compacted.is_empty()) {
            return Ok(None);
        }
        let mut survivors = before.clone();
        for (key, from) in plain {
            for (segment, chunk) in self.chunks_of(key, from, |extent| extent.segment == number)? {
                survivors.copy(key, &segment, &chunk)?;
            }
        }
        for (key, extent) in compacted {
            self.compact(key, &extent, &mut survivors)?;
        }
        Ok((survivors.data.len() as u64 <= bytes_max).then_some(survivors))
    }

    /// Adds the rows of an extent that are the last of their key.
    fn compact(&self, key: PartitionKey, extent: &Extent, survivors: &mut Survivors) -> Result<(), ReadError> {
        let (mut seen, mut buffer) = (BTreeSet::<Vec<u8>>::new(), Vec::new());
        for (segment, chunk) in self.chunks_of(key, extent.next, |_| true)? {
            let view = read_chunk(&segment, &chunk, &mut buffer)?;
            seen.extend((0..view.len()).filter_map(|row| Some(view.key(row)?.to_vec())));
        }
        let own = self.chunks_of(key, extent.first, |known| known == extent)?;
        let mut kept = Vec::new();
        for (segment, chunk) in own.iter().rev() {
            let view = read_chunk(segment, chunk, &mut buffer)?;
            let is_last = |row: &usize| view.key(*row).is_none_or(|key| seen.insert(key.to_vec()));
            let mut rows = (0..view.len()).rev().filter(is_last).collect::<Vec<_>>();
            rows.reverse();
            kept.push(rows);
        }
        let mut builder = RowsBuilder::default();
        let mut gathered = Gathered::default();
        for ((segment, chunk), rows) in own.iter().zip(kept.into_iter().rev()) {
            let view = read_chunk(segment, chunk, &mut buffer)?;
            for row in rows {
                if builder.is_full_for(0) {
                    survivors.close(key, &mut builder, std::mem::take(&mut gathered));
                }
                gathered.take_in(view.offset(chunk.base, row), view.timestamp(row));
                builder.extend(&view, chunk.base, row..row + 1);
            }
        }
        if !builder.is_empty() {
            survivors.close(key, &mut builder, gathered);
        }
        Ok(())
    }

    /// The chunks of a partition from `offset` on that lie in the chosen extents.
    fn chunks_of(
        &self,
        key: PartitionKey,
        offset: i64,
        choose: impl Fn(&Extent) -> bool,
    ) -> Result<Vec<(Segment, ChunkRef)>, ReadError> {
        let extents = self.state().partition(key).map_or(Vec::new(), |partition| partition.extents.clone());
        let mut chosen = Vec::new();
        for extent in extents.iter().filter(|extent| extent.next > offset && choose(extent)) {
            let (segment, is_active) = {
                let state = self.state();
                let Some(segment) = state.segments.get(&extent.segment).cloned() else { continue };
                (segment, state.segments.last_key_value().is_some_and(|(last, _)| *last == extent.segment))
            };
            let from = offset.max(extent.first);
            let chunks = if is_active {
                self.state().active.at_offset(key, from).to_vec()
            } else {
                self.index(extent.segment, &segment)?.at_offset(key, from).to_vec()
            };
            let within = chunks.into_iter().take_while(|chunk| chunk.base < extent.next);
            chosen.extend(within.map(|chunk| (segment.clone(), chunk)));
        }
        Ok(chosen)
    }
}

/// What is carried over from segments that go.
#[derive(Clone, Default)]
struct Survivors {
    chunks: Vec<ChunkMeta>,
    data: Vec<u8>,
}

/// Where gathered rows begin and end.
#[derive(Default)]
struct Gathered {
    offsets: Option<(i64, i64)>,
    max_timestamp: Option<i64>,
}

impl Gathered {
    fn take_in(&mut self, offset: i64, timestamp: i64) {
        self.offsets = Some((self.offsets.map_or(offset, |(first, _)| first), offset));
        self.max_timestamp = self.max_timestamp.max(Some(timestamp));
    }
}

impl Survivors {
    /// A chunk as it is.
    fn copy(&mut self, partition: PartitionKey, segment: &Segment, chunk: &ChunkRef) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        read_chunk(segment, chunk, &mut buffer)?;
        self.data.extend_from_slice(&buffer);
        let &ChunkRef { base, next, max_timestamp, bytes, checksum, .. } = chunk;
        self.chunks.push(ChunkMeta { partition, base, next, max_timestamp, bytes, checksum });
        Ok(())
    }

    /// Rows that were gathered of several chunks.
    fn close(&mut self, partition: PartitionKey, builder: &mut RowsBuilder, gathered: Gathered) {
        let start = self.data.len();
        builder.write(&mut self.data);
        let chunk = &self.data[start..];
        let (first, last) = gathered.offsets.unwrap_or_default();
        self.chunks.push(ChunkMeta {
            partition,
            base: first,
            next: last + 1,
            max_timestamp: gathered.max_timestamp.unwrap_or(i64::MIN),
            bytes: chunk.len() as u32,
            checksum: crc32c::crc32c(chunk),
        });
    }
}

/// Every extent, with its partition and whether the topic is compacted.
fn extents(state: &State) -> impl Iterator<Item = (PartitionKey, bool, &Extent)> {
    state.topics.iter().flat_map(|(&id, topic)| {
        let partitions = topic.partitions.iter().enumerate();
        partitions.flat_map(move |(number, partition)| {
            let key = (id, number as i32);
            partition.extents.iter().map(move |extent| (key, topic.meta.compacted, extent))
        })
    })
}

/// Where partitions begin once their topics' retention and, if they are plain, the log's bound are applied, for those that
/// change.
fn expired(state: &State, log_bytes_max: Option<u64>, active: u64, now: i64) -> BTreeMap<PartitionKey, i64> {
    let mut total = state.segments.values().map(|segment| segment.bytes).sum::<u64>();
    let mut over = 0; // segments before this one are beyond the log's bound
    for (number, segment) in state.segments.range(..active) {
        if log_bytes_max.is_none_or(|bytes_max| total <= bytes_max) {
            break;
        }
        total -= segment.bytes;
        over = number + 1;
    }
    let mut begins = BTreeMap::new();
    for (&id, topic) in &state.topics {
        let compacted = topic.meta.compacted;
        let retention = Retention::of(&topic.meta.settings, compacted).unwrap_or_default();
        if !retention.deletes {
            continue;
        }
        for (number, partition) in topic.partitions.iter().enumerate() {
            let mut bytes = partition.extents.iter().map(|extent| extent.bytes).sum::<u64>();
            let mut begin = partition.begin;
            for extent in partition.extents.iter().take_while(|extent| extent.segment < active) {
                let by_size = retention.bytes.is_some_and(|bytes_max| bytes - extent.bytes >= bytes_max);
                let by_time = retention.ms.is_some_and(|ms| extent.max_timestamp < now.saturating_sub(ms));
                if !(by_size || by_time || !compacted && extent.segment < over) {
                    break;
                }
                bytes -= extent.bytes;
                begin = begin.max(extent.next);
            }
            if begin > partition.begin {
                begins.insert((id, number as i32), begin);
            }
        }
    }
    begins
}
