//! Restores of one stream thread's tasks, as its log lines and metrics have them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_core::record::TopicPartition;
use weir_core::state::ReplayFrom;
use weir_core::task::TaskId;
use weir_core::thread::TaskStatus;

use super::meter::Counted;

/// How often a restore that goes on says how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Follows restores.
pub struct Restores {
    counted: Counted,
    running: BTreeMap<TaskId, Restore>,
    /// Of this thread's earlier lives.
    replayed_before: u64,
    done: u64,
}

struct Restore {
    began: Instant,
    told: Instant,
    changelogs: Vec<TopicPartition>,
    /// Rows that had been replayed of the same changelogs before.
    replayed_before: u64,
}

impl Restores {
    /// Of a thread whose rows `counted` counts, counting on from what it has counted in earlier lives.
    #[must_use]
    pub fn new(counted: Counted, replayed_before: u64, done: u64) -> Self {
        Self { counted, running: BTreeMap::new(), replayed_before, done }
    }

    /// A task replays changelogs.
    pub fn began(&mut self, task: TaskId, from: &[(TopicPartition, ReplayFrom)]) {
        let shown: Vec<String> = from.iter().map(|(changelog, from)| format!("{changelog} {from}")).collect();
        tracing::info!(task = %task, changelogs = shown.join(", "), "restoring");
        let changelogs: Vec<TopicPartition> = from.iter().map(|(changelog, _)| changelog.clone()).collect();
        // One of those under way that begins again.
        let is_known = |restore: &Restore| changelogs.iter().all(|changelog| restore.changelogs.contains(changelog));
        if self.running.get(&task).is_some_and(is_known) {
            return;
        }
        let (now, replayed_before) = (Instant::now(), self.counted.replayed(&changelogs));
        self.running.insert(task, Restore { began: now, told: now, changelogs, replayed_before });
    }

    /// The task's stores are where its last commit left them.
    pub fn ended(&mut self, task: TaskId) {
        self.done += 1;
        let Some(restore) = self.running.remove(&task) else { return };
        let (replayed_rows, took_ms) = (self.replayed_by(&restore), restore.began.elapsed().as_millis());
        tracing::info!(task = %task, replayed_rows, took_ms, "restored");
    }

    /// Says now and then how far restores have come.
    pub fn progress(&mut self, tasks: impl Iterator<Item = TaskStatus>) {
        if self.running.is_empty() {
            return;
        }
        let tasks: BTreeMap<TaskId, TaskStatus> = tasks.map(|task| (task.task, task)).collect();
        // One that was lost or failed meanwhile restores no more.
        self.running.retain(|task, _| tasks.get(task).is_some_and(|task| !task.restoring.is_empty()));
        for (task, restore) in &self.running {
            if restore.told.elapsed() < PROGRESS_INTERVAL {
                continue;
            }
            let (replayed_rows, took_ms) = (self.replayed_by(restore), restore.began.elapsed().as_millis());
            let offsets_left = tasks.get(task).and_then(offsets_left);
            tracing::info!(task = %task, replayed_rows, offsets_left, took_ms, "still restoring");
        }
        let due = |restore: &&mut Restore| restore.told.elapsed() >= PROGRESS_INTERVAL;
        self.running.values_mut().filter(due).for_each(|restore| restore.told = Instant::now());
    }

    /// Rows that were replayed, and restores that are done.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.replayed_before + self.counted.replayed_in_all(), self.done)
    }

    fn replayed_by(&self, restore: &Restore) -> u64 {
        self.counted.replayed(&restore.changelogs).saturating_sub(restore.replayed_before)
    }
}

/// Offsets of changelogs that a task has to replay still; none: the log has not answered yet.
#[must_use]
pub fn offsets_left(task: &TaskStatus) -> Option<i64> {
    let left = |(_, next, end): &(TopicPartition, i64, Option<i64>)| end.map(|end| (end - next).max(0));
    task.restoring.iter().map(left).sum()
}
