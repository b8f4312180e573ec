use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_core::ports::Digest;
use weir_core::record::RecordBatch;
use weir_core::topology::NodeName;

use super::Stop;
use crate::deploy::fold::Fold;

/// How often somebody who waits looks whether the host is to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a node runs: the node, the version, the deployment's revision.
pub type Deployed = (NodeName, Digest, u64);

/// The deployments as this host has read them, and those that it is ready to run.
#[derive(Debug, Default)]
pub struct Deployments {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fold: Fold,
    /// The next offset to read.
    position: i64,
    /// Compiled here, and so fit to be handed to stream threads.
    ready: BTreeMap<NodeName, (Digest, u64)>,
    /// Counts changes of `ready`.
    generation: u64,
    /// Every process node has a version: threads may begin.
    initial: bool,
    /// Somebody reads on.
    followed: bool,
}

impl Deployments {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows of the topic in, up to `position`.
    pub fn apply(&self, rows: &RecordBatch, position: i64) {
        let mut state = self.state();
        for (row, offset) in rows.offsets.iter().enumerate() {
            state.fold.apply(*offset, rows.keys.get(row), rows.values.get(row));
        }
        state.position = position;
        self.changed.notify_all();
    }

    /// The next offset to read.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.state().position
    }

    /// Somebody reads on from here on.
    pub fn set_followed(&self) {
        self.state().followed = true;
    }

    /// Whether somebody reads on; else whoever appends has to.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.state().followed
    }

    /// What `look` sees in the fold.
    pub fn with<T>(&self, look: impl FnOnce(&Fold) -> T) -> T {
        look(&self.state().fold)
    }

    /// Waits until the fold has read beyond `offset`. False: not by the end of `wait`.
    pub fn wait_read(&self, offset: i64, wait: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), wait, |state| state.position <= offset);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The revision that is ready at `node`; 0: none.
    #[must_use]
    pub fn ready(&self, node: &NodeName) -> u64 {
        self.state().ready.get(node).map_or(0, |(_, revision)| *revision)
    }

    /// `version` is compiled: stream threads may run it at `node`.
    pub fn set_ready(&self, node: NodeName, version: Digest, revision: u64) {
        let mut state = self.state();
        if state.ready.get(&node).is_none_or(|(_, before)| *before < revision) {
            state.ready.insert(node, (version, revision));
            state.generation += 1;
        }
    }

    /// Every process node has a version.
    pub fn set_initial(&self) {
        let mut state = self.state();
        state.initial = true;
        state.generation += 1;
        self.changed.notify_all();
    }

    /// Waits until [`Deployments::set_initial`]; false: the host is to stop. `beat` is called now and then.
    pub fn wait_initial(&self, stop: &Stop, beat: impl Fn()) -> bool {
        let mut state = self.state();
        while !state.initial {
            if stop.is_set() {
                return false;
            }
            beat();
            let waited = self.changed.wait_timeout(state, LOOK_INTERVAL).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
        }
        true
    }

    /// What is ready now, with its generation; none: the same as at `generation`.
    #[must_use]
    pub fn since(&self, generation: u64) -> Option<(u64, Vec<Deployed>)> {
        let state = self.state();
        let deployed =
            |(node, (version, revision)): (&NodeName, &(Digest, u64))| (node.clone(), version.clone(), *revision);
        (state.generation != generation).then(|| (state.generation, state.ready.iter().map(deployed).collect()))
    }

    /// Waits for a change for at most `wait`, but not beyond `until`.
    pub fn wait_change(&self, wait: Duration, until: Instant) {
        let wait = wait.min(until.saturating_duration_since(Instant::now()));
        drop(self.changed.wait_timeout(self.state(), wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_hear_of_each_change_once_and_never_of_an_older_revision() {
        let deployments = Deployments::default();
        deployments.set_ready("details".into(), Digest::from("b"), 5);
        let (generation, deployed) = deployments.since(0).unwrap();
        assert_eq!(deployed, [(NodeName::from("details"), Digest::from("b"), 5)]);
        assert_eq!(deployments.since(generation), None);
        deployments.set_ready("details".into(), Digest::from("a"), 4);
        assert_eq!(deployments.since(generation), None);
    }
}
