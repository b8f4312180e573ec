//! These partitions are ours now.

use std::collections::BTreeSet;

use super::{Effect, StreamThread, WallTime};
use crate::ports::Position;
use crate::task::Task;

pub(super) fn handle(thread: &mut StreamThread, positions: &[Position], now: WallTime, effects: &mut Vec<Effect>) {
    let mut fresh = BTreeSet::new();
    for position in positions {
        let Some(id) = thread.task_of(&position.partition) else { continue };
        let task = thread.tasks.entry(id).or_insert_with(|| {
            fresh.insert(id);
            Task::new(id)
        });
        task.add(position);
    }
    thread.swap(effects);
    for id in fresh {
        thread.open_stores(id, now, effects);
    }
    commit_starts(thread, positions, now, effects);
}

/// A task without a position commits the one it starts from before anything else: a fence needs an offset to stand on.
pub(super) fn commit_starts(
    thread: &mut StreamThread,
    positions: &[Position],
    now: WallTime,
    effects: &mut Vec<Effect>,
) {
    for position in positions.iter().filter(|position| position.metadata.is_none()) {
        if let Some(id) = thread.task_of(&position.partition) {
            thread.join(id, now, effects);
        }
    }
    if positions.iter().any(|position| position.metadata.is_none()) {
        thread.commit(now, effects);
    }
}
