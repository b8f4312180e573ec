//! Segments: files of frames, `<dir>/log/<sequence of the first frame>.seg`. A segment begins with [`SEGMENT_HEADER_BYTES`]
//! and a snapshot frame; both are durable before the file gets its name, so a segment without them is damaged, never torn.
//!
//! Beside a sealed segment lies its index, `.idx`: a copy of what a scan would find. Lost or damaged, it is made anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{Decoder, Encoder};
use crate::config::CHUNK_BYTES_MAX;
use crate::disk::{Disk, DiskFile};
use crate::error::{Corruption, ReadError};
use crate::frame::{
    CHUNK_META_BYTES, ChunkMeta, HEADER_BYTES, Header, MAGIC, Meta, PartitionKey, decode_chunk, encode_chunk,
};

const SEGMENT_MAGIC: [u8; 8] = *b"WEIRLOG1";
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 32;
const INDEX_MAGIC: [u8; 8] = *b"WEIRIDX1";
/// How much a scan reads ahead.
const WINDOW_BYTES: usize = CHUNK_BYTES_MAX;

/// A segment's file by the sequence of its first frame.
#[derive(Clone)]
pub(crate) struct Segment {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    pub bytes: u64,
}

pub(crate) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

pub(crate) fn index_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.idx"))
}

/// The first bytes of a segment.
pub(crate) fn encode_segment_header(log_id: u64, first: u64) -> Vec<u8> {
    let mut out = Encoder(SEGMENT_MAGIC.to_vec());
    out.u64(log_id);
    out.u64(first);
    out.u32(crc32c::crc32c(&out.0));
    out.u32(0);
    out.0
}

/// The log's number, from a segment's first bytes.
pub(crate) fn decode_segment_header(bytes: &[u8], first: u64) -> Result<u64, &'static str> {
    let mut input = Decoder(bytes);
    let mut read = || {
        let (magic, log_id, sequence) = (input.bytes(8)?, input.u64()?, input.u64()?);
        let intact = input.u32()? == crc32c::crc32c(&bytes[..24]) && input.u32()? == 0;
        Some((magic == SEGMENT_MAGIC, log_id, sequence, intact))
    };
    match read() {
        None => Err("the segment's header is cut short"),
        Some((false, ..)) => Err("the segment's header is not one of a log of this version"),
        Some((_, _, _, false)) => Err("the segment's header fails its checksum"),
        Some((_, _, sequence, _)) if sequence != first => Err("the segment's header names another segment"),
        Some((_, log_id, ..)) => Ok(log_id),
    }
}

/// A chunk and where its bytes lie in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub base: i64,
    pub next: i64,
    pub max_timestamp: i64,
    pub position: u64,
    pub bytes: u32,
    pub checksum: u32,
}

/// The chunks of a segment by partition, in offset order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    pub chunks: BTreeMap<PartitionKey, Vec<ChunkRef>>,
    /// The sequence after the segment's last frame.
    pub next_sequence: u64,
    /// Bytes of the segment.
    pub bytes: u64,
}

impl SegmentIndex {
    /// Takes in the chunks of a frame whose data begins at `position`.
    pub fn add(&mut self, mut position: u64, chunks: &[ChunkMeta]) {
        for chunk in chunks {
            let list = self.chunks.entry(chunk.partition).or_default();
            // Rows moved here from older segments come after younger ones in the file.
            let at = list.partition_point(|known| known.base < chunk.base);
            let &ChunkMeta { base, next, max_timestamp, bytes, checksum, .. } = chunk;
            list.insert(at, ChunkRef { base, next, max_timestamp, position, bytes, checksum });
            position += u64::from(chunk.bytes);
        }
    }

    /// The chunks of a partition from `offset` on.
    pub fn at_offset(&self, partition: PartitionKey, offset: i64) -> &[ChunkRef] {
        let list = self.chunks.get(&partition).map_or(&[][..], Vec::as_slice);
        &list[list.partition_point(|chunk| chunk.next <= offset)..]
    }

