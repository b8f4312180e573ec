//! `cargo xtask`: sets up a machine, builds the plugins, runs a Kafka, and checks everything.
//! Lives here: which tools are needed and where they come from; the order of the checks; what each step took.
//! Must not know: how any of it works inside. It starts cargo, Maven, pip and java, and compiles in seconds.
//! Start at [`test`], which uses all the rest; a command is a file.

mod bench;
mod cargo;
mod demo;
mod generate;
mod host;
mod http;
mod kafka;
mod maven;
mod oracle;
mod paths;
mod plugins;
mod port;
mod process;
mod setup;
mod step;
mod swap;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup                                  install what is missing: a wasm32 target, libraries, Java, Python tools
  plugins                                build every plugin into target/plugins/NAME.wasm
  kafka start [--port P] [--dir D]       a single-node Apache Kafka; its ports are P to P+4 (default 19092)
  kafka stop [--port P] [--dir D]        stop it; its data stays in D (default target/kafka-P)
  test [FILTER]                          every check; with FILTER only the tests whose name holds it
  demo [--kafka [HOST:PORT]] [--once]    the orders example at work, its plugin swapped meanwhile; with --once it ends after
                                         its report, and fails if a figure is wrong
  generate EXAMPLE [--rows N] [--seed S] realistic input for an example, as `weir produce` takes it
  bench [--runs N] [--orders N] [PART...]  Weir against Kafka Streams and a bare librdkafka copy; PART: forward, validate,
                                         latency, embedded, swap

Each command first does what it needs of the commands above it. Settings: CARGO_TARGET_DIR, WEIR_CACHE (~/.cache/weir).";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["setup"] => {
            setup::run()?;
            setup::install_for_rocksdb()?;
            oracle::prepare()
        }
        ["plugins"] => {
            setup::run()?;
            plugins::run()
        }
        ["kafka", "start", options @ ..] => kafka::start(&kafka::Place::parse(options)?),
        ["kafka", "stop", options @ ..] => kafka::stop(&kafka::Place::parse(options)?),
        ["test"] => test::run(None),
        ["test", filter] if !filter.starts_with('-') => test::run(Some(filter)),
        ["demo", options @ ..] => demo::run(options),
        ["generate", example, options @ ..] => generate::run(example, options),
        ["bench", options @ ..] => bench::run(options),
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("which command?\n\n{USAGE}"),
        other => bail!("unknown: `cargo xtask {}`\n\n{USAGE}", other.join(" ")),
    }
}
