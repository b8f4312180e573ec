use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::{Aggregator, Extractor, StateCell};
use crate::record::{Column, Headers, Rows, Taken};
use crate::task::TaskId;
use crate::topology::NodeName;

/// The business logic of one node, for one task: a plugin instance.
///
/// Its results are a function of the rows alone; what it keeps between calls is a cache, never state.
pub trait Processor {
    /// Maps a batch. What comes back is checked by the caller before it is used.
    ///
    /// # Errors
    /// [`Trap`]: the call has left nothing, and the instance is not to be called again.
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap>;

    /// Timers of the node that are due, all of one time: a row each, its name the key, the time it was set to the
    /// timestamp, no value.
    ///
    /// # Errors
    /// [`Trap`], as of [`Processor::process`].
    fn on_timers(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        let _ = call;
        Err(Trap {
            kind: TrapKind::Malformed,
            message: "a timer is due, but the plugin exports no `timing`".to_owned(),
            backtrace: String::new(),
            row: None,
        })
    }
}

/// Makes processors: knows the deployed plugins by their digests.
pub trait ProcessorSupplier {
    /// A fresh instance of version `version` of `node`'s plugin for `task`.
    ///
    /// # Errors
    /// [`CreateFault`]: the configuration was refused, or making it trapped.
    fn create(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> Result<Box<dyn Processor>, CreateFault>;

    /// The same for the plugin of an aggregate node.
    ///
    /// # Errors
    /// [`CreateFault`]: also where the plugin is no aggregator.
    fn create_aggregator(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Aggregator>, CreateFault> {
        let _ = task;
        let message = "this host runs no aggregators".to_owned();
        Err(CreateFault { node: node.clone(), digest: version.clone(), message })
    }

    /// The same for the plugin of a source.
    ///
    /// # Errors
    /// [`CreateFault`]: also where the plugin is no extractor.
    fn create_extractor(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Extractor>, CreateFault> {
        let _ = task;
        let message = "this host runs no extractors".to_owned();
        Err(CreateFault { node: node.clone(), digest: version.clone(), message })
    }
}

/// One call: its rows, and where they came from.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The rows, at least one.
    pub rows: &'a Rows,
    /// Where they came from; `rows.origins` index into it.
    pub taken: &'a Taken,
    /// The node's stores and timers; none: it has neither.
    pub state: Option<&'a StateCell>,
}

/// What a call returned, columns checked, rows not yet ([`crate::task`] does that).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The input row that caused each output, never decreasing.
    pub rows: Vec<u32>,
    /// The output port of each; none: port 0.
    pub ports: Option<Vec<u32>>,
    /// None: as the input row's. The same for the three below.
    pub keys: Option<Column>,
    /// See `keys`.
    pub values: Option<Column>,
    /// See `keys`; milliseconds since 1970 UTC.
    pub timestamps: Option<Vec<i64>>,
    /// See `keys`.
    pub headers: Option<Headers>,
    /// Input rows that the plugin refuses, for the node's error policy.
    pub rejects: Vec<Reject>,
    /// How many input rows were taken; none: all. The rest comes again.
    pub taken: Option<u32>,
}

/// A business error of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The input row.
    pub row: u32,
    /// An open code such as `order.no-id`; the prefix `weir.` is the host's and the SDKs'.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A call that ended in mid-air, or whose result cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}: {message}")]
pub struct Trap {
    /// What kind, for metrics and policies.
    pub kind: TrapKind,
    /// What happened, in a line.
    pub message: String,
    /// Symbolised frames, a line each; empty where there is none.
    pub backtrace: String,
    /// The row that the guest named with its last words: where to look first.
    pub row: Option<u32>,
}

/// The kinds of [`Trap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrapKind {
    /// A panic, `abort()`, an unreachable instruction, a memory access out of bounds.
    Panic,
    /// The call took longer than its deadline.
    Deadline,
    /// The guest wanted more memory or table entries than its limit.
    Memory,
    /// The guest's stack overflowed.
    Stack,
    /// More host calls, or more bytes through them, than the limit.
    HostCalls,
    /// More output than the limit.
    OutputSize,
    /// The result contradicts itself.
    Malformed,
}

impl TrapKind {
    /// The label in metrics, logs and REST.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::HostCalls => "host-calls",
            Self::OutputSize => "output-size",
            Self::Malformed => "malformed-output",
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no instance.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("plugin {digest} cannot be started at node `{node}`: {message}")]
pub struct CreateFault {
    /// The node.
    pub node: NodeName,
    /// The version.
    pub digest: Digest,
    /// What it said.
    pub message: String,
}

/// Names a version of a plugin: `sha256:` and hex over component, configuration and grants. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Digest {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
