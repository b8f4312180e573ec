use std::collections::BTreeSet;

use crate::task::TaskId;
use crate::thread::WallTime;

/// The one transaction of a thread.
///
/// ```text
///           first output             asked for           Committed
///   Idle ───────────────▶ Open ──────────────▶ Committing ────────▶ Idle
///    ▲  ◀───── Lost ──────  │                       │
///    │                      │ Broken                │ CommitFailed
///    │      Recovered       ▼                       │
///    └──────────────── Recovering ◀─────────────────┘
/// ```
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// Nothing is open.
    Idle,
    /// Effects have left that no commit holds yet.
    Open(Open),
    /// Its commit was asked for; no rows are taken before the answer.
    Committing {
        /// When it was asked for.
        since: WallTime,
        /// Whose positions it holds.
        wrote: BTreeSet<TaskId>,
    },
    /// Its outcome is being settled; no rows are taken before the answer.
    Recovering,
}

impl Transaction {
    /// Whether the work of `task` since its last commit is in it.
    pub(crate) fn holds(&self, task: &TaskId) -> bool {
        match self {
            Self::Idle => false,
            Self::Open(open) => open.wrote.contains(task),
            Self::Committing { wrote, .. } => wrote.contains(task),
            Self::Recovering => true, // nobody knows yet
        }
    }
}

/// A transaction that takes rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// When it began.
    pub(crate) began: WallTime,
    /// The tasks that wrote in it or moved on: all their positions are committed, changed or not. That is the fence.
    pub(crate) wrote: BTreeSet<TaskId>,
    /// Bytes of its output.
    pub(crate) bytes: usize,
}

/// When commits ended and what they cost, in microseconds: what an early commit goes by.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    ended: WallTime,
    /// A moving average over some eight commits.
    cost_us: i64,
}

/// An early commit is not sooner than this after the last one.
const EARLY_COMMIT_US_MIN: i64 = 10_000;
/// Nor sooner than so many times what a commit costs: at most a fifth of the time goes into commits.
const EARLY_COMMIT_COSTS: i64 = 4;

impl Timing {
    pub(crate) fn committed(&mut self, since: WallTime, now: WallTime) {
        let took = now.micros_since(since);
        self.cost_us = if self.cost_us == 0 { took } else { (self.cost_us * 7 + took) / 8 };
        self.ended = now;
    }

    /// When a thread without input may commit early.
    pub(crate) fn early(&self) -> WallTime {
        WallTime(self.ended.0.saturating_add(EARLY_COMMIT_US_MIN.max(self.cost_us.saturating_mul(EARLY_COMMIT_COSTS))))
    }
}
