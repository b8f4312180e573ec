//! A node runs another version, from each task's next commit boundary on.

use super::{Effect, Report, ReportKind, StreamThread};
use crate::ports::Digest;
use crate::task::TaskId;
use crate::topology::{NodeIndex, NodeName};

pub(super) fn handle(
    thread: &mut StreamThread,
    node: &NodeName,
    version: Digest,
    revision: u64,
    effects: &mut Vec<Effect>,
) {
    let Some(index) = thread.topology.find(node.as_str()) else { return };
    if thread.deployed.get(&index).is_some_and(|(_, newest)| *newest > revision) {
        return; // overtaken by a later deployment
    }
    thread.deployed.insert(index, (version, revision));
    thread.swap(effects);
}

impl StreamThread {
    /// Brings every task to the deployed versions that is at its commit boundary: no transaction of its sees two versions of
    /// a node. A task that has just come is there, whatever the others have open.
    pub(super) fn swap(&mut self, effects: &mut Vec<Effect>) {
        let ids: Vec<TaskId> = self.tasks.keys().copied().filter(|id| !self.transaction.holds(id)).collect();
        let deployed = self.deployed.clone();
        for id in ids {
            for (&node, (version, revision)) in &deployed {
                self.swap_in(id, node, version, *revision, effects);
            }
        }
    }

    fn swap_in(&mut self, id: TaskId, node: NodeIndex, version: &Digest, revision: u64, effects: &mut Vec<Effect>) {
        let entry = self.topology.node(node);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if entry.subtopology != id.subtopology || !task.wants(node, revision) {
            return;
        }
        let report = |kind| {
            Effect::Report(Report {
                task: id,
                node: entry.name.clone(),
                version: Some(version.clone()),
                at: None,
                kind,
            })
        };
        match task.deploy((node, &entry.name, &entry.kind), version, revision, self.supplier.as_mut()) {
            Ok(done) => {
                if let Some(from) = done.before {
                    effects.push(report(ReportKind::Swapped { from, to: version.clone() }));
                }
                if done.resumed {
                    effects.push(Effect::Seek(task.offsets()));
                    effects.push(Effect::Resume(task.partitions()));
                }
            }
            Err(fault) => {
                effects.push(report(ReportKind::SwapRefused { to: version.clone(), message: fault.message }));
            }
        }
    }
}
