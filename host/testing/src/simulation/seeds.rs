//! Many runs, a seed each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Violation;

/// What goes wrong in `run`, by its law or by a panic; none: nothing.
pub fn failure(run: impl FnOnce() -> Option<Violation>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(violation) => violation.map(|violation| violation.to_string()),
        Err(_) => Some("it panicked".to_owned()),
    }
}

/// The first of `seeds` seeds at which `run` fails, and how; tried on as many threads as there are cores.
pub fn first_failure(seeds: u64, run: impl Fn(u64) -> Option<Violation> + Sync) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return None;
            }
            if let Some(what) = failure(|| run(seed)) {
                next.store(seeds, Ordering::Relaxed);
                return Some((seed, what));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()?).min()
    })
}
