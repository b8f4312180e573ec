//! What several commands read: a topology file, a log's address.

use std::path::Path;
use std::time::Duration;

use weir_core::topology::Topology;

use crate::problem::{Kind, Problem};

/// The topology of a file.
///
/// # Errors
/// There is no such file, or it is wrong: every mistake with its line.
pub fn topology(path: &Path) -> Result<Topology, Problem> {
    let text = read(path)?;
    let text = String::from_utf8(text)
        .map_err(|error| Problem::invalid(format!("{} is not UTF-8 text: {error}", path.display())))?;
    weir_core::topology::parse(&path.display().to_string(), &text)
        .map_err(|diagnostics| Problem::topology(&diagnostics))
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
