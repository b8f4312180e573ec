//! Chunks: rows of one partition laid out in columns, so that reading them back is a few copies.
//!
//! A chunk is `rows u32, flags u32, key bytes u32, value bytes u32, headers u32, name bytes u32, header value bytes u32,
//! 0 u32`, then timestamps, offsets (where flagged; else they count up from the chunk's base), key ends, value ends, the
//! bitmaps of present keys and values (where flagged), keys, values, and where flagged the headers: row ends, name ends,
//! value ends, bitmap (where flagged), names, values. All numbers are little-endian. Its checksum stands in its frame.

use weir_core::record::{Column, Headers, RecordBatch};

use crate::codec::{Decoder, Encoder};
use crate::config::{CHUNK_BYTES_MAX, CHUNK_ROWS_MAX};

const KEY_NULLS: u32 = 1;
const VALUE_NULLS: u32 = 2;
const HEADERS: u32 = 4;
const HEADER_NULLS: u32 = 8;
const OFFSETS: u32 = 16;

/// One row as it is put in, or taken out.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a, H> {
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Name and value, in order; none: no headers.
    pub headers: Option<H>,
}

/// Cells on their way into a chunk or a batch.
#[derive(Default)]
struct Cells {
    data: Vec<u8>,
    ends: Vec<u32>,
    /// Where a cell is null: which are present, a byte each.
    present: Option<Vec<bool>>,
}

impl Cells {
    #[inline]
    fn push(&mut self, cell: Option<&[u8]>) {
        if cell.is_none() && self.present.is_none() {
            self.present = Some(vec![true; self.ends.len()]);
        }
        if let Some(present) = &mut self.present {
            present.push(cell.is_some());
        }
        self.data.extend_from_slice(cell.unwrap_or_default());
        self.ends.push(self.data.len() as u32);
    }

    /// Appends the cells `rows` of `column`, by whole copies.
    fn extend(&mut self, column: &ColumnView<'_>, rows: std::ops::Range<usize>) {
        let (start, end) = (column.start(rows.start), column.start(rows.end));
        let base = self.data.len() as u32;
        self.data.extend_from_slice(&column.data[start as usize..end as usize]);
        if self.present.is_some() || column.validity.is_some() {
            let before = self.ends.len();
            let present = self.present.get_or_insert_with(|| vec![true; before]);
            present.extend(rows.clone().map(|row| column.present(row)));
        }
        self.ends.extend(column.ends[rows].iter().map(|end| base + (u32::from_le_bytes(*end) - start)));
    }

    fn validity(&self) -> Option<Vec<u8>> {
        // Cells cut out of others may have left all nulls behind.
        let present = self.present.as_ref().filter(|present| present.contains(&false))?;
        let mut bitmap = vec![0; present.len().div_ceil(8)];
        present
            .iter()
            .enumerate()
            .filter(|(_, present)| **present)
            .for_each(|(cell, _)| bitmap[cell / 8] |= 1 << (cell % 8));
        Some(bitmap)
    }

    fn finish(self) -> Result<Column, String> {
        let validity = self.validity();
        Column::from_parts(self.data, self.ends, validity).map_err(|malformed| malformed.to_string())
    }

    fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.present = None;
    }
}

/// Rows gathered for a chunk, or chunks gathered for a batch.
#[derive(Default)]
pub(crate) struct RowsBuilder {
    keys: Cells,
    values: Cells,
    timestamps: Vec<i64>,
    /// Of each row where they do not just count up; empty otherwise.
    offsets: Vec<i64>,
    header_row_ends: Vec<u32>,
    names: Cells,
    header_values: Cells,
}

impl RowsBuilder {
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Bytes of cells.
    pub fn bytes(&self) -> usize {
        self.keys.data.len() + self.values.data.len() + self.names.data.len() + self.header_values.data.len()
    }

    /// Whether a chunk of these rows should be closed before a row with `bytes` bytes of cells.
    pub fn is_full_for(&self, bytes: usize) -> bool {
        self.len() >= CHUNK_ROWS_MAX || (!self.is_empty() && self.bytes() + bytes > CHUNK_BYTES_MAX)
    }

