//! Bringing the stores of tasks to where their last commit left them.

use super::lost::stop_replay;
use super::{Effect, Report, ReportKind, StreamThread, WallTime};
use crate::ports::{Replay, StoreError};
use crate::record::TopicPartition;
use crate::state::ReplayFrom;
use crate::task::life::State;
use crate::task::{Replays, TaskId};

impl StreamThread {
    /// Opens the stores of a task that has just come. Its partitions are paused while it restores, and other tasks go on.
    pub(super) fn open_stores(&mut self, id: TaskId, now: WallTime, effects: &mut Vec<Effect>) {
        if self.topology.subtopologies[id.subtopology].stores.is_empty() {
            return;
        }
        let Some(stores) = &mut self.stores else {
            let error = StoreError::Io("this host was started without a place for stores".to_owned());
            return self.restore_began(id, Err(error), effects);
        };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let age = (now.millis(), stores.age_max_ms);
        let opened = stores.supplier.open(id);
        let begun = opened.and_then(|store| task.open(store, &self.topology, &stores.topic_ids, age));
        self.restore_began(id, begun, effects);
    }

    /// Nobody knows what became of the last transaction: tasks with stores replay what they may have missed.
    pub(super) fn restore_again(&mut self, now: WallTime, effects: &mut Vec<Effect>) {
        let Some(age_max_ms) = self.stores.as_ref().map(|stores| stores.age_max_ms) else { return };
        let unsettled: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|task| task.has_stores() && matches!(task.state(), State::Running | State::Restoring))
            .map(|task| task.id)
            .collect();
        for id in unsettled {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let begun = task.restore_again((now.millis(), age_max_ms));
            self.restore_began(id, begun, effects);
        }
    }

    fn restore_began(&mut self, id: TaskId, begun: Result<Replays, StoreError>, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match begun {
            Ok(replays) if replays.is_empty() => {}
            Ok(replays) => {
                effects.push(Effect::Pause(task.partitions()));
                let replay = |(partition, from): &(TopicPartition, ReplayFrom)| Replay {
                    partition: partition.clone(),
                    from: from.offset(),
                };
                effects.push(Effect::Replay(replays.iter().map(replay).collect()));
                self.tell(id, ReportKind::RestoreBegan { changelogs: replays }, effects);
            }
            Err(error) => self.fail_state(id, "weir.store", error.to_string(), effects),
        }
    }

    /// The task stops for its stores' sake.
    pub(super) fn fail_state(&mut self, id: TaskId, reason: &str, message: String, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        stop_replay(task, effects);
        effects.push(Effect::Pause(task.partitions()));
        effects.push(Effect::Report(task.fail_state(&self.topology, reason, message)));
    }

    /// A report about a task as a whole, under the name of its source.
    pub(super) fn tell(&self, id: TaskId, kind: ReportKind, effects: &mut Vec<Effect>) {
        let source = self.topology.subtopologies[id.subtopology].sources[0];
        let node = self.topology.node(source).name.clone();
        effects.push(Effect::Report(Report { task: id, node, version: None, at: None, kind }));
    }
}
