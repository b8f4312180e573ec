//! The binary `weir`: a host of stream threads, and the shell that talks to one.
//!
//! Lives here: command line, state directory, stream threads as OS threads, deployments, REST, metrics.
//! Must not know: what a step does (core), how bytes lie on a wire or disk (kafka, log), how a guest is called (wasm).
//! Start at [`cli::run::Run::run`], the life of a host; a REST route is a file in [`rest`], a command one in [`cli`].

mod cli;
mod deploy;
mod exit;
mod golden;
mod host;
mod line;
mod problem;
mod records;
mod reset;
mod rest;
mod show;
mod state_dir;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let out = cli.out();
    match cli.command.run(&out) {
        Ok(exit) => exit.into(),
        Err(problem) => {
            out.problem(&problem);
            problem.exit().into()
        }
    }
}
