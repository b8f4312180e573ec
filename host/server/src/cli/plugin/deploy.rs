use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{exit, line};
use crate::cli::client::{Client, HostArgs, Request, escape};
use crate::cli::{Out, source};
use crate::deploy::intent::{artifact_digest, is_digest};
use crate::deploy::view::View;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::units;

/// Lets a node run a plugin: it is checked, compiled, tried on recent records, and swapped in at the next commit of each
/// task. Exit 4: somebody else was first; 6: it is refused, and the version before goes on.
#[derive(Debug, clap::Args)]
pub struct Deploy {
    /// The node
    node: String,
    /// A component, a core module, or the digest of one that was pushed
    plugin: String,
    /// Its configuration as JSON, or @FILE; without it the present one is kept
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// Only if this is the node's present revision
    #[arg(long, value_name = "REVISION")]
    if_match: Option<u64>,
    /// Only try it
    #[arg(long)]
    dry_run: bool,
    /// How long to wait until every task runs it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    wait: Duration,
    #[command(flatten)]
    host: HostArgs,
}

impl Deploy {
    /// Deploys.
    ///
    /// # Errors
    /// The host's problem.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let client = Client::new(&self.host);
        let body = self.body(&client)?;
        let path =
            format!("nodes/{}/plugin?dryRun={}&wait={}ms", escape(&self.node), self.dry_run, self.wait.as_millis());
        let if_match = self.if_match.map(|revision| format!("\"{revision}\""));
        let headers: Vec<(&str, &str)> = if_match.iter().map(|revision| ("if-match", revision.as_str())).collect();
        let request = Request { path: &path, headers: &headers, body: &body };
        if self.dry_run {
            let tried: Value = client.put(&request)?;
            out.data(&tried, |tried| format!("it would do: tried on {} records", tried["records"]))?;
            return Ok(Exit::Ok);
        }
        let view: View = client.put(&request)?;
        out.data(&view, line)?;
        Ok(exit(&view))
    }

    /// A component as it is; with a configuration it is pushed first, and then named.
    fn body(&self, client: &Client) -> Result<Vec<u8>, Problem> {
        let config = self.config.as_deref().map(config).transpose()?;
        let artifact = if is_digest(&self.plugin) {
            self.plugin.clone()
        } else {
            let bytes = source::read(Path::new(&self.plugin))?;
            if config.is_none() {
                return Ok(bytes);
            }
            let digest = artifact_digest(&bytes);
            let path = format!("artifacts/{digest}");
            let _: Value = client.put(&Request { path: &path, headers: &[], body: &bytes })?;
            digest
        };
        let named = config.map_or_else(
            || json!({ "artifact": artifact }),
            |config| json!({ "artifact": artifact, "config": config }),
        );
        Ok(named.to_string().into_bytes())
    }
}

fn config(text: &str) -> Result<Value, Problem> {
    let read = match text.strip_prefix('@') {
        Some(path) => source::read(Path::new(path))?,
        None => text.as_bytes().to_vec(),
    };
    serde_json::from_slice(&read).map_err(|error| Problem::invalid(format!("--config is not JSON: {error}")))
}
