//! `weir store`: the committed state of a running host.

mod dump;
mod get;
mod range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use super::Out;
use super::client::escape;
use crate::exit::Exit;
use crate::host::query::EntryView;
use crate::problem::Problem;

/// Reads the committed state of a running host.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// The value of a key, or its windows. Exit 3: there is none on this host.
    Get(get::Get),
    /// The first entries of a range of keys.
    Range(range::Range),
    /// Every entry of a store, or of a range of keys, a line each.
    Dump(dump::Dump),
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// No such store or key; the host does not answer, or restores.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        match self {
            Self::Get(command) => command.run(out),
            Self::Range(command) => command.run(out),
            Self::Dump(command) => command.run(out),
        }
    }
}

/// Which entries of a store.
#[derive(Debug, Default, clap::Args)]
struct Which {
    /// The first key
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// The last key
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// What keys begin with
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Windows from this time on: milliseconds since 1970, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    window_from: Option<String>,
    /// Windows up to this time
    #[arg(long, value_name = "TIME")]
    window_to: Option<String>,
}

impl Which {
    /// The path of a page of `store`.
    fn path(&self, store: &str, limit: usize, after: Option<&str>) -> String {
        let (limit, base64) = (limit.to_string(), |key: &String| URL_SAFE_NO_PAD.encode(key));
        let fields = [
            ("from", self.from.as_ref().map(base64)),
            ("to", self.to.as_ref().map(base64)),
            ("prefix", self.prefix.as_ref().map(base64)),
            ("window-from", self.window_from.clone()),
            ("window-to", self.window_to.clone()),
            ("after", after.map(str::to_owned)),
            ("limit", Some(limit)),
        ];
        let mut path = format!("stores/{}?encoding=base64", escape(store));
        for (name, value) in fields {
            path.extend(value.map(|value| format!("&{name}={}", escape(&value))));
        }
        path
    }
}

/// Entries for people: key, window, value.
fn text(entries: &[EntryView]) -> String {
    entries.iter().map(line).collect()
}

fn line(entry: &EntryView) -> String {
    let window = entry.window.as_ref();
    let window = window.map_or_else(String::new, |window| format!("{}..{}  ", window.start, window.end));
    format!("{}  {window}{}\n", plain(entry.key.get()), entry.value)
}

/// A text without its quotes, where it is read as well without.
fn plain(json: &str) -> String {
    let text = serde_json::from_str::<String>(json).ok();
    let is_plain = |text: &String| !text.is_empty() && !text.contains(char::is_whitespace);
    text.filter(is_plain).unwrap_or_else(|| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_with_keys_that_may_hold_anything() {
        let which = Which { from: Some("a&b".into()), window_to: Some("7".into()), ..Which::default() };
        assert_eq!(which.path("s", 5, Some("AQ")), "stores/s?encoding=base64&from=YSZi&window-to=7&after=AQ&limit=5");
    }

    #[test]
    fn keys_lose_their_quotes_only_where_nothing_is_lost() {
        assert_eq!(plain("\"the\""), "the");
        assert_eq!(plain("\"a b\""), "\"a b\"");
        assert_eq!(plain("\"\""), "\"\"");
        assert_eq!(plain("17"), "17");
    }
}