    pub fn encode(&self, log_id: u64) -> Vec<u8> {
        let mut out = Encoder(INDEX_MAGIC.to_vec());
        out.u64(log_id);
        out.u64(self.next_sequence);
        out.u64(self.bytes);
        out.u32(self.chunks.values().map(Vec::len).sum::<usize>() as u32);
        for (&partition, chunks) in &self.chunks {
            for &ChunkRef { base, next, max_timestamp, position, bytes, checksum } in chunks {
                encode_chunk(&mut out, &ChunkMeta { partition, base, next, max_timestamp, bytes, checksum });
                out.u64(position);
            }
        }
        out.u32(crc32c::crc32c(&out.0));
        out.0
    }

    pub fn decode(bytes: &[u8], log_id: u64) -> Option<Self> {
        let (covered, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if Decoder(sum).u32()? != crc32c::crc32c(covered) {
            return None;
        }
        let mut input = Decoder(covered);
        if input.bytes(8)? != INDEX_MAGIC || input.u64()? != log_id {
            return None;
        }
        let mut index = Self { next_sequence: input.u64()?, bytes: input.u64()?, ..Self::default() };
        for _ in 0..input.count(CHUNK_META_BYTES + 8)? {
            let chunk = decode_chunk(&mut input)?;
            let ChunkMeta { base, next, max_timestamp, bytes, checksum, .. } = chunk;
            let chunk_ref = ChunkRef { base, next, max_timestamp, position: input.u64()?, bytes, checksum };
            index.chunks.entry(chunk.partition).or_default().push(chunk_ref);
        }
        input.0.is_empty().then_some(index)
    }
}

/// Reads a file from the front, a window ahead.
struct Window<'a> {
    file: &'a dyn DiskFile,
    bytes: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile) -> std::io::Result<Self> {
        Ok(Self { file, bytes: file.len()?, start: 0, buffer: Vec::new() })
    }

    /// `count` bytes at `position`, fewer where the file ends.
    fn get(&mut self, position: u64, count: usize) -> std::io::Result<&[u8]> {
        let wanted = (count as u64).min(self.bytes.saturating_sub(position)) as usize;
        let end = self.start + self.buffer.len() as u64;
        if position < self.start || position + wanted as u64 > end {
            let ahead = (wanted.max(WINDOW_BYTES) as u64).min(self.bytes.saturating_sub(position)) as usize;
            self.buffer.resize(ahead, 0);
            self.file.read_exact_at(&mut self.buffer, position)?;
            self.start = position;
        }
        let from = (position - self.start) as usize;
        Ok(&self.buffer[from..from + wanted])
    }
}

/// What a scan found.
pub(crate) struct Scanned {
    pub index: SegmentIndex,
    /// What each frame does, and where its chunks begin.
    pub metas: Vec<(u64, Meta)>,
    /// The good frames end here.
    pub end: u64,
    /// What lies beyond: the length of a torn tail.
    pub torn: u64,
    pub log_id: u64,
}

/// Reads and checks every frame of a segment.
///
/// A bad frame at the end of the last segment is a torn tail if no frame behind it was written after it had become
/// durable; of a sealed segment no frame may be bad.
pub(crate) fn scan(file: &dyn DiskFile, path: &Path, first: u64, sealed: bool) -> Result<Scanned, ReadError> {
    let io = |cause| ReadError::Io(path.to_path_buf(), cause);
    let mut window = Window::new(file).map_err(io)?;
    let header = window.get(0, SEGMENT_HEADER_BYTES as usize).map_err(io)?;
    let log_id = decode_segment_header(header, first).map_err(|what| Corruption::new(path, 0, what))?;
    let mut scanned = Scanned {
        index: SegmentIndex { next_sequence: first, ..SegmentIndex::default() },
        metas: Vec::new(),
        end: SEGMENT_HEADER_BYTES,
        torn: 0,
        log_id,
    };
    while scanned.end < window.bytes {
        let sequence = scanned.index.next_sequence;
        let fault = match read_frame(&mut window, scanned.end, log_id, sequence).map_err(io)? {
            Ok(frame) => {
                let data = scanned.end + HEADER_BYTES as u64 + u64::from(frame.header.meta_bytes);
                scanned.index.add(data, &frame.meta.chunks);
                scanned.index.next_sequence += 1;
                scanned.end += frame.header.frame_bytes();
                scanned.metas.push((data, frame.meta));
                continue;
            }
            Err(fault) => fault,
        };
        let was_durable = sealed
            || scanned.metas.is_empty()
            || later_frame(&mut window, scanned.end + 1, log_id, sequence).map_err(io)?;
        if was_durable {
            return Err(Corruption::new(path, scanned.end, fault).into());
        }
        scanned.torn = window.bytes - scanned.end;
        break;
    }
    if !scanned.metas.first().is_some_and(|(_, meta)| meta.snapshot) {
        return Err(Corruption::new(path, scanned.end, "the segment does not begin with a snapshot").into());
    }
    scanned.index.bytes = scanned.end;
    Ok(scanned)
}

