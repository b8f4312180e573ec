//! Every example that has golden cases passes them, and its topology is one that `weir check` has nothing to say against.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests are named as sentences")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the examples' topologies look for plugins, seen from their folder.
const PLUGINS: &str = "../../target/plugins";

/// A copy of example `name` in `home` that finds the plugins of this run.
fn copy(name: &str, home: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let to = home.join(name);
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(&folder)).unwrap();
        for entry in fs::read_dir(from.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(entry.path()).unwrap();
                fs::write(to.join(path), text.replace(PLUGINS, weir_tests::host::plugin_folder().to_str().unwrap()))
                    .unwrap();
            }
        }
    }
    to
}

fn weir(arguments: &[&str]) -> String {
    let output = Command::new(weir_tests::host::weir_binary().unwrap()).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "weir {}: {text}", arguments.join(" "));
    text
}

fn passes(name: &str) {
    let home = tempfile::tempdir().unwrap();
    let example = copy(name, home.path());
    let checked = weir(&["check", example.join("topology.yaml").to_str().unwrap()]);
    assert!(!checked.contains("warning"), "{checked}");
    let tested = weir(&["test", example.to_str().unwrap()]);
    assert!(tested.contains("1 passed, 0 failed"), "{tested}");
}

#[test]
fn word_count_counts_the_words_of_its_case() {
    passes("word-count");
}

#[test]
fn stock_stats_has_the_windows_of_its_case() {
    passes("stock-stats");
}
