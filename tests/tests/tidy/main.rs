//! The house rules that no compiler checks: what may depend on what, how long a file may be, what no file may say.
//! Each rule is a function from a file's text to what is wrong with it, with a test beside it that a planted fault is
//! found; here they are held against every file that git tracks.

#![allow(clippy::panic, reason = "a test's helper fails the test")]

mod dependencies;
mod links;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

/// A file of the project.
pub struct Source {
    /// Its path from the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The root of this clone.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command in the root and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every text file that git tracks and that is there: a test before a commit sees what is about to be in it.
fn sources() -> Vec<Source> {
    let listed = run("git", &["ls-files", "--cached", "--others", "--exclude-standard"]);
    let read = |path: &str| Some(Source { path: path.to_owned(), text: fs::read_to_string(root().join(path)).ok()? });
    let sources: Vec<Source> = listed.lines().filter_map(read).collect();
    assert!(sources.len() > 50, "git lists only {} files: these rules would pass on nothing", sources.len());
    sources
}

fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|source| {
            let path = source.path.clone();
            rule(source).into_iter().zip(iter::repeat(path)).map(|(fault, path)| format!("{path}: {fault}"))
        })
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_are_short() {
    hold(text::too_long);
}

#[test]
fn no_file_speaks_of_what_is_not_the_project() {
    hold(text::forbidden_words);
}

#[test]
fn a_host_that_sleeps_says_why() {
    hold(text::unexplained_sleep);
}

#[test]
fn every_crate_begins_with_what_it_is_for() {
    hold(text::missing_header);
}

#[test]
fn unsafe_code_is_in_one_file_of_a_crate() {
    let faults = text::scattered_unsafe(&sources());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    hold(|source| links::broken(source, &root()));
}
