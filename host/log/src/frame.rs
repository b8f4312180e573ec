//! Frames: one per transaction, all of it or nothing.
//!
//! A frame is a header of [`HEADER_BYTES`], its [`Meta`] and its chunks, one after the other. The header carries its own
//! checksum and the meta's, the meta those of the chunks, so every byte is covered. A header's checksum begins with the
//! log's own random number: a frame that a record carries in its value is not one of ours.
//!
//! `durable` says how many frames were known to be on the disk when this one was written. That tells a torn tail from
//! damage: a bad frame followed by one that was written after it had become durable was good once.

use std::collections::BTreeMap;

use crate::codec::{Decoder, Encoder};

/// Format version of frames, in each header. Raised with any change of frames, metas or chunks.
pub(crate) const VERSION: u16 = 1;
pub(crate) const MAGIC: [u8; 4] = *b"WFRM";
pub(crate) const HEADER_BYTES: usize = 48;
/// More than any meta has: a transaction of the largest size in chunks of one row each stays below.
const META_BYTES_MAX: usize = 1 << 30;

/// A topic's number, given at its creation, and a partition of it.
pub(crate) type PartitionKey = (u32, i32);

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Counts the frames of the log.
    pub sequence: u64,
    /// Frames before this one were durable when this one was written.
    pub durable: u64,
    pub meta_bytes: u32,
    pub meta_checksum: u32,
    pub data_bytes: u64,
}

impl Header {
    pub fn encode(&self, log_id: u64) -> [u8; HEADER_BYTES] {
        let mut out = Encoder(Vec::with_capacity(HEADER_BYTES));
        out.0.extend_from_slice(&MAGIC);
        out.u16(VERSION);
        out.u16(0);
        out.u64(self.sequence);
        out.u64(self.durable);
        out.u32(self.meta_bytes);
        out.u32(self.meta_checksum);
        out.u64(self.data_bytes);
        out.u32(checksum(log_id, &out.0));
        out.u32(0);
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&out.0);
        bytes
    }

    /// The header in `bytes`; `None` where it is none of this log's.
    pub fn decode(log_id: u64, bytes: &[u8]) -> Option<Self> {
        let covered = bytes.get(..40)?;
        let mut input = Decoder(bytes);
        if input.bytes(4)? != MAGIC || input.u16()? != VERSION || input.u16()? != 0 {
            return None;
        }
        let header = Self {
            sequence: input.u64()?,
            durable: input.u64()?,
            meta_bytes: input.u32()?,
            meta_checksum: input.u32()?,
            data_bytes: input.u64()?,
        };
        let intact = input.u32()? == checksum(log_id, covered) && input.u32()? == 0;
        (intact && header.meta_bytes as usize <= META_BYTES_MAX).then_some(header)
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.meta_bytes) + self.data_bytes
    }
}

fn checksum(log_id: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&log_id.to_le_bytes()), bytes)
}

/// A topic as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicMeta {
    pub id: u32,
    pub name: String,
    /// 0: the topic of this id is deleted, and its id is never given again.
    pub partitions: i32,
    pub compacted: bool,
    pub settings: BTreeMap<String, String>,
}

impl TopicMeta {
    /// What says that the topic `id` is deleted.
    pub fn deleted(id: u32) -> Self {
        Self { id, name: String::new(), partitions: 0, compacted: false, settings: BTreeMap::new() }
    }
}

/// A position that an application has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PositionMeta {
    pub application: String,
    pub partition: PartitionKey,
    pub offset: i64,
    pub metadata: String,
}

/// Where a partition begins, and the offset that its next row gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeMeta {
    pub partition: PartitionKey,
    pub begin: i64,
    pub next: i64,
}

/// Where a chunk belongs. Its bytes follow those of the chunk before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub partition: PartitionKey,
    /// The offset of its first row.
    pub base: i64,
    /// The offset after its last, and after those that compaction took away.
    pub next: i64,
    pub max_timestamp: i64,
    pub bytes: u32,
    pub checksum: u32,
}

/// What a frame does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The first frame of a segment: topics, positions and ranges are all that there are.
    pub snapshot: bool,
    /// Segments that begin before this sequence are superseded; what is still needed of them is in this frame.
    pub segments_from: u64,
    pub topics: Vec<TopicMeta>,
    pub positions: Vec<PositionMeta>,
    pub ranges: Vec<RangeMeta>,
    pub chunks: Vec<ChunkMeta>,
}

