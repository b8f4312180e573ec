//! What several commands read: a topology file, a log's address.

use std::path::Path;
use std::time::Duration;

use weir_core::topology::Topology;

use crate::host::internal;
use crate::problem::{Kind, Problem};

/// The topology of a file.
///
/// # Errors
/// There is no such file, or it is wrong: every mistake with its line.
pub fn topology(path: &Path) -> Result<Topology, Problem> {
    parsed(path).map(|(topology, _)| topology)
}

/// The topology of a file, and its text.
///
/// # Errors
/// As for [`topology`].
pub fn parsed(path: &Path) -> Result<(Topology, String), Problem> {
    let text = read(path)?;
    let text = String::from_utf8(text)
        .map_err(|error| Problem::invalid(format!("{} is not UTF-8 text: {error}", path.display())))?;
    let topology = weir_core::topology::parse(&path.display().to_string(), &text);
    topology.map(|topology| (topology, text)).map_err(|diagnostics| Problem::topology(&diagnostics))
}

/// Partitions of each topic and tasks of each part of `topology`, as far as its file tells them.
#[must_use]
pub fn counts(topology: &Topology) -> (Vec<Option<i32>>, Vec<Option<i32>>) {
    let declared = topology.topics.iter().filter_map(|topic| Some((topic.name.clone(), topic.partitions?)));
    let mut counts: internal::Counts = declared.collect();
    internal::plan(topology, &mut counts);
    let partitions = topology.topics.iter().map(|topic| counts.get(&topic.name).copied()).collect();
    let parts = 0..topology.subtopologies.len();
    (partitions, parts.map(|part| internal::tasks(topology, part, &counts)).collect())
}

/// The bytes of a file.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::not_found(format!("there is no file {}", path.display())),
        _ => Problem::failed(format!("cannot read {}: {error}", path.display())),
    })
}

/// How often a broker is asked before it counts as unreachable: one that has just started may refuse at first.
const TRIES_MAX: usize = 3;

/// How long to wait in between.
const TRY_PAUSE: Duration = Duration::from_millis(300);

/// Does what needs a broker, again where it does not answer at once.
///
/// # Errors
/// Those of `work`.
pub fn patiently<T>(mut work: impl FnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let mut tries = 1;
    loop {
        match work() {
            Err(problem) if problem.kind == Kind::Unreachable && tries < TRIES_MAX => {}
            done => return done,
        }
        tries += 1;
        // A broker that is not there tells nobody when it comes.
        std::thread::sleep(TRY_PAUSE);
    }
}

/// How to reach a Kafka; without it the embedded log is meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KafkaArgs {
    /// Kafka brokers; without them the embedded log is used
    #[arg(long, value_name = "HOST:PORT", env = "WEIR_BOOTSTRAP")]
    pub bootstrap: Option<String>,
    /// A property for every Kafka client, such as security.protocol=sasl_ssl
    #[arg(long = "kafka-property", value_name = "NAME=VALUE", value_parser = crate::units::property)]
    pub kafka_properties: Vec<(String, String)>,
}
