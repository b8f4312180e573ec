//! The topology: what a file says, checked, as the engine runs it.
//!
//! Start at [`parse`]: `yaml.rs` makes a tree with places, `read.rs` topics and nodes of it, `resolve.rs` looks up names.
//! Each notes its mistakes and goes on, so that all are shown at once.
//!
//! ```yaml
//! application: orders
//! topics:                                     # formats are bytes unless it says string or json
//!   orders: { key: string, value: json, partitions: 4 }
//!   verdicts: { key: string, value: json }
//! nodes:
//!   orders:  { source: orders }               # or a list of topics
//!   created: { from: orders, filter: value.state == "CREATED" }
//!   sizes:   { from: created, branch: { large: value.price > 100, other: default } }
//!   details: { from: sizes.large, process: { plugin: order-details, config: { limit: 3 } }, on-error: skip }
//!   out:     { from: details, sink: verdicts }
//! ```
//! What comes out of a plugin has the formats of what went in, unless `process` gives `key:` or `value:`.

mod diagnostics;
mod model;
mod read;
mod resolve;
mod state;
mod yaml;

pub use diagnostics::{Diagnostic, Diagnostics, Severity, Span};
pub use model::{
    Branch, ErrorPolicy, Format, Input, Internal, Node, NodeIndex, NodeKind, NodeName, PluginRef, Source, SubTopology,
    Topic, TopicIndex, Topology,
};
pub use state::{
    Aggregate, Builtin, Emit, Function, Map, PORT_LATE, PORT_RESULTS, Store, StoreIndex, StoreKind, Suppress,
    SuppressUntil, WhenFull, Window, WindowKind,
};

/// The topology in `text`, which is shown as `file_name` where something is wrong.
///
/// # Errors
/// [`Diagnostics`]: all that is wrong, and what is merely odd.
pub fn parse(file_name: &str, text: &str) -> Result<Topology, Diagnostics> {
    match check(file_name, text) {
        (Some(topology), _) => Ok(topology),
        (None, diagnostics) => Err(diagnostics),
    }
}

/// [`parse`] for who wants the warnings of a good file too: the topology is there if there is no error.
#[must_use]
pub fn check(file_name: &str, text: &str) -> (Option<Topology>, Diagnostics) {
    let mut diagnostics = Diagnostics::new(file_name, text);
    let topology = yaml::parse(text, &mut diagnostics).map(|root| {
        let file = read::read(&root, &mut diagnostics);
        resolve::resolve(file, text, &mut diagnostics)
    });
    (topology.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// "did you mean …?" for the name nearest to `name`; none where nothing is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    let (distance, known) = near;
    (distance <= (name.chars().count() / 3).max(1)).then(|| format!("did you mean `{known}`?"))
}
