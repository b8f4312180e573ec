//! ```text
//!             Restored           Poisoned             Revoked              Released
//! Restoring ───────────▶ Running ─────────▶ Failed ───────────▶ Suspended ──────────▶ Closed
//!     ▲  Unsettled          │  ▲   ◀──────────  │                    ▲                    ▲
//!     └─────────────────────┴──┘ Deployed, Reset                     └── any       Lost ──┘ (from any)
//! ```

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It takes in what its changelogs have that its stores have not; its partitions are paused, other tasks go on.
    Restoring,
    /// It takes rows.
    Running,
    /// It stopped at a row that its node's policy does not let pass, or its stores do not answer; its partitions are paused, other tasks go on.
    Failed,
    /// Revoked: it waits for the commit and takes no more rows.
    Suspended,
    /// It is not ours any more.
    Closed,
}

impl State {
    /// The label in metrics, logs and REST.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restoring => "RESTORING",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Suspended => "SUSPENDED",
            Self::Closed => "CLOSED",
        }
    }
}

/// What moves a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its stores are where its last commit left them.
    Restored,
    /// Nobody knows whether its last transaction happened: its stores are brought up to what its changelogs say.
    Unsettled,
    /// A row met policy `fail`, or its stores do not answer.
    Poisoned,
    /// A new version of the node that failed is there.
    Deployed,
    /// The transaction did not happen: back to the last committed position.
    Reset,
    /// The group wants the partitions for another member.
    Revoked,
    /// Its last transaction is settled.
    Released,
    /// The group has given the partitions to another member.
    Lost,
}

/// The state after `cause`; none: it cannot happen, and if it does the fault is ours, never the input's.
#[must_use]
#[rustfmt::skip]
pub fn next(state: State, cause: Cause) -> Option<State> {
    use {Cause as C, State as S};
    Some(match (state, cause) {
        (S::Restoring, C::Restored) => S::Running,
        (S::Restoring | S::Running | S::Failed, C::Unsettled) => S::Restoring,
        (S::Suspended, C::Unsettled) => S::Suspended, // still to be released
        (S::Restoring, C::Reset | C::Deployed) => S::Restoring,
        (S::Restoring | S::Running, C::Poisoned) => S::Failed, // policy `fail`, or a store's fault
        (S::Failed,    C::Deployed) => S::Running,   // the new version may take the row
        (S::Running,   C::Deployed) => S::Running,
        (S::Running,   C::Reset)    => S::Running,
        (S::Failed,    C::Reset)    => S::Running,   // it meets its row again, or a version that takes it
        (S::Suspended, C::Reset)    => S::Suspended, // still to be released
        (S::Restoring | S::Running | S::Failed, C::Revoked) => S::Suspended,
        (S::Suspended, C::Released) => S::Closed,
        (S::Restoring | S::Running | S::Failed | S::Suspended, C::Lost) => S::Closed, // fenced: abort, never commit
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [State::Restoring, State::Running, State::Failed, State::Suspended, State::Closed];
    const CAUSES: [Cause; 8] = [
        Cause::Restored,
        Cause::Unsettled,
        Cause::Poisoned,
        Cause::Deployed,
        Cause::Reset,
        Cause::Revoked,
        Cause::Released,
        Cause::Lost,
    ];

    #[test]
    fn nothing_leaves_closed_and_only_a_release_or_a_loss_leads_there() {
        for state in STATES {
            for cause in CAUSES {
                let after = next(state, cause);
                assert!(state != State::Closed || after.is_none(), "{state:?} {cause:?}");
                let closes = after == Some(State::Closed);
                assert!(!closes || matches!(cause, Cause::Released | Cause::Lost), "{state:?} {cause:?}");
            }
        }
    }

    #[test]
    fn every_live_state_can_be_lost_and_be_reset() {
        for state in [State::Restoring, State::Running, State::Failed, State::Suspended] {
            assert_eq!(next(state, Cause::Lost), Some(State::Closed));
            assert!(next(state, Cause::Reset).is_some());
        }
    }
}
