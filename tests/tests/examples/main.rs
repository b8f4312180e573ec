//! Every example passes its golden cases; its topology is one that `weir check` has nothing to say against; and on both
//! transports it gives what is reckoned here, in another way, of the rows that its generator makes.

mod stock_stats;
mod word_count;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_tests::Kafka;
use weir_tests::host::{HostOptions, WeirHost, plugin_folder, weir_binary, xtask_binary};
use weir_tests::wait;

/// Where the examples' topologies look for plugins, seen from their folder.
const PLUGINS: &str = "../../target/plugins";
const READY_WAIT: Duration = Duration::from_secs(60);
/// Results that have not come by then never will.
const RESULTS_WAIT: Duration = Duration::from_secs(60);

/// A copy of an example that finds the plugins of this run.
struct Example {
    name: &'static str,
    home: TempDir,
}

impl Example {
    fn new(name: &'static str) -> Result<Self> {
        let it = Self { name, home: tempfile::tempdir()? };
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        let plugins = plugin_folder();
        let plugins = plugins.to_str().context("the folder of plugins has a name in UTF-8")?;
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            fs::create_dir_all(it.folder().join(&folder))?;
            for entry in fs::read_dir(from.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(entry.path())?;
                    fs::write(it.folder().join(path), text.replace(PLUGINS, plugins))?;
                }
            }
        }
        Ok(it)
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join(self.name)
    }

    fn topology(&self) -> PathBuf {
        self.folder().join("topology.yaml")
    }

    /// Its topics and its application get names of their own: others use this Kafka too.
    fn rename(&self, kafka: &Kafka, topics: &[&str]) -> Result<Names> {
        let mut text = fs::read_to_string(self.topology())?;
        let prefix = kafka.unique(self.name);
        for topic in topics {
            let (begin, sink) = (format!("\n  {topic}: "), format!("sink: {topic} }}"));
            text = text.replacen(&begin, &format!("\n  {prefix}-{topic}: "), 1);
            text = text.replace(&sink, &format!("sink: {prefix}-{topic} }}"));
            text = text.replace(&format!("source: {topic} }}"), &format!("source: {prefix}-{topic} }}"));
        }
        let application = format!("application: {}", self.name);
        fs::write(self.topology(), text.replace(&application, &format!("application: {prefix}")))?;
        Ok(Names { prefix: format!("{prefix}-") })
    }

    fn host(&self, host: &str) -> HostOptions {
        HostOptions::new(self.topology(), self.home.path().join(host))
    }
}

/// What the topics of an example are called.
#[derive(Default)]
struct Names {
    prefix: String,
}

impl Names {
    fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The hosts of an example on one transport.
struct Stage {
    // First, so that hosts end before their folders go.
    hosts: Vec<WeirHost>,
    names: Names,
    example: Example,
}

impl Stage {
    /// One host on the embedded log.
    fn embedded(name: &'static str) -> Result<Self> {
        let example = Example::new(name)?;
        let hosts = vec![WeirHost::start_ready(&example.host("host"), READY_WAIT)?];
        Ok(Self { hosts, names: Names::default(), example })
    }

    /// So many hosts on Kafka, where each makes topics that are missing.
    fn kafka(name: &'static str, topics: &[&str], count: usize) -> Result<Self> {
        let (example, kafka) = (Example::new(name)?, Kafka::from_env()?);
        let names = example.rename(&kafka, topics)?;
        let options = |host| example.host(&format!("host-{host}")).bootstrap(kafka.address());
        let hosts = (0..count).map(|host| WeirHost::start_ready(&options(host), READY_WAIT)).collect::<Result<_>>()?;
        Ok(Self { hosts, names, example })
    }

    /// Pipes rows of the example's generator into `weir produce`, as its README says. Returns them.
    fn generate(&self, topic: &str, rows: u64, seed: u64) -> Result<Vec<Value>> {
        let mut generator = Command::new(xtask_binary()?);
        generator.args(["generate", self.example.name, "--rows", &rows.to_string(), "--seed", &seed.to_string()]);
        let made = generator.output().context("cannot start xtask")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut produce = Command::new(weir_binary()?);
        produce.args(["produce", &self.names.topic(topic), "--host", self.hosts[0].address()]);
        let mut child = produce.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot start weir")?;
        child.stdin.take().context("its input is piped")?.write_all(&made.stdout)?;
        ensure!(child.wait()?.success(), "weir produce has failed");
        let lines = String::from_utf8(made.stdout)?;
        lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// All committed records of a topic, as `weir tail` gives them.
    fn tail(&self, topic: &str) -> Result<Vec<Value>> {
        let topic = self.names.topic(topic);
        let lines = weir(&["tail", &topic, "--from", "beginning", "--until-end", "--host", self.hosts[0].address()])?;
        lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Waits until `judge` has nothing to object, and asks again a moment later: what is doubled may come last.
    fn wait(&self, judge: impl Fn(&Self) -> Result<Option<String>>) -> Result<()> {
        const MOMENT: Duration = Duration::from_millis(500);
        let mut objection = None;
        let done = wait::until("the results are right", RESULTS_WAIT, || {
            objection = judge(self)?;
            Ok(objection.is_none().then_some(()))
        });
        done.with_context(|| objection.clone().unwrap_or_default())?;
        std::thread::sleep(MOMENT);
        ensure!(judge(self)?.is_none(), "right first, and then: {:?}", judge(self)?);
        Ok(())
    }

    fn end(self) -> Result<()> {
        for host in self.hosts {
            ensure!(host.terminate()?.success(), "the host did not end well");
        }
        Ok(())
    }
}

fn weir(arguments: &[&str]) -> Result<String> {
    let output = Command::new(weir_binary()?).args(arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "weir {}: {text}{errors}", arguments.join(" "));
    Ok(text.into_owned())
}

/// Its golden cases, and `weir check`.
fn passes(name: &'static str) -> Result<()> {
    let example = Example::new(name)?;
    let topology = example.topology();
    let checked = weir(&["check", topology.to_str().context("a path in UTF-8")?])?;
    ensure!(!checked.contains("warning"), "{checked}");
    let tested = weir(&["test", example.folder().to_str().context("a path in UTF-8")?])?;
    ensure!(tested.contains("1 passed, 0 failed"), "{tested}");
    Ok(())
}
