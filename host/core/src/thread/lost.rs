//! Another member owns these partitions by now: abort, a commit would be a lie.

use super::transaction::Transaction;
use super::{Effect, StreamThread};
use crate::record::TopicPartition;
use crate::task::Task;
use crate::task::life::{Cause, State};

pub(super) fn handle(thread: &mut StreamThread, partitions: &[TopicPartition], effects: &mut Vec<Effect>) {
    for task in thread.tasks.values_mut() {
        if partitions.iter().any(|partition| task.owns(partition)) {
            stop_replay(task, effects);
            task.close(Cause::Lost);
        }
    }
    thread.tasks.retain(|_, task| task.state() != State::Closed);
    thread.leaving.retain(|partition| !partitions.contains(partition));
    if !matches!(thread.transaction, Transaction::Open(_)) {
        // A commit that was asked for is answered yet: the fence decides, not we.
        return;
    }
    thread.abort(None, effects);
}

/// A task that goes reads its changelogs no further.
pub(super) fn stop_replay(task: &Task, effects: &mut Vec<Effect>) {
    let replays: Vec<TopicPartition> = task.restoring().into_iter().map(|(partition, ..)| partition).collect();
    if !replays.is_empty() {
        effects.push(Effect::StopReplay(replays));
    }
}
