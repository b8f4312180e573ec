//! Starts and stops the broker's process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{fetch_jars, health, jars};
use crate::paths;
use crate::port;
use crate::process::{capture, tail};

const PORT_DEFAULT: u16 = 19092;
/// Ports in a row that a broker and its proxy take.
const PORTS: u16 = 5;
/// A start takes some 4 s on an idle machine of two cores.
const START_WAIT: Duration = Duration::from_secs(90);
const STOP_WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Runs a broker and stops it when its standard input ends, so also when whoever holds the other end is killed.
const WITH_PARENT: &str = r#""$@" </dev/null & broker=$!; trap '' INT; read -r _; kill "$broker"; wait "$broker""#;

/// Which ports and which folder.
pub struct Place {
    pub port: u16,
    pub folder: PathBuf,
}

impl Place {
    /// The place that belongs to a port.
    pub fn at(port: u16) -> Self {
        Self { port, folder: paths::target().join(format!("kafka-{port}")) }
    }

    /// Reads `--port P` and `--dir D`.
    pub fn parse(options: &[&str]) -> Result<Self> {
        let mut place = Self::at(PORT_DEFAULT);
        let mut folder = None;
        for option in options.chunks(2) {
            match option {
                ["--port", port] => {
                    let port = port.parse().ok().filter(|port| *port <= u16::MAX - (PORTS - 1));
                    place = Self::at(port.with_context(|| format!("--port {}: not a port below 65532", option[1]))?);
                }
                ["--dir", dir] => folder = Some(std::path::absolute(dir)?),
                other => bail!("`{}`: kafka takes --port P and --dir D", other.join(" ")),
            }
        }
        if let Some(folder) = folder {
            place.folder = folder;
        }
        Ok(place)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("broker.log")
    }
}

/// `kafka start`: a broker that stays when we have gone.
pub fn start(place: &Place) -> Result<()> {
    fetch_jars()?;
    prepare(place)?;
    let mut java = java(place)?;
    // A group of its own: Ctrl-C in this terminal is not for it.
    let child = java.process_group(0).stdin(Stdio::null()).spawn().context("cannot start java")?;
    fs::write(place.pid_file(), child.id().to_string())?;
    wait_until_it_answers(place, child)?;
    println!("{}", place.address());
    Ok(())
}

/// `kafka stop`: ends the broker of that folder, if there is one.
pub fn stop(place: &Place) -> Result<()> {
    let Ok(pid) = fs::read_to_string(place.pid_file()) else {
        println!("no Kafka was started in {}", place.folder.display());
        return Ok(());
    };
    let pid = pid.trim();
    if is_our_broker(pid, &place.folder) {
        capture(Command::new("kill").arg(pid))?;
        let deadline = Instant::now() + STOP_WAIT;
        while is_our_broker(pid, &place.folder) {
            ensure!(Instant::now() < deadline, "Kafka (pid {pid}) is still there after {STOP_WAIT:?}: kill -9 {pid}");
            thread::sleep(POLL);
        }
    }
    fs::remove_file(place.pid_file()).context("cannot remove the pid file")
}

/// A broker that ends with this process, however this process ends.
pub struct Broker {
    keeper: Child,
    place: Place,
}

impl Broker {
    /// Starts one on free ports, with nothing in it.
    pub fn start_for_tests() -> Result<Self> {
        fetch_jars()?;
        // A folder for each port: another run of the tests may be under way.
        let port = port::find_free(PORTS)?;
        let place = Place { port, folder: paths::target().join(format!("kafka-test-{port}")) };
        if place.folder.exists() {
            fs::remove_dir_all(&place.folder).with_context(|| format!("cannot empty {}", place.folder.display()))?;
        }
        prepare(&place)?;
        let java = java(&place)?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", WITH_PARENT, "kafka"]).arg(java.get_program()).args(java.get_args());
        keeper.stdin(Stdio::piped()).stdout(log(&place)?).stderr(log(&place)?);
        let keeper = keeper.spawn().context("cannot start sh")?;
        wait_until_it_answers(&place, keeper).map(|keeper| Self { keeper, place })
    }

