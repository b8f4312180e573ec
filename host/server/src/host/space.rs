//! How much space is left where this host keeps its state: told before there is none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Host;

/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How often a disk that stays low is told of again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(300);

/// Less than this is low, or less than a part of the disk where that is smaller.
const LOW_BYTES: u64 = 1 << 30;

/// The part.
const LOW_PART: u64 = 10;

/// What was seen last.
#[derive(Debug, Default)]
pub struct Space {
    /// `u64::MAX`: it could not be told.
    free_bytes: AtomicU64,
    low_bytes: AtomicU64,
}

impl Space {
    /// Bytes that may still be written; none: not known.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|free| *free != u64::MAX)
    }

    /// Whether that is few.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free_bytes().is_some_and(|free| free < self.low_bytes.load(Ordering::Relaxed))
    }

    /// Looks where `path` lies.
    pub fn look(&self, path: &Path) {
        let Ok(disk) = rustix::fs::statvfs(path) else {
            self.free_bytes.store(u64::MAX, Ordering::Relaxed);
            return;
        };
        // What is free for everybody, not for root alone.
        self.free_bytes.store(disk.f_bavail.saturating_mul(disk.f_frsize), Ordering::Relaxed);
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        self.low_bytes.store(LOW_BYTES.min(all / LOW_PART), Ordering::Relaxed);
    }
}

/// Looks until the host stops.
pub fn run(host: &Arc<Host>) {
    let path = host.state_dir.join("");
    let mut told: Option<Instant> = None;
    loop {
        host.space.look(&path);
        if host.space.is_low() && told.is_none_or(|told| told.elapsed() >= REPEAT_INTERVAL) {
            told = Some(Instant::now());
            tracing::warn!(
                free_bytes = host.space.free_bytes(), path = %path.display(),
                "little disk space is left; free some, or move --state-dir: once it is full the host stops"
            );
        }
        if !host.space.is_low() {
            told = None;
        }
        if host.stop.wait(LOOK_INTERVAL) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_a_bound_and_not_when_it_cannot_be_asked() {
        let space = Space::default();
        space.look(&std::env::temp_dir());
        let free = space.free_bytes().unwrap();
        space.low_bytes.store(free + 1, Ordering::Relaxed);
        assert!(space.is_low());
        space.low_bytes.store(free, Ordering::Relaxed);
        assert!(!space.is_low());
        space.look(Path::new("/no/such/folder"));
        assert_eq!((space.free_bytes(), space.is_low()), (None, false));
    }
}