    /// The highest timestamp; the lowest number there is where there is no row.
    pub fn max_timestamp(&self) -> i64 {
        self.timestamps.iter().copied().max().unwrap_or(i64::MIN)
    }

    #[inline]
    pub fn push<'a, H>(&mut self, row: Row<'_, H>)
    where
        H: Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    {
        if let Some(headers) = row.headers {
            let mut headers = headers.peekable();
            if headers.peek().is_some() || !self.header_row_ends.is_empty() {
                self.header_row_ends.resize(self.timestamps.len(), 0);
                for (name, value) in headers {
                    self.names.push(Some(name));
                    self.header_values.push(value);
                }
                self.header_row_ends.push(self.names.ends.len() as u32);
            }
        } else if !self.header_row_ends.is_empty() {
            self.header_row_ends.push(self.names.ends.len() as u32);
        }
        self.keys.push(row.key);
        self.values.push(row.value);
        self.timestamps.push(row.timestamp);
    }

    /// Appends the rows `rows` of a chunk whose first offset is `base`.
    pub fn extend(&mut self, chunk: &ChunkView<'_>, base: i64, rows: std::ops::Range<usize>) {
        self.keys.extend(&chunk.keys, rows.clone());
        self.values.extend(&chunk.values, rows.clone());
        if let Some(headers) = &chunk.headers {
            self.header_row_ends.resize(self.timestamps.len(), 0);
            let cells = headers.start(rows.start)..headers.start(rows.end);
            let (first, before) = (cells.start as u32, self.names.ends.len() as u32);
            self.names.extend(&headers.names, cells.clone());
            self.header_values.extend(&headers.values, cells);
            let ends = headers.row_ends[rows.clone()].iter().map(|end| before + (u32::from_le_bytes(*end) - first));
            self.header_row_ends.extend(ends);
        } else if !self.header_row_ends.is_empty() {
            let end = self.names.ends.len() as u32;
            self.header_row_ends.resize(self.timestamps.len() + rows.len(), end);
        }
        self.timestamps.extend(chunk.timestamps[rows.clone()].iter().map(|cell| i64::from_le_bytes(*cell)));
        self.offsets.extend(rows.map(|row| chunk.offset(base, row)));
    }

    /// Writes the rows as a chunk to the end of `out` and is empty again.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let has_headers = !self.names.ends.is_empty();
        let (key_validity, value_validity) = (self.keys.validity(), self.values.validity());
        let header_validity = self.header_values.validity();
        let flags = flag(key_validity.is_some(), KEY_NULLS)
            | flag(value_validity.is_some(), VALUE_NULLS)
            | flag(has_headers, HEADERS)
            | flag(header_validity.is_some(), HEADER_NULLS)
            | flag(!self.offsets.is_empty(), OFFSETS);
        let rows = self.len();
        out.reserve(32 + self.bytes() + rows * 25 + self.names.ends.len() * 9 + 64);
        let mut encoder = Encoder(std::mem::take(out));
        encoder.u32(rows as u32);
        encoder.u32(flags);
        encoder.u32(self.keys.data.len() as u32);
        encoder.u32(self.values.data.len() as u32);
        encoder.u32(self.names.ends.len() as u32);
        encoder.u32(self.names.data.len() as u32);
        encoder.u32(self.header_values.data.len() as u32);
        encoder.u32(0);
        *out = encoder.0;
        out.extend(self.timestamps.iter().flat_map(|cell| cell.to_le_bytes()));
        out.extend(self.offsets.iter().flat_map(|cell| cell.to_le_bytes()));
        for ends in [&self.keys.ends, &self.values.ends] {
            out.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
        }
        out.extend_from_slice(key_validity.as_deref().unwrap_or_default());
        out.extend_from_slice(value_validity.as_deref().unwrap_or_default());
        out.extend_from_slice(&self.keys.data);
        out.extend_from_slice(&self.values.data);
        if has_headers {
            for ends in [&self.header_row_ends, &self.names.ends, &self.header_values.ends] {
                out.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
            }
            out.extend_from_slice(header_validity.as_deref().unwrap_or_default());
            out.extend_from_slice(&self.names.data);
            out.extend_from_slice(&self.header_values.data);
        }
        self.clear();
    }

    fn clear(&mut self) {
        for cells in [&mut self.keys, &mut self.values, &mut self.names, &mut self.header_values] {
            cells.clear();
        }
        self.timestamps.clear();
        self.offsets.clear();
        self.header_row_ends.clear();
    }

    /// The rows as a batch. Their offsets must have been given.
    pub fn into_batch(self) -> Result<RecordBatch, String> {
        let headers = if self.names.ends.is_empty() {
            None // rows of chunks with headers, but none of those that have any
        } else {
            let (names, values) = (self.names.finish()?, self.header_values.finish()?);
            let headers = Headers::from_parts(self.header_row_ends, names, values);
            Some(headers.map_err(|malformed| malformed.to_string())?)
        };
        debug_assert_eq!(self.offsets.len(), self.timestamps.len());
        Ok(RecordBatch {
            keys: self.keys.finish()?,
            values: self.values.finish()?,
            timestamps: self.timestamps,
            headers,
            offsets: self.offsets,
        })
    }
}

