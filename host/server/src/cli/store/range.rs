use super::super::Out;
use super::super::client::{Client, HostArgs};
use super::Which;
use crate::exit::Exit;
use crate::host::query::Page;
use crate::problem::Problem;

/// The first committed entries of a range of keys.
#[derive(Debug, clap::Args)]
pub struct Range {
    /// The store, as the topology file names it
    store: String,
    #[command(flatten)]
    which: Which,
    /// How many
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    host: HostArgs,
}

impl Range {
    /// Asks the host.
    ///
    /// # Errors
    /// No such store; the host does not answer, or restores.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let page: Page = Client::new(&self.host).get(&self.which.path(&self.store, self.limit, None))?;
        if page.next.is_some() {
            out.words(&format!("there may be more than {}: see --limit, or `weir store dump`", page.entries.len()));
        }
        out.data(&page, |page| super::text(&page.entries))?;
        Ok(Exit::Ok)
    }
}
