//! Rows of a changelog.

use super::{Effect, ReportKind, StreamThread, WallTime};
use crate::record::{RecordBatch, TopicPartition};
use crate::state::ReplayFrom;
use crate::task::Task;

pub(super) fn handle(
    thread: &mut StreamThread,
    partition: &TopicPartition,
    rows: &RecordBatch,
    place: (i64, i64),
    restarted: bool,
    now: WallTime,
    effects: &mut Vec<Effect>,
) {
    let owner = thread.tasks.values().find(|task| task.owns_changelog(partition)).map(|task| task.id);
    let Some(id) = owner else { return };
    if restarted {
        let changelogs = vec![(partition.clone(), ReplayFrom::NotInLog)];
        thread.tell(id, ReportKind::RestoreBegan { changelogs }, effects);
    }
    let Some((task, environment)) = thread.task_with(id, now) else { return };
    let is_restoring = |task: &Task| task.restoring().iter().any(|(restoring, ..)| restoring == partition);
    let was_restoring = is_restoring(task);
    let taken = task.replayed(partition, rows, place, restarted, &environment);
    // A table's source goes on behind where its task has read it.
    if taken.is_ok() && was_restoring && !is_restoring(task) && place.0 < place.1 {
        effects.push(Effect::StopReplay(vec![partition.clone()]));
    }
    match taken {
        Ok(false) => {}
        Ok(true) => {
            effects.push(Effect::Seek(task.offsets()));
            effects.push(Effect::Resume(task.partitions()));
            thread.tell(id, ReportKind::Restored, effects);
            thread.work(now, effects);
        }
        Err(error) => {
            let (reason, message) = error.describe();
            thread.fail_state(id, reason, message, effects);
        }
    }
}
