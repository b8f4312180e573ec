//! `cargo xtask test`: every check there is, in one order, each with its time. .ci/run runs just this.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::kafka::Broker;
use crate::process::{run as run_command, shown};
use crate::step::{is_terminal, step};
use crate::{oracle, paths, plugins, setup};

/// How long the tests themselves may run: a test that hangs must not hang whoever waits for the answer.
const TESTS_WAIT: Duration = Duration::from_secs(40 * 60);

/// All checks; or, with a filter, what is needed to run the tests whose name holds it.
pub fn run(filter: Option<&str>) -> Result<()> {
    let begin = Instant::now();
    setup::run()?;
    setup::install_for_rocksdb()?;
    oracle::prepare()?;
    if filter.is_none() {
        step("format", "cargo fmt --check", || run_command(cargo("fmt")?.args(["--all", "--check"])))?;
        let lint = "cargo clippy --release --workspace --all-targets, warnings are errors";
        step("clippy", lint, || {
            let arguments = ["--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
            run_command(compile("clippy")?.args(arguments))
        })?;
    }
    plugins::run()?;
    step("build", "the host and all tests", || {
        // Builds `weir` as well, for the tests of its package. A `cargo build` of its own would compile wasmtime once more:
        // without the tests' dependencies it has other features.
        run_command(compile("test")?.args(["--release", "--workspace", "--no-run"]))
    })?;
    let broker = step("kafka", "start Apache Kafka for the end-to-end tests", Broker::start_for_tests)?;
    let count = step("tests", "cargo test --release --workspace", || run_tests(filter, &broker.address()))?;
    drop(broker);
    println!("==> all      {:.0} s", begin.elapsed().as_secs_f64());
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.ignored);
    if count.failed > 0 || !count.succeeded {
        bail!("not every test passed: the first lines that say FAILED tell which");
    }
    if count.passed == 0 {
        bail!("no test was run: does any name hold `{}`?", filter.unwrap_or_default());
    }
    Ok(())
}

/// A compilation: cargo's progress for a person, and not hundreds of lines for nobody.
fn compile(subcommand: &str) -> Result<Command> {
    let mut command = cargo(subcommand)?;
    command.args((!is_terminal()).then_some("--quiet"));
    Ok(command)
}

/// The sum of cargo's `test result` lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
    succeeded: bool,
}

impl Count {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; other lines change nothing.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let (_, result) = result.split_once(". ").unwrap_or_default();
        for part in result.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap_or_default();
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn run_tests(filter: Option<&str>, kafka: &str) -> Result<Count> {
    let mut command = cargo("test")?;
    command.args(["--release", "--workspace", "--no-fail-fast"]).args(filter);
    command.env("WEIR_TEST_KAFKA", kafka).env("WEIR_ORACLE", oracle::classpath()?);
    command.env("WEIR_XTASK", std::env::current_exe().context("this program has no path")?);
    command.env("WEIR_BIN", paths::target().join("release/weir")).env("WEIR_PLUGINS", paths::plugins());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(&command)))?;
    let output = child.stdout.take().context("cargo's output is piped")?;
    exit_after(TESTS_WAIT);
    let mut count = Count::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        count.add(&line);
    }
    count.succeeded = child.wait()?.success();
    Ok(count)
}

/// Ends this process, and with it the Kafka that hangs on it, unless it has ended by itself.
fn exit_after(wait: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(wait);
        eprintln!("error: the tests are still running after {wait:?}; the last line above tells where they hang");
        std::process::exit(1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_summed() {
        let mut count = Count::default();
        count.add("running 4 tests");
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s");
        assert_eq!(count, Count { passed: 4, failed: 2, ignored: 1, succeeded: false });
    }
}
