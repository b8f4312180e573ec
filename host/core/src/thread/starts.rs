//! Partitions without a committed position: the offset that each starts from is committed before any row is taken, since a
//! fence needs an offset to stand on.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime};
use crate::ports::Position;
use crate::record::TopicPartition;
use crate::task::life::State;
use crate::task::{Task, TaskId};

/// Those of `positions` that nobody has committed yet.
pub(super) fn of(positions: &[Position]) -> impl Iterator<Item = TopicPartition> {
    positions.iter().filter(|position| position.metadata.is_none()).map(|position| position.partition.clone())
}

/// Commits the starts that wait for it, of partitions that are still ours.
pub(super) fn commit(thread: &mut StreamThread, now: WallTime, effects: &mut Vec<Effect>) {
    let can_commit = matches!(thread.transaction, Transaction::Idle | Transaction::Open(_));
    if thread.starts.is_empty() || thread.stopping || !can_commit {
        return;
    }
    let starts = std::mem::take(&mut thread.starts);
    let is_ours = |task: &&Task| task.state() != State::Suspended && starts.iter().any(|start| task.owns(start));
    let ids: Vec<TaskId> = thread.tasks.values().filter(is_ours).map(|task| task.id).collect();
    if ids.is_empty() {
        return thread.work(now, effects);
    }
    for id in ids {
        thread.join(id, now, effects);
    }
    thread.commit(now, effects);
}
