use super::line;
use crate::cli::Out;
use crate::cli::client::{Client, HostArgs, escape};
use crate::deploy::view::View;
use crate::exit::Exit;
use crate::problem::Problem;

/// The deployments of a node, newest first.
#[derive(Debug, clap::Args)]
pub struct History {
    /// The node
    node: String,
    #[command(flatten)]
    host: HostArgs,
}

impl History {
    /// Asks the host.
    ///
    /// # Errors
    /// The host's problem.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let path = format!("nodes/{}/plugin/history", escape(&self.node));
        let views: Vec<View> = Client::new(&self.host).get(&path)?;
        out.data(&views, |views| views.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        Ok(Exit::Ok)
    }
}
