use crate::column::{i64_at, u32_at};
use crate::{Rows, boundary};

/// About the record in progress: where it came from, the only clock, the only dice.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    rows: &'a Rows,
    row: u32,
}

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: u32,
    /// The offset there.
    pub offset: i64,
}

impl<'a> Context<'a> {
    pub(crate) fn new(rows: &'a Rows, row: u32) -> Self {
        Self { rows, row }
    }

    /// Topic, partition and offset of the record that caused this one.
    #[must_use]
    pub fn source(&self) -> Source<'a> {
        let (sources, row) = (self.rows.sources(), self.row as usize);
        let topic = &sources.topics[u32_at(&sources.topic, row) as usize];
        Source { topic, partition: u32_at(&sources.partitions, row), offset: i64_at(&sources.offsets, row) }
    }

    /// Stream time with this record taken in, in milliseconds since 1970 UTC: the same at every execution. An extractor is asked
    /// before it is known, and gets the record's own timestamp.
    #[must_use]
    pub fn stream_time(&self) -> i64 {
        self.rows.stream_time(self.row)
    }

    /// Random bytes, seeded by the record's coordinates: the same at every execution.
    #[must_use]
    pub fn random(&self, bytes: u32) -> Vec<u8> {
        boundary::random(self.row, bytes)
    }

    /// The application's name.
    #[must_use]
    pub fn application(&self) -> String {
        boundary::application()
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> String {
        boundary::node()
    }

    /// The task's partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        boundary::partition()
    }
}
