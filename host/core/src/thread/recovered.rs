//! Positions as they are committed, after a failure: the only truth about a transaction whose end was unknown.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime, starts};
use crate::ports::Position;

pub(super) fn handle(thread: &mut StreamThread, positions: &[Position], now: WallTime, effects: &mut Vec<Effect>) {
    thread.transaction = Transaction::Idle;
    for task in thread.tasks.values_mut() {
        if task.reset(Some(positions)) {
            effects.push(Effect::Resume(task.partitions()));
        }
    }
    thread.restore_again(now, effects);
    // Not committed at once: where it failed because they are another member's, only a poll can say so, and a commit here
    // would fail again, and be recovered from, for ever.
    thread.starts = starts::of(positions).collect();
    thread.settle(effects);
}
