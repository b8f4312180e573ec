use crate::ports::{Aggregator, CreateFault, Digest, Extractor, Processor, ProcessorSupplier};
use crate::task::TaskId;
use crate::topology::{NodeIndex, NodeName};

/// A task's plugin instances, one for each node that has one: which version each runs, and what ran since when.
///
/// An instance's memory is a cache, never state: what ran in a step or a transaction that is undone is made anew.
pub(crate) struct Instances {
    task: TaskId,
    slots: Vec<Slot>,
}

struct Slot {
    node: NodeIndex,
    name: NodeName,
    version: Digest,
    revision: u64,
    /// What ran before `version`, while this host knows.
    before: Option<Digest>,
    role: Role,
    instance: Option<Instance>,
    called: bool,
    ran_in_step: bool,
    ran_in_transaction: bool,
}

/// What a node's plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Processor,
    Aggregator,
    Extractor,
}

pub(crate) enum Instance {
    Processor(Box<dyn Processor>),
    Aggregator(Box<dyn Aggregator>),
    Extractor(Box<dyn Extractor>),
}

/// A kind of plugin.
pub(crate) trait Kind {
    /// The plugin, if it is of that kind.
    fn of(instance: &mut Instance) -> Option<&mut Self>;
}

impl Kind for dyn Processor {
    fn of(instance: &mut Instance) -> Option<&mut Self> {
        if let Instance::Processor(plugin) = instance { Some(plugin.as_mut()) } else { None }
    }
}

impl Kind for dyn Aggregator {
    fn of(instance: &mut Instance) -> Option<&mut Self> {
        if let Instance::Aggregator(plugin) = instance { Some(plugin.as_mut()) } else { None }
    }
}

impl Kind for dyn Extractor {
    fn of(instance: &mut Instance) -> Option<&mut Self> {
        if let Instance::Extractor(plugin) = instance { Some(plugin.as_mut()) } else { None }
    }
}

/// An instance, and whether it was never called before.
pub(crate) struct Borrowed<'a, P: ?Sized> {
    pub(crate) plugin: &'a mut P,
    pub(crate) fresh: bool,
}

impl Role {
    fn create(
        self,
        supplier: &mut dyn ProcessorSupplier,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Instance, CreateFault> {
        match self {
            Self::Processor => supplier.create(node, version, task).map(Instance::Processor),
            Self::Aggregator => supplier.create_aggregator(node, version, task).map(Instance::Aggregator),
            Self::Extractor => supplier.create_extractor(node, version, task).map(Instance::Extractor),
        }
    }
}

/// A version that a task runs, for the deployments' record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) node: NodeName,
    pub(crate) version: Digest,
    pub(crate) revision: u64,
    pub(crate) before: Option<Digest>,
}

impl Instances {
    pub(crate) fn new(task: TaskId) -> Self {
        Self { task, slots: Vec::new() }
    }

    /// Runs `version` at `node` from here on; returns the version before, if that is another.
    ///
    /// The instance is made at once, so that a version that cannot be started leaves the old one running.
    pub(crate) fn deploy(
        &mut self,
        node: (NodeIndex, &NodeName, Role),
        version: &Digest,
        revision: u64,
        supplier: &mut dyn ProcessorSupplier,
    ) -> Result<Option<Digest>, CreateFault> {
        let (index, name, role) = node;
        let at = self.slots.iter().position(|slot| slot.node == index);
        if let Some(slot) = at.map(|at| &mut self.slots[at])
            && slot.version == *version
        {
            slot.revision = revision;
            return Ok(None);
        }
        let instance = role.create(supplier, name, version, self.task)?;
        let before = at.map(|at| self.slots.remove(at).version);
        self.slots.push(Slot {
            node: index,
            name: name.clone(),
            version: version.clone(),
            revision,
            before: before.clone(),
            role,
            instance: Some(instance),
            called: false,
            ran_in_step: false,
            ran_in_transaction: false,
        });
        Ok(before)
    }

    /// The plugin at `node`, made where there is none; none: no version was ever deployed there, or it is none of that kind.
    pub(crate) fn borrow<P: Kind + ?Sized>(
        &mut self,
        node: NodeIndex,
        supplier: &mut dyn ProcessorSupplier,
    ) -> Option<Result<Borrowed<'_, P>, CreateFault>> {
        match self.ready(node, supplier)? {
            Ok((instance, fresh)) => P::of(instance).map(|plugin| Ok(Borrowed { plugin, fresh })),
            Err(fault) => Some(Err(fault)),
        }
    }

    fn ready(
        &mut self,
        node: NodeIndex,
        supplier: &mut dyn ProcessorSupplier,
    ) -> Option<Result<(&mut Instance, bool), CreateFault>> {
        let task = self.task;
        let slot = self.slots.iter_mut().find(|slot| slot.node == node)?;
        if slot.instance.is_none() {
            match slot.role.create(supplier, &slot.name, &slot.version, task) {
                Ok(instance) => (slot.instance, slot.called) = (Some(instance), false),
                Err(fault) => return Some(Err(fault)),
            }
        }
        (slot.ran_in_step, slot.ran_in_transaction) = (true, true);
        let fresh = !std::mem::replace(&mut slot.called, true);
        Some(Ok((slot.instance.as_mut()?, fresh)))
    }

    /// Drops the instance at `node`: it trapped.
    pub(crate) fn discard(&mut self, node: NodeIndex) {
        self.drop_where(|slot| slot.node == node);
    }

    /// Drops what ran in the step: it is undone.
    pub(crate) fn undo_step(&mut self) {
        self.drop_where(|slot| slot.ran_in_step);
    }

    /// Drops what ran in the transaction: it did not happen.
    pub(crate) fn undo_transaction(&mut self) {
        self.drop_where(|slot| slot.ran_in_transaction);
    }

    fn drop_where(&mut self, choose: impl Fn(&Slot) -> bool) {
        for slot in self.slots.iter_mut().filter(|slot| choose(slot)) {
            slot.instance = None;
            (slot.ran_in_step, slot.ran_in_transaction) = (false, false);
        }
    }

    /// The step's effects leave: its instances keep what they have.
    pub(crate) fn end_step(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.ran_in_step = false);
    }

    /// The transaction is committed.
    pub(crate) fn end_transaction(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.ran_in_transaction = false);
    }

    pub(crate) fn revision(&self, node: NodeIndex) -> Option<u64> {
        self.slots.iter().find(|slot| slot.node == node).map(|slot| slot.revision)
    }

    pub(crate) fn version(&self, node: NodeIndex) -> Option<&Digest> {
        self.slots.iter().find(|slot| slot.node == node).map(|slot| &slot.version)
    }

    /// What runs, in node order.
    pub(crate) fn running(&self) -> Vec<Running> {
        let mut slots: Vec<&Slot> = self.slots.iter().collect();
        slots.sort_by_key(|slot| slot.node);
        let running = |slot: &Slot| Running {
            node: slot.name.clone(),
            version: slot.version.clone(),
            revision: slot.revision,
            before: slot.before.clone(),
        };
        slots.into_iter().map(running).collect()
    }
}