struct Frame {
    header: Header,
    meta: Meta,
}

type Checked = Result<Frame, &'static str>;

fn read_frame(window: &mut Window<'_>, position: u64, log_id: u64, sequence: u64) -> std::io::Result<Checked> {
    let Some(header) = Header::decode(log_id, window.get(position, HEADER_BYTES)?) else {
        return Ok(Err("a frame's header fails its checksum"));
    };
    if header.sequence != sequence {
        return Ok(Err("a frame is not the next one in sequence"));
    }
    if header.frame_bytes() > window.bytes - position {
        return Ok(Err("a frame is cut short"));
    }
    let position = position + HEADER_BYTES as u64;
    let encoded = window.get(position, header.meta_bytes as usize)?;
    if crc32c::crc32c(encoded) != header.meta_checksum {
        return Ok(Err("a frame's table fails its checksum"));
    }
    let Some(meta) = Meta::decode(encoded) else {
        return Ok(Err("a frame's table contradicts itself"));
    };
    let mut data = position + u64::from(header.meta_bytes);
    if meta.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum::<u64>() != header.data_bytes {
        return Ok(Err("a frame's chunks are not as long as its data"));
    }
    for chunk in &meta.chunks {
        if crc32c::crc32c(window.get(data, chunk.bytes as usize)?) != chunk.checksum {
            return Ok(Err("a frame's rows fail their checksum"));
        }
        data += u64::from(chunk.bytes);
    }
    Ok(Ok(Frame { header, meta }))
}

/// Whether a header lies behind a bad frame that was written after frame `sequence` had become durable.
fn later_frame(window: &mut Window<'_>, from: u64, log_id: u64, sequence: u64) -> std::io::Result<bool> {
    let mut position = from;
    while position + HEADER_BYTES as u64 <= window.bytes {
        let bytes = window.get(position, WINDOW_BYTES)?;
        let candidates = bytes.len() - (HEADER_BYTES - 1);
        for at in 0..candidates {
            if bytes[at] == MAGIC[0]
                && bytes[at..].starts_with(&MAGIC)
                && let Some(header) = Header::decode(log_id, &bytes[at..])
                && header.durable > sequence
            {
                return Ok(true);
            }
        }
        position += candidates as u64;
    }
    Ok(false)
}

/// The index of a sealed segment: from its file, or by a scan, which writes the file anew.
pub(crate) fn load_index(
    disk: &dyn Disk,
    dir: &Path,
    first: u64,
    segment: &Segment,
    log_id: u64,
) -> Result<SegmentIndex, ReadError> {
    let path = index_path(dir, first);
    let read = || {
        let file = disk.open(&path).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
        file.read_exact_at(&mut bytes, 0).ok()?;
        SegmentIndex::decode(&bytes, log_id).filter(|index| index.bytes == segment.bytes)
    };
    if let Some(index) = read() {
        return Ok(index);
    }
    tracing::info!(segment = %segment.path.display(), "no usable index: scanning the segment");
    let index = scan(&*segment.file, &segment.path, first, true)?.index;
    write_index(disk, &path, &index, log_id);
    Ok(index)
}

/// Writes an index file. It may fail or be lost: then the segment is scanned.
pub(crate) fn write_index(disk: &dyn Disk, path: &Path, index: &SegmentIndex, log_id: u64) {
    let written = disk.create(path).and_then(|file| file.write_all_at(&index.encode(log_id), 0));
    if let Err(cause) = written {
        tracing::warn!(path = %path.display(), %cause, "cannot write an index; the segment will be scanned instead");
    }
}
