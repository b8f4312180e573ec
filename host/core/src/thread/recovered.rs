//! Positions as they are committed, after a failure: the only truth about a transaction whose end was unknown.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime, assigned};
use crate::ports::Position;
use crate::task::life::State;
use crate::task::{Task, TaskId};

pub(super) fn handle(thread: &mut StreamThread, positions: &[Position], now: WallTime, effects: &mut Vec<Effect>) {
    thread.transaction = Transaction::Idle;
    for task in thread.tasks.values_mut() {
        if task.reset(Some(positions)) {
            effects.push(Effect::Resume(task.partitions()));
        }
    }
    thread.restore_again(now, effects);
    // Not committed at once: where it failed because they are another member's, only a poll can say so, and a commit here
    // would fail again, and be recovered from, for ever.
    let starts = positions.iter().filter(|position| position.metadata.is_none());
    thread.starts = starts.map(|position| position.partition.clone()).collect();
    thread.settle(effects);
}

/// Commits the starts that a recovery has left, of partitions that are still ours.
pub(super) fn commit_starts(thread: &mut StreamThread, now: WallTime, effects: &mut Vec<Effect>) {
    if thread.starts.is_empty() || thread.stopping || thread.transaction != Transaction::Idle {
        return;
    }
    let starts = std::mem::take(&mut thread.starts);
    let is_ours = |task: &&Task| task.state() != State::Suspended && starts.iter().any(|start| task.owns(start));
    let ids: Vec<TaskId> = thread.tasks.values().filter(is_ours).map(|task| task.id).collect();
    if ids.is_empty() {
        return thread.work(now, effects);
    }
    assigned::commit_as_they_are(thread, &ids, now, effects);
}