impl Meta {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(u8::from(self.snapshot));
        out.u64(self.segments_from);
        out.u32(self.topics.len() as u32);
        for topic in &self.topics {
            out.u32(topic.id);
            out.text(&topic.name);
            out.i32(topic.partitions);
            out.u8(u8::from(topic.compacted));
            out.u32(topic.settings.len() as u32);
            for (name, value) in &topic.settings {
                out.text(name);
                out.text(value);
            }
        }
        out.u32(self.positions.len() as u32);
        for position in &self.positions {
            out.text(&position.application);
            encode_partition(&mut out, position.partition);
            out.i64(position.offset);
            out.text(&position.metadata);
        }
        out.u32(self.ranges.len() as u32);
        for range in &self.ranges {
            encode_partition(&mut out, range.partition);
            out.i64(range.begin);
            out.i64(range.next);
        }
        out.u32(self.chunks.len() as u32);
        self.chunks.iter().for_each(|chunk| encode_chunk(&mut out, chunk));
        out.0
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Decoder(bytes);
        let mut meta = Self { snapshot: input.u8()? == 1, segments_from: input.u64()?, ..Self::default() };
        for _ in 0..input.count(17)? {
            let (id, name) = (input.u32()?, input.text()?.to_owned());
            let (partitions, compacted) = (input.i32()?, input.u8()? == 1);
            let mut settings = BTreeMap::new();
            for _ in 0..input.count(8)? {
                settings.insert(input.text()?.to_owned(), input.text()?.to_owned());
            }
            meta.topics.push(TopicMeta { id, name, partitions, compacted, settings });
        }
        for _ in 0..input.count(24)? {
            let application = input.text()?.to_owned();
            let (partition, offset) = (decode_partition(&mut input)?, input.i64()?);
            meta.positions.push(PositionMeta { application, partition, offset, metadata: input.text()?.to_owned() });
        }
        for _ in 0..input.count(24)? {
            let (partition, begin, next) = (decode_partition(&mut input)?, input.i64()?, input.i64()?);
            meta.ranges.push(RangeMeta { partition, begin, next });
        }
        for _ in 0..input.count(CHUNK_META_BYTES)? {
            meta.chunks.push(decode_chunk(&mut input)?);
        }
        input.0.is_empty().then_some(meta)
    }
}

/// Bytes of an encoded [`ChunkMeta`].
pub(crate) const CHUNK_META_BYTES: usize = 40;

pub(crate) fn encode_chunk(out: &mut Encoder, chunk: &ChunkMeta) {
    encode_partition(out, chunk.partition);
    out.i64(chunk.base);
    out.i64(chunk.next);
    out.i64(chunk.max_timestamp);
    out.u32(chunk.bytes);
    out.u32(chunk.checksum);
}

pub(crate) fn decode_chunk(input: &mut Decoder<'_>) -> Option<ChunkMeta> {
    Some(ChunkMeta {
        partition: decode_partition(input)?,
        base: input.i64()?,
        next: input.i64()?,
        max_timestamp: input.i64()?,
        bytes: input.u32()?,
        checksum: input.u32()?,
    })
}

fn encode_partition(out: &mut Encoder, (topic, partition): PartitionKey) {
    out.u32(topic);
    out.i32(partition);
}

fn decode_partition(input: &mut Decoder<'_>) -> Option<PartitionKey> {
    Some((input.u32()?, input.i32()?))
}

/// Header and meta of a frame, ready to be written before its `data_bytes` bytes of chunks.
pub(crate) fn encode_front(log_id: u64, sequence: u64, durable: u64, meta: &Meta, data_bytes: usize) -> Vec<u8> {
    let encoded = meta.encode();
    let header = Header {
        sequence,
        durable,
        meta_bytes: encoded.len() as u32,
        meta_checksum: crc32c::crc32c(&encoded),
        data_bytes: data_bytes as u64,
    };
    let mut front = Vec::with_capacity(HEADER_BYTES + encoded.len());
    front.extend_from_slice(&header.encode(log_id));
    front.extend_from_slice(&encoded);
    front
}
