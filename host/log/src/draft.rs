use std::collections::BTreeMap;

use weir_core::record::{RecordBatch, Rows};

use crate::chunk::{Row, RowsBuilder};
use crate::config::TRANSACTION_BYTES_MAX;
use crate::frame::{ChunkMeta, PartitionKey, PositionMeta};

/// A chunk that does not know its offsets yet: they are given when its frame is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftChunk {
    pub partition: PartitionKey,
    pub rows: i64,
    max_timestamp: i64,
    bytes: u32,
    checksum: u32,
}

impl DraftChunk {
    pub fn at(&self, base: i64) -> ChunkMeta {
        let &Self { partition, rows, max_timestamp, bytes, checksum } = self;
        ChunkMeta { partition, base, next: base + rows, max_timestamp, bytes, checksum }
    }
}

/// An open transaction: what will be one frame. To abort is to drop it.
#[derive(Default)]
pub(crate) struct Draft {
    /// Rows not yet cut into chunks, by topic and partition.
    open: BTreeMap<u32, Vec<RowsBuilder>>,
    pub chunks: Vec<DraftChunk>,
    /// The chunks' bytes.
    pub data: Vec<u8>,
    pub positions: Vec<PositionMeta>,
    /// Rows before these offsets are to go.
    pub purges: Vec<(PartitionKey, i64)>,
}

impl Draft {
    /// Adds rows for partitions of one topic, which has `count` of them.
    pub fn add(&mut self, topic: u32, count: usize, partitions: &[i32], rows: &Rows) -> Result<(), String> {
        if partitions.len() != rows.len() {
            return Err(format!("{} rows came with {} partitions", rows.len(), partitions.len()));
        }
        let Self { open, chunks, data, .. } = self;
        let open = open.entry(topic).or_default();
        open.resize_with(count.max(open.len()), RowsBuilder::default);
        for (index, &partition) in partitions.iter().enumerate() {
            let (key, value) = (rows.keys.get(index), rows.values.get(index));
            let slot = usize::try_from(partition).ok().and_then(|partition| open.get_mut(partition));
            let Some(builder) = slot else {
                return Err(format!("there is no partition {partition}: the topic has {count}"));
            };
            if builder.is_full_for(key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) {
                close((topic, partition), builder, chunks, data);
            }
            let headers = rows.headers.as_ref().map(|headers| headers.row(index));
            builder.push(Row { timestamp: rows.timestamps[index], key, value, headers });
        }
        self.check_size()
    }

    /// Adds a batch for one partition.
    pub fn add_batch(&mut self, partition: PartitionKey, batch: &RecordBatch) -> Result<(), String> {
        let mut builder = RowsBuilder::default();
        for row in 0..batch.len() {
            let (key, value) = (batch.keys.get(row), batch.values.get(row));
            if builder.is_full_for(key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) {
                close(partition, &mut builder, &mut self.chunks, &mut self.data);
            }
            let headers = batch.headers.as_ref().map(|headers| headers.row(row));
            builder.push(Row { timestamp: batch.timestamps[row], key, value, headers });
        }
        if !builder.is_empty() {
            close(partition, &mut builder, &mut self.chunks, &mut self.data);
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), String> {
        if self.data.len() > TRANSACTION_BYTES_MAX {
            return Err(format!("a transaction holds at most {TRANSACTION_BYTES_MAX} bytes; commit more often"));
        }
        Ok(())
    }

    /// Cuts what is open into chunks.
    pub fn close(&mut self) {
        for (topic, builders) in std::mem::take(&mut self.open) {
            for (partition, mut builder) in builders.into_iter().enumerate() {
                if !builder.is_empty() {
                    close((topic, partition as i32), &mut builder, &mut self.chunks, &mut self.data);
                }
            }
        }
    }
}

/// Writes the rows of `builder` as a chunk.
fn close(partition: PartitionKey, builder: &mut RowsBuilder, chunks: &mut Vec<DraftChunk>, data: &mut Vec<u8>) {
    let (rows, max_timestamp, start) = (builder.len() as i64, builder.max_timestamp(), data.len());
    builder.write(data);
    let chunk = &data[start..];
    let (bytes, checksum) = (chunk.len() as u32, crc32c::crc32c(chunk));
    chunks.push(DraftChunk { partition, rows, max_timestamp, bytes, checksum });
}
