//! A whole application on a simulated broker: hosts that run the engine's own loop, and faults, crashes, zombies, rebalances
//! and deployments at any step. A seed decides everything, so one seed is one run.
//!
//! Start at [`run`]. [`checkers`] hold the one true history against what was committed; [`oracle`] says what that should be.

pub mod checkers;
mod disk;
mod host;
mod keeper;
mod model;
pub mod oracle;
pub mod planted;
pub mod plugin;
pub mod seeds;
mod state;
pub mod topologies;
mod world;

pub use checkers::{History, Violation};
pub use disk::Disk;
pub use host::{Deployment, Host, Plan};
pub use planted::{Bug, Trace};
pub use world::{Figures, World};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done and seen.
    pub figures: Figures,
    /// The law that was broken first; none: all held.
    pub violation: Option<Violation>,
    /// What happened, a line each; empty unless asked for.
    pub trace: Vec<String>,
}

/// Runs the simulation of `seed`.
#[must_use]
pub fn run(seed: u64, bug: Option<Bug>, traced: bool) -> Outcome {
    World::new(seed, bug, traced).run()
}

/// FNV-1a over two parts, mixed: the same on every machine.
pub(crate) fn hash(salt: &str, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = salt.as_bytes().iter().chain(&[0]).chain(bytes).fold(0xcbf2_9ce4_8422_2325, step);
    crate::Random::new(hash).next()
}
