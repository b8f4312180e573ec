use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `weir run` was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The topology file: plugins are looked for beside it.
    pub topology_path: PathBuf,
    /// Folders in which plugins are looked for beside that of the file.
    pub plugin_dirs: Vec<PathBuf>,
    /// Kafka; none: the embedded log.
    pub bootstrap: Option<String>,
    /// For every Kafka client.
    pub kafka_properties: Vec<(String, String)>,
    /// Ours alone.
    pub state_dir: PathBuf,
    /// Where REST listens.
    pub listen: SocketAddr,
    /// Stream threads.
    pub threads: usize,
    /// How often a transaction is committed.
    pub commit_interval: Duration,
    /// How long a task waits for inputs without rows, in milliseconds; below 0: not at all.
    pub task_idle_ms_max: i64,
    /// Leaves the group at the end, instead of keeping its place for a restart.
    pub leave: bool,
    /// Deletes what the topology has no place for any more.
    pub drop_state: bool,
    /// Bytes of a component that is accepted.
    pub artifact_bytes_max: usize,
}
