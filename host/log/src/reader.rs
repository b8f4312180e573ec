//! The way back: from a partition and an offset to rows. Files are read outside of all locks.

use std::sync::Arc;

use weir_core::record::{RecordBatch, TopicPartition};

use crate::chunk::{ChunkView, RowsBuilder};
use crate::error::{Corruption, ReadError};
use crate::frame::PartitionKey;
use crate::log::EmbeddedLog;
use crate::segment::{ChunkRef, Segment, SegmentIndex, load_index};
use crate::state::Plan;

impl EmbeddedLog {
    /// Committed rows of a partition from `offset` on, at most `rows` of them and about `bytes` bytes; and where to go on.
    /// Does not wait.
    pub(crate) fn read_rows(
        &self,
        partition: &TopicPartition,
        key: PartitionKey,
        offset: i64,
        rows: usize,
        bytes: usize,
    ) -> Result<(RecordBatch, i64), ReadError> {
        let (begin, end) = self.state().partition(key).map_or((0, 0), |known| (known.begin, known.next));
        let mut offset = offset;
        if offset < begin {
            tracing::warn!(%partition, from = offset, to = begin, "rows expired before they were read; going on behind them");
            offset = begin;
        }
        let mut builder = RowsBuilder::default();
        let mut buffer = Vec::new();
        while builder.len() < rows && builder.bytes() < bytes && offset < end {
            let plan = self.state().plan(key, offset, rows - builder.len(), bytes - builder.bytes());
            match plan {
                // Compaction or retention took the rest.
                Plan::Nothing => offset = end,
                Plan::Load(number, segment) => drop(self.index(number, &segment)?),
                Plan::Chunks(segment, chunks) => {
                    for chunk in chunks {
                        let view = read_chunk(&segment, &chunk, &mut buffer)?;
                        let first = view.row_at(chunk.base, offset);
                        let last = view.len().min(first + rows - builder.len());
                        builder.extend(&view, chunk.base, first..last);
                        offset = if last == view.len() { chunk.next } else { view.offset(chunk.base, last) };
                    }
                }
            }
        }
        let damaged = |what| Corruption::new(&self.dir, 0, what);
        Ok((builder.into_batch().map_err(damaged)?, offset))
    }

    /// The first offset from `offset` on whose timestamp is `timestamp` or later.
    pub(crate) fn find_timestamp(&self, key: PartitionKey, timestamp: i64) -> Result<i64, ReadError> {
        let (extents, end) = {
            let state = self.state();
            let Some(partition) = state.partition(key) else { return Ok(0) };
            (partition.extents.clone(), partition.next)
        };
        let mut buffer = Vec::new();
        for extent in extents.into_iter().filter(|extent| extent.max_timestamp >= timestamp) {
            let begin = self.state().partition(key).map_or(0, |partition| partition.begin);
            let mut offset = extent.first.max(begin);
            while offset < extent.next {
                let plan = self.state().plan(key, offset, usize::MAX >> 1, usize::MAX >> 1);
                let (segment, chunks) = match plan {
                    Plan::Nothing => break,
                    Plan::Load(number, segment) => {
                        self.index(number, &segment)?;
                        continue;
                    }
                    Plan::Chunks(segment, chunks) => (segment, chunks),
                };
                for chunk in chunks {
                    offset = offset.max(chunk.next);
                    if chunk.max_timestamp < timestamp {
                        continue;
                    }
                    let view = read_chunk(&segment, &chunk, &mut buffer)?;
                    let found = (0..view.len())
                        .find(|&row| view.timestamp(row) >= timestamp && view.offset(chunk.base, row) >= begin);
                    if let Some(row) = found {
                        return Ok(view.offset(chunk.base, row));
                    }
                }
            }
        }
        Ok(end)
    }

    /// The index of a sealed segment, kept from now on.
    pub(crate) fn index(&self, number: u64, segment: &Segment) -> Result<Arc<SegmentIndex>, ReadError> {
        let index = Arc::new(load_index(&*self.disk, &self.dir, number, segment, self.log_id)?);
        self.state().keep_index(number, index.clone());
        Ok(index)
    }
}

/// Reads a chunk into `buffer` and checks it.
pub(crate) fn read_chunk<'a>(
    segment: &Segment,
    chunk: &ChunkRef,
    buffer: &'a mut Vec<u8>,
) -> Result<ChunkView<'a>, ReadError> {
    buffer.resize(chunk.bytes as usize, 0);
    segment.file.read_exact_at(buffer, chunk.position).map_err(|cause| ReadError::Io(segment.path.clone(), cause))?;
    let damaged = |what: &str| ReadError::Corrupt(Corruption::new(&segment.path, chunk.position, what));
    if crc32c::crc32c(buffer) != chunk.checksum {
        return Err(damaged("rows fail their checksum"));
    }
    ChunkView::parse(buffer).ok_or_else(|| damaged("a chunk contradicts itself"))
}
