//! These partitions are ours now.

use std::collections::BTreeSet;

use super::{Effect, StreamThread, WallTime, starts};
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
    thread.starts.extend(starts::of(positions));
}
