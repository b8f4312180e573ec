//! A partition has no more rows at this moment.

use super::{Effect, StreamThread, WallTime};
use crate::record::TopicPartition;

pub(super) fn handle(thread: &mut StreamThread, partition: &TopicPartition, now: WallTime, effects: &mut Vec<Effect>) {
    let Some(id) = thread.task_of(partition) else { return };
    if let Some(task) = thread.tasks.get_mut(&id).filter(|task| task.owns(partition)) {
        task.ended(partition);
        // Rows of other partitions may have waited for this.
        thread.work(now, effects);
    }
}
