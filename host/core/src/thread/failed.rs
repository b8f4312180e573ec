//! The transaction did not happen, or nobody knows: forget all since the last commit, and have positions read anew.

use super::transaction::Transaction;
use super::{Effect, StreamThread};

pub(super) fn handle(thread: &mut StreamThread, effects: &mut Vec<Effect>) {
    // Tasks are reset only when the committed positions are there: until then no rows are taken.
    thread.transaction = Transaction::Recovering;
    effects.push(Effect::Recover);
}
