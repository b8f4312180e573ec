//! The engine itself on this log, on a disk that tears and forgets, under the laws of `weir_testing::simulation`: each
//! input's effect exactly once, order, state the fold of what was taken; and what was acknowledged is never taken back.
//!
//! [`world`] lets anything happen, by a seed; [`steps`] takes one script and stops it at each operation of its disk.
//! `WEIR_SEED=n` runs one seed and prints what happened in it, `WEIR_SEEDS=n` runs more.

mod machine;
mod steps;
mod witness;
mod world;

use std::time::Instant;

use weir_testing::simulation::seeds::{failure, first_failure};
use weir_testing::simulation::{Bug, Violation};

use crate::disk::sim::SimDisk;
use world::World;

/// Seeds of a test run.
const SEEDS: u64 = 2_000;
/// Seeds within which each planted bug must be found.
const SEEDS_PER_BUG: u64 = 2_000;

/// A bug to be found.
#[derive(Clone, Copy, Debug)]
enum Planted {
    Nothing,
    /// In what the log stands on.
    InDisk(fn(&SimDisk)),
    /// In what the engine stands on.
    InEngine(Bug),
}

fn violation(seed: u64, planted: Planted) -> Option<Violation> {
    World::new(seed, planted, false).run().0.err()
}

#[test]
fn every_law_holds_on_a_disk_that_tears_and_forgets() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    if let Some(seed) = number("WEIR_SEED") {
        let (done, figures, trace) = World::new(seed, Planted::Nothing, true).run();
        println!("{}\n{figures:#?}", trace.join("\n"));
        assert_eq!(done, Ok(()));
        return;
    }
    let (seeds, started) = (number("WEIR_SEEDS").unwrap_or(SEEDS), Instant::now());
    if let Some((seed, what)) = first_failure(seeds, |seed| violation(seed, Planted::Nothing)) {
        panic!("seed {seed}: {what}\nrun it again with WEIR_SEED={seed}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{seeds} seeds in {seconds:.1} s: {:.0} seeds/s", seeds as f64 / seconds);
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..20 {
        let [first, second] = [0, 1].map(|_| World::new(seed, Planted::Nothing, true).run());
        assert_eq!(first, second, "seed {seed}");
    }
}

fn is_found(name: &str, planted: Planted) {
    let found = first_failure(SEEDS_PER_BUG, |seed| violation(seed, planted));
    let (seed, what) = found.unwrap_or_else(|| panic!("{name} was not found in {SEEDS_PER_BUG} seeds"));
    println!("{name} was found at seed {seed}: {what}");
    assert_eq!(failure(|| violation(seed, Planted::Nothing)), None, "without the bug the same seed passes");
}

#[test]
fn syncs_that_do_nothing_are_found() {
    is_found("a sync that does nothing", Planted::InDisk(SimDisk::sync_is_a_lie));
}

#[test]
fn names_that_are_not_synced_are_found() {
    is_found("a name that is not synced", Planted::InDisk(SimDisk::names_are_a_lie));
}

#[test]
fn bugs_above_the_log_are_found() {
    let bugs = [
        Bug::SplitsCommit,
        Bug::OmitsPositions,
        Bug::TearsAnApply,
        Bug::LosesAWrite,
        Bug::EndsTooFar,
        Bug::SkipsAChange,
        Bug::KeepsInstances,
    ];
    for bug in bugs {
        is_found(&format!("{bug:?}"), Planted::InEngine(bug));
    }
}
