//! What Kafka Streams itself answers: the tests' Java program, its jars fetched and its class compiled.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::capture;
use crate::step::step;
use crate::{maven, paths, setup};

/// The version in tests/oracle/pom.xml: a test compares the two.
const VERSION: &str = "4.3.1";

/// Fetches and compiles what is missing.
pub fn prepare() -> Result<()> {
    setup::install_jdk()?;
    fetch_jars()?;
    compile()
}

/// What `java -cp` is to be given: the tests find it in `WEIR_ORACLE`.
pub fn classpath() -> Result<String> {
    Ok(format!("{}/*:{}", jars()?.display(), classes().display()))
}

/// Where the jars are: once for all clones of a user.
fn jars() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("oracle-{VERSION}")))
}

/// Where the compiled program is: each clone has its own, as each has its own source.
fn classes() -> PathBuf {
    paths::target().join("oracle")
}

fn fetch_jars() -> Result<()> {
    maven::fetch("oracle", &format!("Kafka Streams {VERSION}"), "tests/oracle/pom.xml", &jars()?)
}

fn compile() -> Result<()> {
    let source = paths::root().join("tests/oracle/Oracle.java");
    let text = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    // The text that the class was made from, kept beside it: file times say nothing after a checkout.
    let compiled = classes().join("Oracle.java");
    if fs::read_to_string(&compiled).is_ok_and(|compiled| compiled == text) {
        return Ok(());
    }
    step("oracle", "compile tests/oracle/Oracle.java", || {
        fs::create_dir_all(classes()).with_context(|| format!("cannot make {}", classes().display()))?;
        let mut javac = Command::new("javac");
        javac.args(["-cp", &format!("{}/*", jars()?.display()), "-d"]).arg(classes()).arg(&source);
        capture(&mut javac)?;
        fs::write(&compiled, text).with_context(|| format!("cannot write {}", compiled.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_maven_fetches() {
        let pom = fs::read_to_string(paths::root().join("tests/oracle/pom.xml")).unwrap();
        assert!(pom.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
