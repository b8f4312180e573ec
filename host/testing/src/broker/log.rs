//! Partitions: rows, markers of transactions, and how far a reader of committed rows may see.

use std::collections::BTreeMap;

use weir_core::record::{RecordBatch, Rows};

use super::transactions::{Status, Transaction, TransactionId};

/// A row as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// None: null.
    pub key: Option<Vec<u8>>,
    /// None: null.
    pub value: Option<Vec<u8>>,
    /// Names and values in order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl StoredRow {
    /// Row `row` of `batch`.
    #[must_use]
    pub fn of_batch(batch: &RecordBatch, row: usize) -> Self {
        let headers = batch.headers.iter().flat_map(|headers| headers.row(row));
        Self {
            timestamp: batch.timestamps[row],
            key: batch.keys.get(row).map(<[u8]>::to_vec),
            value: batch.values.get(row).map(<[u8]>::to_vec),
            headers: headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        }
    }

    pub(crate) fn of_rows(rows: &Rows, row: usize) -> Self {
        let headers = rows.headers.iter().flat_map(|headers| headers.row(row));
        Self {
            timestamp: rows.timestamps[row],
            key: rows.keys.get(row).map(<[u8]>::to_vec),
            value: rows.values.get(row).map(<[u8]>::to_vec),
            headers: headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        }
    }

    /// Adds it to `batch`.
    pub fn push_to(&self, batch: &mut RecordBatch, offset: i64) {
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
        batch.push(offset, self.timestamp, self.key.as_deref(), self.value.as_deref(), &headers);
    }
}

#[derive(Clone, Debug)]
enum Entry {
    Row(StoredRow, Option<TransactionId>),
    /// The end of a transaction takes an offset of its own, as in Kafka.
    Marker,
}

/// One partition; an entry's offset is its index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    entries: Vec<Entry>,
    /// The first offset that can be read: what lies before was deleted.
    begin: usize,
    /// Open transactions with rows here, and where their first one lies.
    open: BTreeMap<TransactionId, usize>,
}

impl Partition {
    /// Appends a row and returns its offset.
    pub(crate) fn append(&mut self, row: StoredRow, transaction: Option<TransactionId>) -> i64 {
        let offset = self.entries.len();
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        self.entries.push(Entry::Row(row, transaction));
        offset as i64
    }

    pub(crate) fn end(&mut self, transaction: TransactionId) {
        if self.open.remove(&transaction).is_some() {
            self.entries.push(Entry::Marker);
        }
    }

    /// The first offset that can be read.
    pub(crate) fn begin(&self) -> i64 {
        self.begin as i64
    }

    /// One past the last entry, committed or not: Kafka's high watermark.
    pub(crate) fn end_offset(&self) -> i64 {
        self.entries.len() as i64
    }

    /// Transactions that hold back the reader of committed rows.
    pub(crate) fn open_transactions(&self) -> Vec<TransactionId> {
        self.open.keys().copied().collect()
    }

    /// Deletes the rows before `offset`, as far as there are any.
    pub(crate) fn purge(&mut self, offset: i64) {
        let before = usize::try_from(offset).unwrap_or(0).min(self.stable_end() as usize);
        self.begin = self.begin.max(before);
    }

    /// One past the last row that a reader of committed rows may see: Kafka's last stable offset.
    pub(crate) fn stable_end(&self) -> i64 {
        self.open.values().min().copied().unwrap_or(self.entries.len()) as i64
    }

    /// Committed rows with their offsets, from `offset` on.
    pub(crate) fn committed<'a>(
        &'a self,
        offset: i64,
        transactions: &'a [Transaction],
    ) -> impl Iterator<Item = (i64, &'a StoredRow)> {
        let range = (offset.max(self.begin())).min(self.stable_end()) as usize..self.stable_end() as usize;
        let start = range.start as i64;
        self.entries[range].iter().zip(start..).filter_map(|(entry, offset)| match entry {
            Entry::Row(row, None) => Some((offset, row)),
            Entry::Row(row, Some(id)) if transactions[id.0].status == Status::Committed => Some((offset, row)),
            Entry::Row(..) | Entry::Marker => None,
        })
    }

    /// At most `rows_max` committed rows from `offset` on, and where to go on.
    pub(crate) fn read(&self, offset: i64, rows_max: usize, transactions: &[Transaction]) -> (RecordBatch, i64) {
        let mut batch = RecordBatch::default();
        for (offset, row) in self.committed(offset, transactions) {
            if batch.len() == rows_max {
                let next = batch.offsets.last().map_or(offset, |last| last + 1);
                return (batch, next);
            }
            row.push_to(&mut batch, offset);
        }
        (batch, self.stable_end().max(offset))
    }

    /// The offset of the last committed row.
    pub(crate) fn last_committed(&self, transactions: &[Transaction]) -> Option<i64> {
        let visible = &self.entries[..self.stable_end() as usize];
        let last = visible.iter().rposition(|entry| match entry {
            Entry::Row(_, None) => true,
            Entry::Row(_, Some(id)) => transactions[id.0].status == Status::Committed,
            Entry::Marker => false,
        });
        last.map(|offset| offset as i64)
    }

    /// The row at `offset`, committed or not.
    pub(crate) fn row(&self, offset: i64) -> Option<&StoredRow> {
        match self.entries.get(offset as usize)? {
            Entry::Row(row, _) => Some(row),
            Entry::Marker => None,
        }
    }

    /// The first offset of a timestamp of at least `timestamp`.
    pub(crate) fn offset_at(&self, timestamp: i64, transactions: &[Transaction]) -> i64 {
        let found = self.committed(0, transactions).find(|(_, row)| row.timestamp >= timestamp);
        found.map_or(self.stable_end(), |(offset, _)| offset)
    }
}
