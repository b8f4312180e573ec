use super::super::Out;
use super::super::client::{Client, HostArgs};
use super::super::out::Format;
use super::Which;
use crate::exit::Exit;
use crate::host::query::{ENTRIES_MAX, EntryView, Page};
use crate::problem::Problem;

/// Every committed entry of a store on this host, or of a range of keys, a line each as it is read.
///
/// It is no snapshot: what is committed while it runs may be in it.
#[derive(Debug, clap::Args)]
pub struct Dump {
    /// The store, as the topology file names it
    store: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    host: HostArgs,
}

impl Dump {
    /// Asks the host, page by page.
    ///
    /// # Errors
    /// No such store; the host does not answer, or restores.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let client = Client::new(&self.host);
        let (mut after, mut written) = (None, 0);
        loop {
            let page: Page = client.get(&self.which.path(&self.store, ENTRIES_MAX, after.as_deref()))?;
            let mut lines = String::new();
            for entry in &page.entries {
                lines.push_str(&shown(out.format(), entry, written == 0)?);
                written += 1;
            }
            let goes_on = out.raw(lines.as_bytes())?;
            after = page.next;
            if after.is_none() || !goes_on {
                break;
            }
        }
        if out.format() == Format::Json {
            out.raw(if written == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        Ok(Exit::Ok)
    }
}

fn shown(format: Format, entry: &EntryView, is_first: bool) -> Result<String, Problem> {
    let json = || serde_json::to_string(entry).map_err(|error| Problem::failed(error.to_string()));
    Ok(match format {
        Format::Text | Format::Mermaid | Format::Dot | Format::Svg => super::line(entry),
        Format::Jsonl => json()? + "\n",
        Format::Json => format!("{}{}", if is_first { "[\n  " } else { ",\n  " }, json()?),
    })
}
