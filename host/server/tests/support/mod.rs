//! A host of the built binary on an embedded log of its own, and the shell against it.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is test code, though no function here is a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a host may take to become ready on a loaded machine.
const READY_MAX: Duration = Duration::from_secs(30);

/// Filters and routes, without a plugin.
pub const FILTER: &str = r#"
application: shop
topics:
  orders:  { key: string, value: json, partitions: 2 }
  created: { key: string, value: json, partitions: 2 }
nodes:
  orders:  { source: orders }
  new:     { from: orders, filter: value.state == "CREATED", on-error: skip }
  created: { from: new, sink: created }
"#;

/// Where `cargo xtask plugins` leaves plugins.
pub fn plugin_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    std::env::var_os("WEIR_PLUGINS").map_or_else(|| target.join("plugins"), PathBuf::from)
}

/// A plugin's component.
pub fn plugin(name: &str) -> PathBuf {
    let path = plugin_dir().join(format!("{name}.wasm"));
    assert!(path.is_file(), "there is no {}: build it with `cargo xtask plugins`", path.display());
    path
}

/// The binary with `arguments`.
pub fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments);
    for name in ["BOOTSTRAP", "HOST", "OUTPUT", "STATE_DIR", "LISTEN", "THREADS", "LOG"] {
        command.env_remove(format!("WEIR_{name}"));
    }
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str], stdin: &str) -> Output {
    let mut command = weir(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("weir starts");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("weir reads");
    child.wait_with_output().expect("weir ends")
}

/// What a command left: exit code, stdout, stderr.
pub fn left(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A topology file in `dir`.
pub fn topology(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("topology.yaml");
    std::fs::write(&path, text).expect("a file");
    path
}

/// A running host.
pub struct Host {
    child: Child,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Host {
    /// On `dir/state`, with `more` arguments.
    pub fn start(dir: &Path, text: &str, more: &[&str]) -> Self {
        let (file, state) = (topology(dir, text), dir.join("state"));
        let mut arguments = vec!["run", file.to_str().expect("text"), "--listen", "127.0.0.1:0"];
        arguments.extend(["--state-dir", state.to_str().expect("text"), "--log-format", "json"]);
        arguments.extend(more);
        let mut child = weir(&arguments).stderr(Stdio::piped()).spawn().expect("weir starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the host ended:\n{}", seen.join("\n")) };
            if let Some((_, address)) = line.split_once("weir at http://") {
                break address.split('"').next().expect("some").to_owned();
            }
            seen.push(line);
        };
        // The log is read on, or the host would wait for its reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self { child, address }
    }

    /// The same, once it is ready.
    pub fn ready(dir: &Path, text: &str, more: &[&str]) -> Self {
        let host = Self::start(dir, text, more);
        let until = Instant::now() + READY_MAX;
        while host.get("/readyz").0 != 200 {
            assert!(Instant::now() < until, "not ready: {:?}", host.get("/readyz"));
            std::thread::sleep(Duration::from_millis(20));
        }
        host
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).build().into()
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = Self::agent().get(format!("http://{}{path}", self.address)).call().expect("an answer");
        (answer.status().as_u16(), answer.into_body().read_to_string().expect("text"))
    }

    /// Status and body of a PUT.
    pub fn put(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, serde_json::Value) {
        let put = Self::agent().put(format!("http://{}{path}", self.address));
        let put = headers.iter().fold(put, |put, (name, value)| put.header(*name, *value));
        let answer = put.send(body).expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string().expect("text");
        (status, serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
    }

    /// Status and body of a POST.
    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        let answer = Self::agent().post(format!("http://{}{path}", self.address)).send(body).expect("an answer");
        (answer.status().as_u16(), answer.into_body().read_to_string().expect("text"))
    }

    /// The shell against it.
    pub fn shell(&self, arguments: &[&str], stdin: &str) -> (i32, String, String) {
        let mut all = arguments.to_vec();
        all.extend(["--host", &self.address]);
        left(&run(&all, stdin))
    }

    /// The lines of `topic`, once there are `count`.
    pub fn lines(&self, topic: &str, count: usize) -> Vec<serde_json::Value> {
        let until = Instant::now() + READY_MAX;
        loop {
            let (exit, lines, words) = self.shell(&["tail", topic, "--from", "beginning", "--until-end"], "");
            assert_eq!(exit, 0, "{words}");
            let lines: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < until, "{} of {count} lines in {topic}", lines.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM; the exit code.
    pub fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs").success());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
