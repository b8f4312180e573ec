//! The engine under everything that may happen to it. `WEIR_SEED=n` runs one seed and prints what happened in it.
#![allow(missing_docs, clippy::panic, reason = "tests are named as sentences")]

use std::panic::catch_unwind;
use std::time::Instant;

use weir_testing::simulation::seeds::{failure, first_failure};
use weir_testing::simulation::{Bug, Violation, run};

/// Seeds of a test run; `WEIR_SEEDS` asks for more.
const SEEDS: u64 = 10_000;
/// Seeds within which each planted bug must be found.
const SEEDS_PER_BUG: u64 = 10_000;

fn violation(seed: u64, bug: Option<Bug>) -> Option<Violation> {
    run(seed, bug, false).violation
}

#[test]
fn every_law_holds_at_every_seed() {
    if let Some(seed) = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let outcome = run(seed, None, true);
        println!("{}\n{:#?}", outcome.trace.join("\n"), outcome.figures);
        assert_eq!(outcome.violation, None);
        return;
    }
    let seeds = std::env::var("WEIR_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let started = Instant::now();
    if let Some((seed, what)) = first_failure(seeds, |seed| violation(seed, None)) {
        let trace = catch_unwind(|| run(seed, None, true)).map(|outcome| outcome.trace).unwrap_or_default();
        panic!("{}\nseed {seed}: {what}\nrun it again with WEIR_SEED={seed}", trace.join("\n"));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{seeds} seeds in {seconds:.1} s: {:.0} seeds/s", seeds as f64 / seconds);
}

fn is_found(bug: Bug) {
    let found = first_failure(SEEDS_PER_BUG, |seed| violation(seed, Some(bug)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug:?} was not found in {SEEDS_PER_BUG} seeds"));
    println!("{bug:?} was found at seed {seed}: {what}");
    assert_eq!(failure(|| violation(seed, None)), None, "without the bug the same seed passes");
}

macro_rules! bugs {
    ($($name:ident: $bug:ident,)*) => {
        $(
            #[test]
            fn $name() {
                is_found(Bug::$bug);
            }
        )*

        #[test]
        fn every_planted_bug_has_its_test() {
            assert_eq!([$(Bug::$bug),*], Bug::ALL);
        }
    };
}

bugs! {
    omitted_positions_are_found: OmitsPositions,
    a_commit_after_a_loss_is_found: CommitsWhenLost,
    a_position_past_a_poison_row_is_found: PassesPoison,
    instances_that_outlive_an_abort_are_found: KeepsInstances,
    an_unknown_commit_repeated_is_found: RepeatsUnknown,
    an_unknown_commit_trusted_is_found: TrustsUnknown,
    a_disturbed_producer_kept_is_found: KeepsDisturbed,
    a_swap_in_mid_transaction_is_found: SwapsInMidTransaction,
    rows_dropped_before_a_poison_row_are_found: DropsBeforePoison,
    a_position_read_too_early_is_found: ReadsUnstable,
    an_unfenced_commit_is_found: Unfenced,
    a_forgotten_seek_is_found: ForgetsSeek,
    a_lost_write_is_found: LosesAWrite,
    a_torn_apply_is_found: TearsAnApply,
    an_end_too_far_is_found: EndsTooFar,
    a_change_left_out_of_a_replay_is_found: SkipsAChange,
    a_commit_in_two_is_found: SplitsCommit,
    forgotten_times_are_found: ForgetsTimes,
    windows_open_again_are_found: ReopensWindows,
    state_dropped_at_a_swap_is_found: DropsStateAtSwap,
    accumulators_in_memory_are_found: FoldsInMemory,
}
