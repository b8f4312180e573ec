//! The transaction asked for is committed: what its tasks did holds.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime};
use crate::ports::Committed;
use crate::task::TaskId;
use crate::task::life::State;
use crate::topology::StoreIndex;

pub(super) fn handle(thread: &mut StreamThread, committed: &Committed, now: WallTime, effects: &mut Vec<Effect>) {
    let Transaction::Committing { since, wrote } = std::mem::replace(&mut thread.transaction, Transaction::Idle) else {
        debug_assert!(false, "a commit was answered that nobody asked for");
        return;
    };
    thread.timing.committed(since, now);
    let mut expiries = Vec::new();
    for id in wrote {
        thread.apply(id, committed, now, &mut expiries, effects);
    }
    thread.purge(&expiries, now, effects);
    thread.settle(effects);
    // What the commit kept waiting.
    thread.work(now, effects);
}

impl StreamThread {
    /// What a task did in the committed transaction holds, and goes to its stores.
    fn apply(
        &mut self,
        id: TaskId,
        committed: &Committed,
        now: WallTime,
        expiries: &mut Vec<(TaskId, StoreIndex, i64)>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.committed();
        match task.apply(&committed.ends, now.millis(), &self.topology) {
            Ok(expired) => {
                expiries.extend(expired.into_iter().map(|(store, before)| (id, store, before)));
                self.note_ends(id, &committed.ends);
            }
            Err(_) if !matches!(task.state(), State::Running | State::Restoring) => {}
            // It is in the changelog, so nothing is lost.
            Err(error) => self.fail_state(id, "weir.store", error.to_string(), effects),
        }
    }
}
