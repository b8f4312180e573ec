//! These partitions are ours now.

use std::collections::BTreeSet;

use super::{Effect, StreamThread, WallTime};
use crate::ports::Position;
use crate::task::{Task, TaskId};

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
    let starts = positions.iter().filter(|position| position.metadata.is_none());
    let ids: Vec<TaskId> = starts.filter_map(|position| thread.task_of(&position.partition)).collect();
    if !ids.is_empty() {
        commit_as_they_are(thread, &ids, now, effects);
    }
}

/// Tasks without a position commit the one they start from before anything else: a fence needs an offset to stand on.
pub(super) fn commit_as_they_are(thread: &mut StreamThread, ids: &[TaskId], now: WallTime, effects: &mut Vec<Effect>) {
    for &id in ids {
        thread.join(id, now, effects);
    }
    thread.commit(now, effects);
}