    pub fn address(&self) -> String {
        self.place.address()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_WAIT;
        while Instant::now() < deadline && matches!(self.keeper.try_wait(), Ok(None)) {
            thread::sleep(POLL);
        }
        // Its log stays, for whoever wants to know why a test failed; gigabytes of test records do not.
        if let Err(error) = fs::remove_dir_all(self.place.folder.join("data")) {
            eprintln!("warning: {} is left behind: {error}", self.place.folder.display());
        }
    }
}

/// Checks the ports, writes the settings, and formats the folder if it is new.
fn prepare(place: &Place) -> Result<()> {
    // All but the proxy's, which belongs to whoever disturbs.
    for distance in [0, 1, 2, 4] {
        port::require_free(place.port + distance)?;
    }
    fs::create_dir_all(&place.folder).with_context(|| format!("cannot make {}", place.folder.display()))?;
    let settings = place.folder.join("server.properties");
    fs::write(&settings, properties(place)).with_context(|| format!("cannot write {}", settings.display()))?;
    if place.folder.join("data").is_dir() {
        return Ok(());
    }
    let mut format = Command::new("java");
    format.arg("-cp").arg(class_path()?).args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID]);
    format.arg("--config").arg(&settings);
    capture(&mut format).map(drop)
}

/// Any 16 bytes in base64.
const CLUSTER_ID: &str = "d2Vpci10ZXN0LWthZmthIQ";

fn class_path() -> Result<String> {
    Ok(format!("{}/*", jars()?.display()))
}

fn log(place: &Place) -> Result<File> {
    let file = place.log_file();
    File::options().create(true).append(true).open(&file).with_context(|| format!("cannot write {}", file.display()))
}

fn java(place: &Place) -> Result<Command> {
    let mut java = Command::new("java");
    java.args(["-Xms512m", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]).arg(class_path()?);
    java.arg("kafka.Kafka").arg(place.folder.join("server.properties"));
    java.stdout(log(place)?).stderr(log(place)?);
    Ok(java)
}

/// What differs from Kafka's defaults, and why.
fn properties(place: &Place) -> String {
    let Place { port, folder } = place;
    let (controller, proxied, proxy, sasl) = (port + 1, port + 2, port + 3, port + 4);
    let data = folder.join("data");
    format!(
        "\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{proxied},SASL://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT
# Tests give a wrong password as well.
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_weir=\"right\";
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={}
# A misspelt topic is an error, not a new topic.
auto.create.topics.enable=false
num.partitions=4
# One node holds every replica.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Tests kill members and wait for the rest to take over.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# How soon after its time-out a dead producer's transaction is aborted: the default looks every 10 s.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# Orders keep their event times, however old.
log.retention.ms=-1
",
        data.display()
    )
}

fn wait_until_it_answers(place: &Place, mut child: Child) -> Result<Child> {
    let deadline = Instant::now() + START_WAIT;
    loop {
        let Err(unready) = health::require_answer(place.port) else { return Ok(child) };
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() >= deadline {
            let _ = child.kill();
            let log = fs::read_to_string(place.log_file()).unwrap_or_default();
            let how = ended.map_or_else(|| format!("does not answer ({unready})"), |status| format!("ended: {status}"));
            bail!("Kafka {how}; the end of {}:\n{}", place.log_file().display(), tail(&log));
        }
        thread::sleep(POLL);
    }
}

/// Process ids are used again: it is ours if it was told to run from that folder.
fn is_our_broker(pid: &str, folder: &Path) -> bool {
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.split('\0').any(|word| Path::new(word) == folder.join("server.properties"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_for_tests_answers_and_is_gone_when_it_is_dropped() {
        let broker = Broker::start_for_tests().unwrap();
        let (port, folder) = (broker.place.port, broker.place.folder.clone());
        health::require_answer(port).unwrap();
        assert!(port::require_free(port).unwrap_err().to_string().contains("kafka.Kafka"));
        drop(broker);
        port::require_free(port).unwrap();
        assert!(!folder.join("data").exists() && folder.join("broker.log").is_file());
    }
}
