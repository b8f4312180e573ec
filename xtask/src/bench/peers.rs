//! Who is measured, and the command that runs each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::classes;
use crate::process::capture;
use crate::{kafka, paths};

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Kafka Streams, exactly once, 100 ms commit, one thread.
    Streams,
    /// A bare librdkafka copy: what no processor on librdkafka can pass.
    Echo,
    /// Weir with its default settings.
    Weir,
}

/// Where the host under measurement listens.
pub const LISTEN: &str = "127.0.0.1:18480";

/// Who forwards.
pub const FORWARD: &[Peer] = &[Peer::Streams, Peer::Echo, Peer::Weir];
/// Who validates: a copy cannot.
pub const VALIDATE: &[Peer] = &[Peer::Streams, Peer::Weir];

impl Peer {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "Kafka Streams",
            Self::Echo => "bare copy",
            Self::Weir => "Weir",
        }
    }

    /// The command that runs a topology, by its name here and in the peer, for consumer group `group` from one topic to
    /// another.
    pub fn command(
        self,
        (topology, in_streams): (&str, &str),
        group: &str,
        topics: (&str, &str),
        bench: &super::Bench,
    ) -> Result<Vec<String>> {
        let (input, output) = topics;
        let binary = |name: &str| paths::target().join("release").join(name).display().to_string();
        Ok(match self {
            Self::Streams => {
                let classpath = format!("{}/*:{}", kafka::jars()?.display(), classes(bench.folder()).display());
                let options = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &classpath, "Bench"];
                let java = std::iter::once("java").chain(options);
                java.chain([in_streams, group, input, output]).map(str::to_owned).collect()
            }
            Self::Echo => vec![binary("echo"), group.into(), input.into(), output.into()],
            Self::Weir => {
                let file = topology_file(topology, group, topics, bench.folder())?;
                let state = bench.folder().join("state").join(group).display().to_string();
                let run = [&binary("weir"), "run", &file, "--bootstrap", bench.bootstrap(), "--state-dir", &state];
                run.map(str::to_owned).into_iter().chain(["--listen".into(), LISTEN.into()]).collect()
            }
        })
    }
}

/// Writes `topology` with these names; returns its path.
pub fn topology_file(topology: &str, group: &str, topics: (&str, &str), folder: &Path) -> Result<String> {
    let template = paths::root().join(format!("tests/bench/topologies/{topology}.yaml"));
    let text = std::fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let text = text
        .replace("APPLICATION", group)
        .replace("INPUT", topics.0)
        .replace("OUTPUT", topics.1)
        .replace("PLUGINS", &paths::plugins().display().to_string());
    let file = folder.join(format!("{group}.yaml"));
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file.display().to_string())
}

/// Compiles the Kafka Streams peer.
pub fn compile(folder: &Path) -> Result<()> {
    let source = paths::root().join("tests/bench/streams/Bench.java");
    let classpath = format!("{}/*", kafka::jars()?.display());
    let mut javac = Command::new("javac");
    javac.args(["-cp", &classpath, "-d"]).arg(classes(folder)).arg(source);
    capture(&mut javac).context("the peer needs a JDK, not only a JRE: `apt-get install openjdk-17-jdk-headless`")?;
    Ok(())
}
