//! Rows of one partition.

use super::{Effect, StreamThread, WallTime};
use crate::record::{RecordBatch, TopicPartition};

pub(super) fn handle(
    thread: &mut StreamThread,
    partition: &TopicPartition,
    batch: RecordBatch,
    now: WallTime,
    effects: &mut Vec<Effect>,
) {
    let Some(id) = thread.task_of(partition) else { return };
    if let Some(task) = thread.tasks.get_mut(&id).filter(|task| task.owns(partition)) {
        task.push(partition, batch, &thread.topology);
        thread.work(now, effects);
    }
}
