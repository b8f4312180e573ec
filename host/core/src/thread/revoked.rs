//! These partitions go to another member once we release them: what their tasks did is committed first.

use super::lost::stop_replay;
use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime};
use crate::record::TopicPartition;
use crate::task::life::{Cause, State};

pub(super) fn handle(
    thread: &mut StreamThread,
    partitions: Vec<TopicPartition>,
    now: WallTime,
    effects: &mut Vec<Effect>,
) {
    for task in thread.tasks.values_mut() {
        if task.state() != State::Suspended && partitions.iter().any(|partition| task.owns(partition)) {
            stop_replay(task, effects);
            task.suspend();
        }
    }
    thread.leaving.extend(partitions);
    match thread.transaction {
        Transaction::Idle => thread.release(effects),
        // Released by `settle`, once the answer is there.
        Transaction::Open(_) => thread.commit(now, effects),
        Transaction::Committing { .. } | Transaction::Recovering => {}
    }
}

impl StreamThread {
    /// Closes suspended tasks and gives up their partitions.
    pub(super) fn release(&mut self, effects: &mut Vec<Effect>) {
        if self.leaving.is_empty() {
            return;
        }
        for task in self.tasks.values_mut().filter(|task| task.state() == State::Suspended) {
            task.close(Cause::Released);
        }
        self.tasks.retain(|_, task| task.state() != State::Closed);
        effects.push(Effect::Release(std::mem::take(&mut self.leaving)));
    }
}