/// A column as it lies in a chunk.
struct ColumnView<'a> {
    data: &'a [u8],
    ends: &'a [[u8; 4]],
    validity: Option<&'a [u8]>,
}

impl<'a> ColumnView<'a> {
    fn start(&self, row: usize) -> u32 {
        if row == 0 { 0 } else { u32::from_le_bytes(self.ends[row - 1]) }
    }

    fn present(&self, row: usize) -> bool {
        self.validity.is_none_or(|bitmap| bitmap[row / 8] & (1 << (row % 8)) != 0)
    }

    fn get(&self, row: usize) -> Option<&'a [u8]> {
        self.present(row).then(|| &self.data[self.start(row) as usize..self.start(row + 1) as usize])
    }

    /// Cells never run backwards nor beyond the data.
    fn checked(self) -> Option<Self> {
        let mut start = 0;
        for end in self.ends {
            let end = u32::from_le_bytes(*end);
            if end < start {
                return None;
            }
            start = end;
        }
        (start as usize == self.data.len()).then_some(self)
    }
}

struct HeadersView<'a> {
    row_ends: &'a [[u8; 4]],
    names: ColumnView<'a>,
    values: ColumnView<'a>,
}

impl HeadersView<'_> {
    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { u32::from_le_bytes(self.row_ends[row - 1]) as usize }
    }
}

/// A chunk's columns where they lie, checked.
pub(crate) struct ChunkView<'a> {
    timestamps: &'a [[u8; 8]],
    offsets: Option<&'a [[u8; 8]]>,
    keys: ColumnView<'a>,
    values: ColumnView<'a>,
    headers: Option<HeadersView<'a>>,
}

impl<'a> ChunkView<'a> {
    /// The columns of `bytes`; `None` where they contradict one another.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut input = Decoder(bytes);
        let mut head = [0u32; 8];
        for number in &mut head {
            *number = input.u32()?;
        }
        let [rows, flags, key_bytes, value_bytes, headers, name_bytes, header_bytes, zero] = head.map(|n| n as usize);
        let flags = flags as u32;
        if zero != 0 || rows > CHUNK_ROWS_MAX {
            return None;
        }
        let bitmap = |input: &mut Decoder<'a>, flag: u32, cells: usize| {
            if flags & flag == 0 { Some(None) } else { input.bytes(cells.div_ceil(8)).map(Some) }
        };
        let timestamps = eights(&mut input, rows)?;
        let offsets = if flags & OFFSETS == 0 { None } else { Some(eights(&mut input, rows)?) };
        let (key_ends, value_ends) = (fours(&mut input, rows)?, fours(&mut input, rows)?);
        let key_validity = bitmap(&mut input, KEY_NULLS, rows)?;
        let value_validity = bitmap(&mut input, VALUE_NULLS, rows)?;
        let keys = ColumnView { data: input.bytes(key_bytes)?, ends: key_ends, validity: key_validity };
        let values = ColumnView { data: input.bytes(value_bytes)?, ends: value_ends, validity: value_validity };
        let headers = if flags & HEADERS == 0 {
            None
        } else {
            let row_ends = fours(&mut input, rows)?;
            let (name_ends, value_ends) = (fours(&mut input, headers)?, fours(&mut input, headers)?);
            let validity = bitmap(&mut input, HEADER_NULLS, headers)?;
            let names = ColumnView { data: input.bytes(name_bytes)?, ends: name_ends, validity: None };
            let values = ColumnView { data: input.bytes(header_bytes)?, ends: value_ends, validity };
            // Rows cut the headers as ends cut the data.
            let counted = row_ends
                .iter()
                .map(|end| u32::from_le_bytes(*end))
                .try_fold(0, |start, end| (end >= start).then_some(end));
            if counted? as usize != headers {
                return None;
            }
            Some(HeadersView { row_ends, names: names.checked()?, values: values.checked()? })
        };
        if !input.0.is_empty() {
            return None;
        }
        Some(Self { timestamps, offsets, keys: keys.checked()?, values: values.checked()?, headers })
    }

    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// The offset of row `row`, where the chunk's first is `base`.
    pub fn offset(&self, base: i64, row: usize) -> i64 {
        self.offsets.map_or(base + row as i64, |offsets| i64::from_le_bytes(offsets[row]))
    }

    pub fn timestamp(&self, row: usize) -> i64 {
        i64::from_le_bytes(self.timestamps[row])
    }

    pub fn key(&self, row: usize) -> Option<&'a [u8]> {
        self.keys.get(row)
    }

    /// The first row at `offset` or beyond.
    pub fn row_at(&self, base: i64, offset: i64) -> usize {
        match self.offsets {
            None => usize::try_from(offset - base).unwrap_or(0).min(self.len()),
            Some(offsets) => offsets.partition_point(|cell| i64::from_le_bytes(*cell) < offset),
        }
    }
}

