use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::Out;
use super::super::client::{Client, HostArgs, escape};
use crate::exit::Exit;
use crate::host::query::{EntryView, PositionMap};
use crate::problem::Problem;

/// The committed value of a key, or of a key and its windows.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The store, as the topology file names it
    store: String,
    /// The key: text as it is, JSON as it was written
    key: String,
    /// The key is base64
    #[arg(long)]
    base64: bool,
    /// Windows from this time on: milliseconds since 1970, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    window_from: Option<String>,
    /// Windows up to this time
    #[arg(long, value_name = "TIME")]
    window_to: Option<String>,
    /// Wait until the answer holds this input: TOPIC/PARTITION@OFFSET, several with commas
    #[arg(long, value_name = "POSITION")]
    min_position: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

/// Either answer.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    store: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    entries: Vec<EntryView>,
    position: PositionMap,
}

impl Get {
    /// Asks the host.
    ///
    /// # Errors
    /// No such store or key; the host does not answer, or restores.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let encoding = if self.base64 { "base64" } else { "text" };
        let mut path = format!("stores/{}/keys/{}?encoding={encoding}", escape(&self.store), escape(&self.key));
        let fields = [("from", self.window_from), ("to", self.window_to), ("min-position", self.min_position)];
        for (name, value) in fields {
            path.extend(value.map(|value| format!("&{name}={}", escape(&value))));
        }
        let found: Found = Client::new(&self.host).get(&path)?;
        out.data(&found, |found| match &found.value {
            Some(value) => value.get().to_owned(),
            None => super::text(&found.entries),
        })?;
        Ok(Exit::Ok)
    }
}
