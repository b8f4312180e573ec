use std::path::PathBuf;

use serde_json::Value;

use crate::cli::client::{Client, HostArgs, Request};
use crate::cli::{Out, source};
use crate::deploy::intent::artifact_digest;
use crate::exit::Exit;
use crate::problem::Problem;

/// Uploads a plugin without deploying it. Prints its digest.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// The component, or core module
    plugin: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

impl Push {
    /// Uploads.
    ///
    /// # Errors
    /// The file cannot be read; the host refuses it.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let bytes = source::read(&self.plugin)?;
        let digest = artifact_digest(&bytes);
        let path = format!("artifacts/{digest}");
        let headers = [("content-type", "application/wasm")];
        let pushed: Value = Client::new(&self.host).put(&Request { path: &path, headers: &headers, body: &bytes })?;
        out.data(&pushed, |_| digest)?;
        Ok(Exit::Ok)
    }
}
