use weir_core::topology::{EventTime, Function, Node, NodeKind, StoreKind, Topology, WindowKind};

use crate::artifact::Artifact;

/// What a node of the topology wants of its plugin, and gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// What kind of plugin it runs.
    pub role: Role,
    /// Its stores by the names that the plugin knows, with their kinds; their order is that of
    /// [`StoreHandle`](weir_core::ports::StoreHandle)s.
    pub stores: Vec<(String, String)>,
    /// Whether the plugin may set timers.
    pub timers: bool,
    /// Whether accumulators will have to be merged: sessions do.
    pub merges: bool,
}

/// The kinds of plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Of a `process` node.
    #[default]
    Processor,
    /// Of an `aggregate` node.
    Aggregator,
    /// Of a `source`, whose event time it finds.
    Extractor,
}

impl Role {
    /// Its name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "a processor",
            Self::Aggregator => "an aggregator",
            Self::Extractor => "an extractor",
        }
    }

    /// The interface that it exports.
    #[must_use]
    pub fn export(self) -> &'static str {
        match self {
            Self::Processor => "weir:plugin/processing",
            Self::Aggregator => "weir:plugin/aggregation",
            Self::Extractor => "weir:plugin/extraction",
        }
    }

    /// The kind of node that runs it, in messages.
    #[must_use]
    pub fn node(self) -> &'static str {
        match self {
            Self::Processor => "a process node",
            Self::Aggregator => "an aggregate node",
            Self::Extractor => "a source",
        }
    }
}

/// Why a plugin does not fit its node, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong.
    pub detail: String,
    /// What to do.
    pub help: String,
}

impl Binding {
    /// The binding of `node`; none: it runs no plugin.
    #[must_use]
    pub fn of(topology: &Topology, node: &Node) -> Option<Self> {
        let (role, plugin, merges) = match &node.kind {
            NodeKind::Process(plugin) => (Role::Processor, plugin, false),
            NodeKind::Aggregate(aggregate) => {
                let Function::Plugin(plugin) = &aggregate.function else { return None };
                let session = |window: &weir_core::topology::Window| matches!(window.kind, WindowKind::Session { .. });
                (Role::Aggregator, plugin, aggregate.window.as_ref().is_some_and(session))
            }
            NodeKind::Source(source) => {
                let Some(EventTime::Plugin(plugin)) = &source.timestamp else { return None };
                (Role::Extractor, plugin, false)
            }
            _ => return None,
        };
        let kind = |kind: StoreKind| kind.as_str().to_owned();
        let stores =
            plugin.stores.iter().map(|(name, store)| (name.clone(), kind(topology.store(*store).kind))).collect();
        Some(Self { role, stores, timers: plugin.timers.is_some(), merges })
    }

    /// Everything about `artifact` that does not fit. Told from what it says of itself, before it runs.
    #[must_use]
    pub fn misfits(&self, artifact: &Artifact) -> Vec<Misfit> {
        let manifest = artifact.manifest();
        let mut misfits = Vec::new();
        if !artifact.has_role(self.role) {
            let found: Vec<&str> = artifact.roles().map(Role::as_str).collect();
            misfits.push(Misfit {
                detail: format!("it is {}, but its node is {}", found.join(" and "), self.role.node()),
                help: format!("name a plugin that exports {}", self.role.export()),
            });
        }
        for need in &manifest.stores {
            let Some((name, kind)) = self.stores.iter().find(|(name, _)| *name == need.name) else {
                let store = &need.name;
                misfits.push(Misfit {
                    detail: format!("it asks for a {} store `{store}`, which its node does not declare", need.kind),
                    help: format!("list a store under `stores` of the node by the name `{store}`{}", self.declared()),
                });
                continue;
            };
            if *kind != need.kind {
                misfits.push(Misfit {
                    detail: format!(
                        "it takes `{name}` for a {} store, but the topology makes it a {kind} store",
                        need.kind
                    ),
                    help: format!("make the store {}, or give the plugin another", need.kind),
                });
            }
        }
        if manifest.timers && !self.timers {
            misfits.push(Misfit {
                detail: "it sets timers, which its node does not allow".to_owned(),
                help: "add `timers: true` to the node".to_owned(),
            });
        }
        if self.merges && !manifest.aggregates.merges {
            misfits.push(Misfit {
                detail: "it does not merge accumulators, but session windows do merge".to_owned(),
                help: "give the aggregator a `merge`, or take another kind of window".to_owned(),
            });
        }
        misfits
    }

    /// The stores that there are, for a message.
    pub(crate) fn declared(&self) -> String {
        if self.stores.is_empty() {
            return "; it declares none".to_owned();
        }
        let names: Vec<String> = self.stores.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
        format!("; it declares {}", names.join(", "))
    }
}
