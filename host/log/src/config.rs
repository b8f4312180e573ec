/// Sizes of an embedded log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment that has reached this many bytes is sealed and the next one begun.
    pub segment_bytes: u64,
    /// Once all segments together have more bytes, the oldest rows of plain topics go, whatever their topics say; none:
    /// only the topics' own settings count. Rows of compacted topics and committed positions always stay.
    pub retention_bytes: Option<u64>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: 128 << 20, retention_bytes: None }
    }
}

/// Rows of one partition within a frame are cut into chunks of at most this many: what a fetch reads and checks at once.
pub(crate) const CHUNK_ROWS_MAX: usize = 4096;
/// A chunk is closed once its cells have this many bytes; only a single row makes a larger one.
pub(crate) const CHUNK_BYTES_MAX: usize = 1 << 20;
/// What one transaction may hold. The engine ends its transactions long before.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 1 << 30;
/// What one poll brings at most, in bytes of chunks as they lie on disk (one chunk more, so that there is progress).
pub(crate) const FETCH_BYTES_MAX: usize = 4 << 20;
/// Rows of one partition that one poll brings at most.
pub(crate) const FETCH_ROWS_MAX: usize = CHUNK_ROWS_MAX;
/// What one poll brings at most of each changelog that is replayed, in bytes as of [`FETCH_BYTES_MAX`].
pub(crate) const REPLAY_BYTES_MAX: usize = 4 << 20;
/// And in rows.
pub(crate) const REPLAY_ROWS_MAX: usize = 16 * CHUNK_ROWS_MAX;
/// Bytes of metadata that a position may carry, as brokers have it.
pub(crate) const METADATA_BYTES_MAX: usize = 4096;
/// Indexes of sealed segments kept in memory: those read last.
pub(crate) const INDEXES_CACHED_MAX: usize = 8;
/// Partitions that a topic may have.
pub(crate) const PARTITIONS_MAX: i32 = 10_000;
