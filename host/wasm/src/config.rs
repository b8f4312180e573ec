use std::path::PathBuf;
use std::time::Duration;

/// How much of the machine plugins may have. Sized by the host from its topology, once, at start.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Instances alive at one time: tasks times `process` nodes, twice (a swap has the old and the new), and a few for checks.
    pub instances_max: u32,
    /// The largest component or core module that is accepted. A Python guest is 18 MB.
    pub artifact_bytes_max: usize,
    /// Limits of each instance.
    pub limits: Limits,
    /// Where compiled code is kept between runs; none: in memory alone.
    pub cache_dir: Option<PathBuf>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { instances_max: 64, artifact_bytes_max: 32 << 20, limits: Limits::default(), cache_dir: None }
    }
}

/// What one instance may take. Where there are two figures, a call of n rows may take the first and n times the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time of a call, of `describe`, `create` and an instantiation, to a few milliseconds.
    pub call_deadline: Duration,
    /// See `call_deadline`.
    pub row_deadline: Duration,
    /// Linear memory of an instance, all its memories together.
    pub memory_bytes_max: usize,
    /// Elements of each table.
    pub table_elements_max: usize,
    /// The guest's stack. It lies on the calling thread's own, which must be larger by some 256 KiB.
    pub stack_bytes_max: usize,
    /// Calls of imports in a call.
    pub host_calls_max: u64,
    /// See `host_calls_max`.
    pub host_calls_per_row_max: u64,
    /// Bytes through imports in a call, both ways.
    pub host_call_bytes_max: usize,
    /// Handles of stores that an instance holds at a time.
    pub store_handles_max: u32,
    /// Bytes that a call returns.
    pub output_bytes_max: usize,
    /// Log lines in a second; more are counted and dropped.
    pub log_lines_per_second_max: u32,
    /// Bytes of log lines in a second; lines beyond are counted and dropped.
    pub log_bytes_per_second_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_deadline: Duration::from_secs(1),
            row_deadline: Duration::from_millis(1),
            memory_bytes_max: 64 << 20,
            table_elements_max: 20_000,
            stack_bytes_max: 512 << 10,
            host_calls_max: 1_000,
            host_calls_per_row_max: 100,
            host_call_bytes_max: 64 << 20,
            store_handles_max: 1_000,
            output_bytes_max: 64 << 20,
            log_lines_per_second_max: 100,
            log_bytes_per_second_max: 64 << 10,
        }
    }
}

impl Limits {
    /// The deadline of a call of `rows` rows.
    pub(crate) fn deadline(&self, rows: usize) -> Duration {
        self.row_deadline.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX)).saturating_add(self.call_deadline)
    }

    /// The import calls of a call of `rows` rows.
    pub(crate) fn host_calls(&self, rows: usize) -> u64 {
        self.host_calls_max.saturating_add(self.host_calls_per_row_max.saturating_mul(rows as u64))
    }
}
