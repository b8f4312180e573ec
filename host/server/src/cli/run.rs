use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Out;
use super::source::{self, KafkaArgs};
use crate::exit::Exit;
use crate::host::logging::{self, LogFormat};
use crate::host::{self, Config};
use crate::problem::Problem;
use crate::units;

/// A host: runs a topology until it is told to stop (SIGTERM or SIGINT: it commits and exits with 0).
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The topology file
    topology: PathBuf,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// This host's own directory: its id, compiled plugins, the embedded log [default: weir-state/APPLICATION]
    #[arg(long, value_name = "DIR", env = "WEIR_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Where REST listens; only a loopback address, as there is no authentication yet
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8480", value_parser = loopback, env = "WEIR_LISTEN")]
    listen: SocketAddr,
    /// Stream threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), env = "WEIR_THREADS")]
    threads: u16,
    /// How often a transaction is committed
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = units::duration, env = "WEIR_COMMIT_INTERVAL")]
    commit_interval: Duration,
    /// How long a task waits for inputs that are read to their ends while others have rows; `0` waits for rows that are in
    /// the log already and for no others, `off` for none
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = units::task_idle, env = "WEIR_TASK_IDLE_MAX")]
    task_idle_max: i64,
    /// Leave the group at the end instead of keeping the partitions for a restart
    #[arg(long)]
    leave: bool,
    /// Delete what the application has kept in stores that the topology has no place for any more
    #[arg(long)]
    drop_state: bool,
    /// A folder in which plugins are looked for, beside that of the file
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Bytes of a plugin that is accepted
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20, env = "WEIR_ARTIFACT_BYTES_MAX")]
    artifact_bytes_max: usize,
    /// Which log lines are written to stderr, as RUST_LOG has it
    #[arg(long, value_name = "FILTER", default_value = "info", env = "WEIR_LOG")]
    log: String,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "WEIR_LOG_FORMAT")]
    log_format: LogFormat,
}

impl Run {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// It cannot start, or cannot go on.
    pub fn run(self, _out: &Out) -> Result<Exit, Problem> {
        let topology = Arc::new(source::topology(&self.topology)?);
        logging::start(self.log_format, &self.log)?;
        let state_dir = self.state_dir.unwrap_or_else(|| PathBuf::from("weir-state").join(&topology.application));
        let config = Config {
            topology_path: self.topology,
            plugin_dirs: self.plugin_dir,
            bootstrap: self.kafka.bootstrap,
            kafka_properties: self.kafka.kafka_properties,
            state_dir,
            listen: self.listen,
            threads: usize::from(self.threads),
            commit_interval: self.commit_interval,
            task_idle_ms_max: self.task_idle_max,
            leave: self.leave,
            drop_state: self.drop_state,
            artifact_bytes_max: self.artifact_bytes_max,
        };
        host::run(config, topology)
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let text = text.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr =
        text.parse().map_err(|_| format!("`{text}` is not ADDRESS:PORT, such as 127.0.0.1:8480"))?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{address} could be reached by others, and weir has no authentication yet: whoever reaches it could replace \
         plugins. Listen on 127.0.0.1 and put a proxy that authenticates before it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_refused_with_the_reason() {
        for address in ["0.0.0.0:8480", "192.168.1.7:80", "[::]:8480"] {
            assert!(loopback(address).unwrap_err().contains("no authentication"), "{address}");
        }
        assert!(loopback("localhost:0").is_ok() && loopback("[::1]:8480").is_ok());
        assert!(loopback("8480").unwrap_err().contains("127.0.0.1:8480"));
    }
}
