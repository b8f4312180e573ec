//! The topology: what a file says, checked, as the engine runs it.

mod diagnostics;
mod model;

pub use diagnostics::{Diagnostic, Diagnostics, Severity, Span};
pub use model::{
    Branch, ErrorPolicy, Format, Input, Node, NodeIndex, NodeKind, NodeName, PluginRef, SubTopology, Topic, TopicIndex,
    Topology,
};

/// "did you mean …?" for the name nearest to `name`; none where nothing is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    let (distance, known) = near;
    (distance <= (name.chars().count() / 3).max(1)).then(|| format!("did you mean `{known}`?"))
}
