//! Hosts: processes of the binary `weir`, started, asked, frozen and killed.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::wait;

const REQUEST_WAIT: Duration = Duration::from_secs(40);
const STOP_WAIT: Duration = Duration::from_secs(20);

/// The binary: `WEIR_BIN`, else what `cargo build --release` left.
pub fn weir_binary() -> Result<PathBuf> {
    let path = match env::var_os("WEIR_BIN") {
        Some(path) => PathBuf::from(path),
        None => target_folder().join("release/weir"),
    };
    ensure!(path.is_file(), "there is no {}: `cargo build --release -p weir-server`", path.display());
    Ok(path)
}

/// The command `cargo xtask`: `WEIR_XTASK`, else what cargo left when it ran it last.
pub fn xtask_binary() -> Result<PathBuf> {
    let path = env::var_os("WEIR_XTASK").map_or_else(|| target_folder().join("debug/xtask"), PathBuf::from);
    ensure!(path.is_file(), "there is no {}: `cargo xtask help`", path.display());
    Ok(path)
}

/// A plugin's component, of those that `cargo xtask plugins` built.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let path = plugin_folder().join(format!("{name}.wasm"));
    ensure!(path.is_file(), "there is no {}: `cargo xtask plugins`", path.display());
    Ok(path)
}

/// `WEIR_PLUGINS`, else where `cargo xtask plugins` leaves them. Every host looks for plugins there.
pub fn plugin_folder() -> PathBuf {
    env::var_os("WEIR_PLUGINS").map_or_else(|| target_folder().join("plugins"), PathBuf::from)
}

fn target_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// How to start a host.
#[derive(Clone, Debug)]
pub struct HostOptions {
    topology: PathBuf,
    state_dir: PathBuf,
    bootstrap: Option<String>,
    within: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl HostOptions {
    /// A host of this topology file, with its state in `state_dir`, on the embedded log.
    pub fn new(topology: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        let (topology, state_dir) = (topology.into(), state_dir.into());
        Self {
            topology,
            state_dir,
            bootstrap: None,
            within: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// On this Kafka, or on this proxy before it.
    pub fn bootstrap(mut self, address: impl Into<String>) -> Self {
        self.bootstrap = Some(address.into());
        self
    }

    /// Started by a command that changes its surroundings and then becomes the host, such as `nsenter`.
    pub fn within(mut self, command: Vec<String>) -> Self {
        self.within = command;
        self
    }

    /// More arguments of `weir run`.
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A property of the Kafka clients.
    pub fn kafka_property(self, key: &str, value: &str) -> Self {
        self.arguments(["--kafka-property".to_owned(), format!("{key}={value}")])
    }

    /// A variable of its environment.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl HostOptions {
    fn command(&self) -> Result<Command> {
        let weir = weir_binary()?;
        let Some((program, arguments)) = self.within.split_first() else { return Ok(Command::new(weir)) };
        let mut command = Command::new(program);
        command.args(arguments).arg(weir);
        Ok(command)
    }
}

/// A running host. Dropped, it is killed.
pub struct WeirHost {
    child: Child,
    listen: String,
    log: PathBuf,
    /// Where its own lines begin, behind those of its earlier lives.
    log_begin: u64,
    client: ureq::Agent,
}

impl WeirHost {
    /// Starts it on a free port. It is not ready yet: [`Self::wait_ready`].
    pub fn start(options: &HostOptions) -> Result<Self> {
        fs::create_dir_all(&options.state_dir).context("cannot make the state directory")?;
        let log = options.state_dir.with_extension("log");
        let output = File::options().create(true).append(true).open(&log).context("cannot write the host's log")?;
        let log_begin = output.metadata().context("the host's log cannot be measured")?.len();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = options.command()?;
        command.arg("run").arg(&options.topology).arg("--state-dir").arg(&options.state_dir);
        command.args(["--listen", &listen]).arg("--plugin-dir").arg(plugin_folder());
        if let Some(bootstrap) = &options.bootstrap {
            command.args(["--bootstrap", bootstrap]);
        }
        command.args(&options.arguments).envs(options.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("cannot start weir")?;
        let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_WAIT)).http_status_as_error(false);
        Ok(Self { child, listen, log, log_begin, client: config.build().into() })
    }

    /// Starts it and waits until it is ready.
    pub fn start_ready(options: &HostOptions, wait: Duration) -> Result<Self> {
        let mut host = Self::start(options)?;
        host.wait_ready(wait)?;
        Ok(host)
    }

    /// Waits until it has its partitions and its state; fails at once if it ends.
    pub fn wait_ready(&mut self, wait: Duration) -> Result<()> {
        wait::until("the host is ready", wait, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the host ended: {status}");
            }
            Ok(self.get("/readyz").is_ok_and(|(status, _)| status == 200).then_some(()))
        })
        .with_context(|| format!("the end of {}:\n{}", self.log.display(), self.log_end()))
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `GET path`: the status and the body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut response = self.client.get(format!("http://{}{path}", self.listen)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// `PUT path` with a body: the status and the answer's body.
    pub fn put(&self, path: &str, content_type: &str, body: &[u8]) -> Result<(u16, String)> {
        let request = self.client.put(format!("http://{}{path}", self.listen)).header("content-type", content_type);
        let mut response = request.send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// `POST path` with a body: the status and the answer's body.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<(u16, String)> {
        let request = self.client.post(format!("http://{}{path}", self.listen)).header("content-type", content_type);
        let mut response = request.send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Deploys a component to a node and waits until it is live everywhere: the status and the answer's body.
    pub fn deploy(&self, node: &str, component: &Path) -> Result<(u16, String)> {
        let bytes = fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
        self.put(&format!("/api/v1/nodes/{node}/plugin?wait=30s"), "application/wasm", &bytes)
    }

    /// SIGKILL: no farewell, no flush.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_end(STOP_WAIT).context("it was sent a SIGTERM")
    }

    /// Waits until it ends by itself.
    pub fn wait_end(&mut self, wait: Duration) -> Result<ExitStatus> {
        wait::until("the host ends", wait, || Ok(self.child.try_wait()?))
            .with_context(|| format!("the end of {}:\n{}", self.log.display(), self.log_end()))
    }

    /// SIGSTOP: it stands still, and its time-outs run.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Whether it is still running; `Some`: how it ended.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What it has printed since this start, to both outputs.
    pub fn log(&self) -> String {
        let read = || {
            let (mut file, mut text) = (File::open(&self.log)?, Vec::new());
            file.seek(SeekFrom::Start(self.log_begin))?;
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&text).into_owned())
        };
        read().unwrap_or_default()
    }

