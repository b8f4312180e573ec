//! Positions as they are committed, after a failure: the only truth about a transaction whose end was unknown.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime, assigned};
use crate::ports::Position;

pub(super) fn handle(thread: &mut StreamThread, positions: &[Position], now: WallTime, effects: &mut Vec<Effect>) {
    thread.transaction = Transaction::Idle;
    for task in thread.tasks.values_mut() {
        if task.reset(Some(positions)) {
            effects.push(Effect::Resume(task.partitions()));
        }
    }
    thread.restore_again(now, effects);
    thread.settle(effects);
    if !thread.stopping {
        assigned::commit_starts(thread, positions, now, effects);
    }
}
