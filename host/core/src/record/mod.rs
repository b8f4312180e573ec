//! Records as they travel: in columns, a batch at a time.
//!
//! [`RecordBatch`] is what a transport fetched, filled once from its memory. [`Rows`] is the view that goes from node to node:
//! shared columns and the rows chosen of them, so that a filter copies no bytes. A row's [`Taken`] says where it came from.

mod column;
mod headers;
mod partitioner;
mod rows;

pub use column::{Column, MalformedColumn};
pub use headers::Headers;
pub use partitioner::{murmur2, partition, partition_of_key};
pub use rows::{Cells, HeaderCells, Rows, Taken};

use std::fmt;
use std::sync::Arc;

/// The name of a topic, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of a topic; shown as `orders/3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl From<&TopicName> for TopicName {
    fn from(name: &TopicName) -> Self {
        name.clone()
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Rows of one partition in offset order, as a transport fetched them. All columns have the same number of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    /// Keys; a null cell is a record without a key.
    pub keys: Column,
    /// Values; a null cell is a tombstone.
    pub values: Column,
    /// Milliseconds since 1970 UTC.
    pub timestamps: Vec<i64>,
    /// None: no row has any.
    pub headers: Option<Headers>,
    /// Rising, not necessarily by one: transaction markers and compaction leave gaps.
    pub offsets: Vec<i64>,
}

impl RecordBatch {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Appends a row; `headers` are name and value, in order.
    pub fn push(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if !headers.is_empty() && self.headers.is_none() {
            self.headers = Some(Headers::empty_rows(self.len()));
        }
        if let Some(all) = &mut self.headers {
            all.push_row(headers.iter().copied());
        }
        self.keys.push(key);
        self.values.push(value);
        self.timestamps.push(timestamp);
        self.offsets.push(offset);
    }

    /// Bytes held by all columns: what a buffer's bound counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, Headers::bytes);
        self.keys.bytes() + self.values.bytes() + headers + self.len() * 16
    }
}