fn eights<'a>(input: &mut Decoder<'a>, count: usize) -> Option<&'a [[u8; 8]]> {
    Some(input.bytes(count * 8)?.as_chunks().0)
}

fn fours<'a>(input: &mut Decoder<'a>, count: usize) -> Option<&'a [[u8; 4]]> {
    Some(input.bytes(count.checked_mul(4)?)?.as_chunks().0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Header = (Vec<u8>, Option<Vec<u8>>);
    type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>);

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..9)
    }

    pub(crate) fn rows() -> impl Strategy<Value = Vec<Owned>> {
        let cell = || proptest::option::weighted(0.8, bytes());
        let headers = proptest::collection::vec((bytes(), cell()), 0..3);
        proptest::collection::vec((any::<i64>(), cell(), cell(), headers), 0..40)
    }

    fn batch(rows: &[Owned], base: i64) -> RecordBatch {
        let mut batch = RecordBatch::default();
        for (row, (timestamp, key, value, headers)) in rows.iter().enumerate() {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
            batch.push(base + row as i64, *timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        batch
    }

    fn chunk(rows: &[Owned]) -> Vec<u8> {
        let mut builder = RowsBuilder::default();
        for (timestamp, key, value, headers) in rows {
            let headers = headers.iter().map(|(name, value)| (&name[..], value.as_deref()));
            builder.push(Row {
                timestamp: *timestamp,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: Some(headers),
            });
        }
        let mut out = Vec::new();
        builder.write(&mut out);
        out
    }

    proptest! {
        #[test]
        fn any_cut_of_chunks_reads_back_as_the_rows_put_in(rows in rows(), more in rows(), cut in any::<prop::sample::Index>()) {
            let (first, second) = (chunk(&rows), chunk(&more));
            let (first, second) = (ChunkView::parse(&first).unwrap(), ChunkView::parse(&second).unwrap());
            let from = cut.index(rows.len() + 1);
            let to = more.len() - cut.index(more.len() + 1);
            let mut builder = RowsBuilder::default();
            builder.extend(&first, 100, from..first.len());
            builder.extend(&second, 100 + rows.len() as i64, 0..to);
            let all: Vec<_> = rows[from..].iter().chain(&more[..to]).cloned().collect();
            prop_assert_eq!(builder.into_batch().unwrap(), batch(&all, 100 + from as i64));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChunkView::parse(&bytes);
        }

        #[test]
        fn a_chunk_cut_short_is_not_a_chunk(rows in rows(), cut in any::<prop::sample::Index>()) {
            let bytes = chunk(&rows);
            prop_assert!(ChunkView::parse(&bytes[..cut.index(bytes.len())]).is_none());
        }
    }
}
