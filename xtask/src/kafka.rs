//! A real Apache Kafka on this machine: one node that is broker and controller, from its published jars.
//!
//! Five ports: P for clients, P+1 for the controller, P+2 for clients that come through a proxy, who are told to
//! connect to P+3, where the proxy listens, P+4 for clients that say who they are (SASL PLAIN: user `weir`, password
//! `right`). A client that bootstraps at P+3 thus never goes around the proxy.

mod broker;
mod health;

pub use broker::{Broker, Place, start, stop};

use std::path::PathBuf;

use anyhow::Result;

use crate::{maven, paths};

/// The version in xtask/kafka/pom.xml: a test compares the two.
const VERSION: &str = "4.3.1";

/// Where the jars are: once for all clones of a user.
pub fn jars() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("kafka-{VERSION}")))
}

/// Whether they are complete.
pub fn has_jars() -> bool {
    jars().is_ok_and(|jars| maven::has_jars(&jars))
}

/// Lets Maven fetch the jars, once.
pub fn fetch_jars() -> Result<()> {
    maven::fetch("kafka", &format!("Apache Kafka {VERSION}"), "xtask/kafka/pom.xml", &jars()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_version_is_the_one_that_maven_fetches() {
        let pom = fs::read_to_string(paths::root().join("xtask/kafka/pom.xml")).unwrap();
        assert!(pom.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
