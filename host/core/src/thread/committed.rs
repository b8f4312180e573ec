//! The transaction asked for is committed: what its tasks did holds.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime};

pub(super) fn handle(thread: &mut StreamThread, now: WallTime, effects: &mut Vec<Effect>) {
    let Transaction::Committing { since, wrote } = std::mem::replace(&mut thread.transaction, Transaction::Idle) else {
        debug_assert!(false, "a commit was answered that nobody asked for");
        return;
    };
    thread.timing.committed(since, now);
    for id in wrote {
        if let Some(task) = thread.tasks.get_mut(&id) {
            task.committed();
        }
    }
    thread.settle(effects);
    // What the commit kept waiting.
    thread.work(now, effects);
}