    /// What store `name` holds of whole numbers, in the partitions that this host has.
    pub fn store(&self, name: &str) -> Result<BTreeMap<String, i64>> {
        const ENTRIES_MAX: usize = 10_000;
        let (status, body) = self.get(&format!("/api/v1/stores/{name}?limit={ENTRIES_MAX}"))?;
        ensure!(status == 200, "{status}: {body}");
        let page: Value = serde_json::from_str(&body)?;
        ensure!(page["next"].is_null(), "store {name} has more than {ENTRIES_MAX} entries");
        let entry = |entry: &Value| Some((entry["key"].as_str()?.to_owned(), entry["value"].as_i64()?));
        let entries = page["entries"].as_array().context("a page has entries")?;
        entries.iter().map(|it| entry(it).with_context(|| format!("no entry: {it}"))).collect()
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let (_, page) = self.get("/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("there is no {name}"))?.parse::<f64>()? as u64)
    }

    /// Rows of changelogs that it has replayed since this start.
    pub fn replayed(&self) -> Result<u64> {
        self.metric("weir_restore_rows_total")
    }

    /// Of each partition of `changelog`, where this host began to replay it, as its log says: `from 17`, or `from the
    /// beginning` and why.
    pub fn restored_from(&self, changelog: &str) -> BTreeMap<i32, String> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(" restoring "));
        let told = lines.filter_map(|line| {
            let (partition, from) = line.split_once(&format!("{changelog}/"))?.1.split_once(' ')?;
            Some((partition.parse().ok()?, from.trim_end_matches('"').to_owned()))
        });
        told.collect()
    }

    fn log_end(&self) -> String {
        const LINES_MAX: usize = 30;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id is positive")?;
        kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to the host"))
    }
}

impl Drop for WeirHost {
    fn drop(&mut self) {
        let _ = self.child.kill(); // a frozen one too; one that has ended already is what we want
        let _ = self.child.wait();
    }
}
