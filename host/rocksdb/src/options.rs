use std::sync::atomic::Ordering;

use rocksdb::{BlockBasedOptions, Cache, CompactionDecision, DBCompressionType, LogLevel, Options, WriteBufferManager};
use weir_core::state::keys;

use crate::family::ExpiredBefore;

/// How much memory the stores on disk may use, all tasks of the host together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes of blocks kept in memory: what is read again costs no read of the disk.
    pub block_cache_bytes: usize,
    /// Bytes of what was applied and has not been written to disk yet.
    pub write_buffer_bytes: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 64 << 20, write_buffer_bytes: 64 << 20 }
    }
}

/// Bits of a filter for each key on disk: one read in a hundred of a key that is not there looks for it.
const FILTER_BITS: f64 = 10.0;
/// The part of a write buffer that its filter takes: 6 bits for each row of 80 bytes.
const BUFFER_FILTER_RATIO: f64 = 0.01;
/// A write buffer takes memory in pieces of so many bytes. RocksDB's own 1 MiB would be most of the budget for a host with
/// many small stores.
const ARENA_BLOCK_BYTES: usize = 128 << 10;
/// Files of a family that were not merged yet: with so many, writes are slowed down or wait.
const FILES_BEFORE_SLOW: i32 = 64;
const FILES_BEFORE_STOP: i32 = 1000;
/// Threads that flush and compact, for the whole host.
const BACKGROUND_JOBS: i32 = 2;
/// Buffers of a family: one that is written and those that wait for the disk.
const WRITE_BUFFERS_MAX: i32 = 4;
/// RocksDB's own log, one for each task, for whoever looks into its files.
const LOG_FILE_BYTES_MAX: usize = 1 << 20;
const LOG_FILES_MAX: usize = 2;

/// What all databases of the host share.
pub(crate) struct Shared {
    cache: Cache,
    buffers: WriteBufferManager,
    options: RocksOptions,
}

impl Shared {
    pub(crate) fn new(options: RocksOptions) -> Self {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        // Without stalls: a thread that waits for another task's flush would miss its commit interval.
        let buffers = WriteBufferManager::new_write_buffer_manager(options.write_buffer_bytes, false);
        Self { cache, buffers, options }
    }

    /// Of a database as a whole.
    pub(crate) fn database(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // What makes a kill leave a state that was applied as a whole, without a log.
        options.set_atomic_flush(true);
        options.set_paranoid_checks(true);
        // Opens each file when the database is opened, so that one that is missing or cut is known by then.
        options.set_max_open_files(-1);
        options.set_write_buffer_manager(&self.buffers);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(LOG_FILE_BYTES_MAX);
        options.set_keep_log_file_num(LOG_FILES_MAX);
        options.set_stats_dump_period_sec(0);
        options.set_allow_concurrent_memtable_write(false);
        options
    }

    /// Rows of a replay that a task gathers before they are written.
    pub(crate) fn filling_bytes_max(&self) -> usize {
        self.options.write_buffer_bytes / 4
    }

    /// Of a store's family.
    pub(crate) fn family(&self, expired_before: Option<&ExpiredBefore>) -> Options {
        let mut options = self.small_family();
        options.set_write_buffer_size(self.options.write_buffer_bytes / 2);
        options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(BUFFER_FILTER_RATIO);
        // A restore leaves many files that are still to be merged, which is no reason to hold up who writes after it.
        options.set_level_zero_slowdown_writes_trigger(FILES_BEFORE_SLOW);
        options.set_level_zero_stop_writes_trigger(FILES_BEFORE_STOP);
        if let Some(before) = expired_before.cloned() {
            // Files that overlap no other are moved as they are; RocksDB looks at those again when they are 30 days old.
            options.set_compaction_filter("expired", move |_level, key, _value| match keys::last_time(key) {
                Some(time) if time < before.load(Ordering::Relaxed) => CompactionDecision::Remove,
                _ => CompactionDecision::Keep,
            });
        }
        options
    }

    /// Of a family that has a row or two, or that nobody reads.
    pub(crate) fn small_family(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_bloom_filter(FILTER_BITS, false);
        table.set_whole_key_filtering(true);
        // Within the budget like all else. The newest files' stay, since every read asks them.
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_arena_block_size(ARENA_BLOCK_BYTES);
        options
    }
}
