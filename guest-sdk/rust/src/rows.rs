use std::cell::OnceCell;

use crate::abi::weir::plugin::context::Sources;
use crate::abi::weir::plugin::types::Headers as HeaderColumns;
use crate::column::{i64_at, u32_at};
use crate::{Batch, Column, Context, Timestamp, boundary};

/// The records of a call, in columns. What is not in the batch is asked of the host when it is first wanted.
#[derive(Debug)]
pub struct Rows {
    batch: Batch,
    headers: OnceCell<HeaderColumns>,
    sources: OnceCell<Sources>,
    stream_times: OnceCell<Vec<u8>>,
}

impl From<Batch> for Rows {
    fn from(batch: Batch) -> Self {
        Self { batch, headers: OnceCell::new(), sources: OnceCell::new(), stream_times: OnceCell::new() }
    }
}

impl Rows {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.count as usize
    }

    /// Whether there is none; a call has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.count == 0
    }

    /// Record `index`.
    #[must_use]
    #[inline]
    pub fn row(&self, index: u32) -> Row<'_> {
        Row { rows: self, index }
    }

    /// The values; none: the plugin does not read them.
    #[must_use]
    pub fn values(&self) -> Option<&Column> {
        self.batch.values.as_ref()
    }

    /// The keys; none: the plugin does not read them.
    #[must_use]
    pub fn keys(&self) -> Option<&Column> {
        self.batch.keys.as_ref()
    }

    pub(crate) fn headers(&self) -> &HeaderColumns {
        self.headers.get_or_init(boundary::row_headers)
    }

    pub(crate) fn sources(&self) -> &Sources {
        self.sources.get_or_init(boundary::row_sources)
    }

    pub(crate) fn stream_time(&self, row: u32) -> i64 {
        i64_at(self.stream_times.get_or_init(boundary::stream_times), row as usize)
    }
}

/// One record of a call.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    rows: &'a Rows,
    index: u32,
}

impl<'a> Row<'a> {
    /// Its number in the call, from 0.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The value; `None` is null: a tombstone.
    #[must_use]
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.rows.batch.values.as_ref()?.get(self.index as usize)
    }

    /// The key; `None` is null.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.rows.batch.keys.as_ref()?.get(self.index as usize)
    }

    /// The timestamp; 0 where the plugin does not read timestamps.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        let millis = self.rows.batch.timestamps.as_ref().map_or(0, |cells| i64_at(cells, self.index as usize));
        Timestamp { millis }
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { columns: self.rows.headers(), row: self.index as usize }
    }

    /// Where it came from, and when.
    #[must_use]
    pub fn context(&self) -> Context<'a> {
        Context::new(self.rows, self.index)
    }
}

/// The headers of a record, in order; a name may occur more than once.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    columns: &'a HeaderColumns,
    row: usize,
}

impl<'a> Headers<'a> {
    /// Name and value of each; a `None` value is null.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let columns = self.columns;
        let start = if self.row == 0 { 0 } else { u32_at(&columns.row_ends, self.row - 1) };
        (start as usize..u32_at(&columns.row_ends, self.row) as usize).map(move |header| {
            // The host checks names: a record whose header name is no UTF-8 has none here.
            let name = columns.names.get(header).and_then(|name| std::str::from_utf8(name).ok());
            (name.unwrap_or_default(), columns.values.get(header))
        })
    }

    /// The value of the last header called `name`, as Kafka's `lastHeader`; none where there is none or it is null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().rev().find(|header| header.0 == name)?.1
    }
}
