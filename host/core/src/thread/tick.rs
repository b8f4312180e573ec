//! Time has passed and nothing else came.

use super::{Effect, StreamThread, WallTime};

pub(super) fn handle(thread: &mut StreamThread, now: WallTime, effects: &mut Vec<Effect>) {
    thread.work(now, effects);
    // Out of input: commit early, so that a row is not late for want of company.
    if now >= thread.timing.early() {
        thread.commit(now, effects);
    }
}
