//! Commit what there is and stop.

use super::transaction::Transaction;
use super::{Effect, StreamThread, WallTime};

pub(super) fn handle(thread: &mut StreamThread, now: WallTime, effects: &mut Vec<Effect>) {
    thread.stopping = true;
    match thread.transaction {
        Transaction::Idle => effects.push(Effect::Stop),
        Transaction::Open(_) => thread.commit(now, effects),
        // `settle` stops once the answer is there.
        Transaction::Committing { .. } | Transaction::Recovering => {}
    }
}
