//! The command line: a command per file, its arguments beside what it does. Their doc comments are the help.

mod check;
mod client;
mod describe;
mod diff;
mod graph;
mod inspect;
mod out;
mod plugin;
mod produce;
mod reset;
mod run;
pub mod source;
mod status;
mod store;
mod tail;
mod test;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
pub use out::{Format, Out};

/// Stream processing on Kafka, its logic in WebAssembly plugins.
///
/// Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unreachable, 6 invalid. Data goes to stdout, words to
/// stderr.
#[derive(Parser)]
#[command(name = "weir", version, max_term_width = 100)]
pub struct Cli {
    /// How data is written to stdout
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, env = "WEIR_OUTPUT")]
    output: Format,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Where data and words go.
    #[must_use]
    pub fn out(&self) -> Out {
        Out::new(self.output)
    }
}

/// What the binary can do. A command's help is the doc comment of its arguments.
#[derive(Subcommand)]
pub enum Command {
    Run(run::Run),
    Check(check::Check),
    Describe(describe::Describe),
    Graph(graph::Graph),
    Test(test::Test),
    Inspect(inspect::Inspect),
    Produce(produce::Produce),
    Tail(tail::Tail),
    Diff(diff::Diff),
    Reset(reset::Reset),
    Status(status::Status),
    /// Reads the committed state of a running host.
    #[command(subcommand)]
    Store(store::Store),
    /// Uploads, deploys and rolls back plugins of a running host.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// [`Problem`], to be shown; its kind is the exit code.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        if out.format().is_picture() && !matches!(self, Self::Graph(_)) {
            return Err(Problem::bad_request("only `weir graph` draws: write -o text, json or jsonl"));
        }
        match self {
            Self::Run(command) => command.run(out),
            Self::Check(command) => command.run(out),
            Self::Describe(command) => command.run(out),
            Self::Graph(command) => command.run(out),
            Self::Test(command) => command.run(out),
            Self::Inspect(command) => command.run(out),
            Self::Produce(command) => command.run(out),
            Self::Tail(command) => command.run(out),
            Self::Diff(command) => command.run(out),
            Self::Reset(command) => command.run(out),
            Self::Status(command) => command.run(out),
            Self::Store(command) => command.run(out),
            Self::Plugin(command) => command.run(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
