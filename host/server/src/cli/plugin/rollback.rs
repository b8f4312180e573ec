use std::time::Duration;

use super::{exit, line};
use crate::cli::Out;
use crate::cli::client::{Client, HostArgs, Request, escape};
use crate::deploy::view::View;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::units;

/// Lets a node run what it ran before. Exit 3: nothing else ever ran there.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// The node
    node: String,
    /// How long to wait until every task runs it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    wait: Duration,
    #[command(flatten)]
    host: HostArgs,
}

impl Rollback {
    /// Rolls back.
    ///
    /// # Errors
    /// The host's problem.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let path = format!("nodes/{}/plugin/rollback?wait={}ms", escape(&self.node), self.wait.as_millis());
        let view: View = Client::new(&self.host).post(&Request { path: &path, headers: &[], body: &[] })?;
        out.data(&view, line)?;
        Ok(exit(&view))
    }
}
