//! The topology: what a file says, checked, as the engine runs it.

mod diagnostics;
mod model;

pub use diagnostics::{Diagnostic, Diagnostics, Severity, Span};
pub use model::{
    Branch, ErrorPolicy, Format, Input, Node, NodeIndex, NodeKind, NodeName, PluginRef, SubTopology, Topic, TopicIndex,
    Topology,
};
