//! Which crate may depend on which: the arrows of the layout, `core <- wasm, log, kafka, rocksdb, testing <- server <- tests`.
//! What a crate may use of the workspace is listed; what it must not pull in from elsewhere, however indirectly, too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::run;

/// What the engine must not even be able to do: wait, talk, store, run guests, read a clock, roll dice.
const SHELL: &[&str] =
    &["tokio", "mio", "rdkafka", "rdkafka-sys", "rocksdb", "librocksdb-sys", "wasmtime", "axum", "hyper", "ureq"];
const CHANCE: &[&str] = &["rand", "getrandom", "chrono", "time"];
const KAFKA: &[&str] = &["rdkafka", "rdkafka-sys"];
const GUESTS: &[&str] = &["wasmtime"];
const WEB: &[&str] = &["axum", "hyper", "ureq"];

struct Law {
    name: &'static str,
    /// Crates of the workspace that it may use; a crate's own tests may use `weir-testing` as well.
    may_use: &'static [&'static str],
    /// Crates that it must not pull in.
    must_not_reach: &'static [&'static [&'static str]],
}

#[rustfmt::skip]
const LAWS: &[Law] = &[
    Law { name: "weir-core",    may_use: &[],            must_not_reach: &[SHELL, CHANCE] },
    Law { name: "weir-wasm",    may_use: &["weir-core"], must_not_reach: &[KAFKA, WEB, &["tokio"]] },
    Law { name: "weir-log",     may_use: &["weir-core"], must_not_reach: &[KAFKA, WEB, GUESTS, &["tokio"]] },
    Law { name: "weir-kafka",   may_use: &["weir-core"], must_not_reach: &[WEB, GUESTS, &["tokio"]] },
    Law { name: "weir-rocksdb", may_use: &["weir-core"], must_not_reach: &[KAFKA, WEB, GUESTS, &["tokio"]] },
    Law { name: "weir-testing", may_use: &["weir-core"], must_not_reach: &[SHELL] },
    Law { name: "weir-server",  may_use: &["weir-core", "weir-wasm", "weir-log", "weir-kafka", "weir-rocksdb", "weir-testing"], must_not_reach: &[] },
    Law { name: "weir-macros",  may_use: &[],              must_not_reach: &[SHELL, CHANCE] },
    Law { name: "weir",         may_use: &["weir-macros"], must_not_reach: &[SHELL, CHANCE] },
    Law { name: "xtask",        may_use: &[],              must_not_reach: &[SHELL] },
    Law { name: "weir-tests",   may_use: &["weir-core", "weir-wasm", "weir-log", "weir-kafka", "weir-testing"], must_not_reach: &[] },
];
/// All others are plugins and guests.
const PLUGIN: Law = Law { name: "a plugin", may_use: &["weir", "weir-macros"], must_not_reach: &[SHELL, CHANCE] };

fn law_of(name: &str) -> &'static Law {
    LAWS.iter().find(|law| law.name == name).unwrap_or(&PLUGIN)
}

/// Uses of one crate of the workspace by another, each with whether only the user's own tests have it.
type Uses = BTreeMap<String, BTreeSet<(String, bool)>>;

fn workspace_uses(metadata: &Value) -> Uses {
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let uses = |package: &Value| {
        let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
        let uses = dependencies.iter().map(|it| (name(it), it["kind"] == "dev"));
        uses.filter(|(used, _)| members.contains(used)).collect()
    };
    packages.iter().map(|package| (name(package), uses(package))).collect()
}

fn forbidden_uses(uses: &Uses) -> Vec<String> {
    let mut faults = Vec::new();
    for (user, used) in uses {
        for (used, only_in_tests) in used {
            let is_fine = law_of(user).may_use.contains(&used.as_str())
                || (*only_in_tests && ["weir-testing", "weir-core"].contains(&used.as_str()));
            if !is_fine {
                faults.push(format!("{user} must not use {used}: see the arrows in host/ARCHITECTURE.md"));
            }
        }
    }
    faults
}

/// `tree` is what `cargo tree --prefix none` prints: a crate per line, its name first.
fn forbidden_reach(law: &Law, name: &str, tree: &str) -> Vec<String> {
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let forbidden = law.must_not_reach.iter().flat_map(|list| list.iter()).filter(|it| reached.contains(*it));
    forbidden
        .map(|it| format!("{name} pulls in {it}: `cargo tree -p {name} -e normal,build -i {it}` shows the way"))
        .collect()
}

fn metadata() -> Value {
    let text = run(env!("CARGO"), &["metadata", "--no-deps", "--format-version", "1"]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("cargo metadata printed no JSON: {error}"))
}

#[test]
fn the_arrows_between_crates_run_one_way() {
    let uses = workspace_uses(&metadata());
    for law in LAWS {
        assert!(uses.contains_key(law.name), "there is no crate {} any more: take its law away", law.name);
    }
    let faults = forbidden_uses(&uses);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_crate_pulls_in_what_it_must_not_know() {
    let mut faults = Vec::new();
    for name in workspace_uses(&metadata()).keys() {
        let arguments =
            ["tree", "--locked", "--offline", "--prefix", "none", "--edges", "normal,build", "--package", name];
        faults.extend(forbidden_reach(law_of(name), name, &run(env!("CARGO"), &arguments)));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn an_arrow_that_runs_the_other_way_is_found() {
    let uses = |user: &str, used: &str, only_in_tests| {
        forbidden_uses(&BTreeMap::from([(user.to_owned(), BTreeSet::from([(used.to_owned(), only_in_tests)]))]))
    };
    assert_eq!(uses("weir-core", "weir-log", false).len(), 1);
    assert_eq!(uses("weir-wasm", "weir-kafka", false).len(), 1);
    assert_eq!(uses("weir-log", "weir-testing", false).len(), 1);
    assert_eq!(uses("order-details", "weir-core", false).len(), 1);
    assert!(uses("weir-log", "weir-core", false).is_empty());
    assert!(uses("weir-log", "weir-testing", true).is_empty());
}

#[test]
fn a_forbidden_crate_is_found_however_deep_it_lies() {
    let tree = "weir-core v0.1.0\ncel v0.15.0\nmio v1.0.0\nserde v1.0.0 (*)";
    assert_eq!(forbidden_reach(law_of("weir-core"), "weir-core", tree).len(), 1);
}
