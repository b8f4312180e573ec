use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Lines of one reason within [`WINDOW`]; further ones are counted.
const LINES_MAX: u64 = 5;

/// How long a reason is held back once it has had its lines.
const WINDOW: Duration = Duration::from_secs(10);

/// Reasons that are told apart at one time; plugins choose them, so they are bounded.
const REASONS_MAX: usize = 256;

/// Keeps a poisoned topic from filling the log: a reason's first lines are written, the others counted.
#[derive(Debug)]
pub struct ReportLimit {
    lines_max: u64,
    reasons: BTreeMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u64,
}

impl Default for ReportLimit {
    fn default() -> Self {
        Self::of(LINES_MAX)
    }
}

impl ReportLimit {
    /// With so many lines of one reason within ten seconds.
    #[must_use]
    pub fn of(lines_max: u64) -> Self {
        Self { lines_max, reasons: BTreeMap::new() }
    }

    /// Whether a line of `reason` may be written at `now`, and how many were held back since the last one.
    pub fn admit(&mut self, reason: &str, now: Instant) -> Option<u64> {
        if let Some(window) = self.reasons.get_mut(reason) {
            window.lines += 1;
            if now.duration_since(window.began) < WINDOW {
                return (window.lines <= self.lines_max).then_some(0);
            }
            let held_back = (window.lines - 1).saturating_sub(self.lines_max);
            *window = Window { began: now, lines: 1 };
            return Some(held_back);
        }
        if self.reasons.len() >= REASONS_MAX {
            self.reasons.retain(|_, window| now.duration_since(window.began) < WINDOW);
        }
        if self.reasons.len() >= REASONS_MAX {
            return None;
        }
        self.reasons.insert(reason.to_owned(), Window { began: now, lines: 1 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_its_first_lines_and_then_a_count() {
        let (mut limit, now) = (ReportLimit::default(), Instant::now());
        let written = (0..100).filter(|_| limit.admit("order.no-id", now).is_some()).count();
        assert_eq!(written as u64, LINES_MAX);
        assert_eq!(limit.admit("panic", now), Some(0), "another reason has lines of its own");
        assert_eq!(limit.admit("order.no-id", now + WINDOW), Some(95));
        assert_eq!(limit.admit("order.no-id", now + WINDOW), Some(0));
    }

    #[test]
    fn reasons_without_end_do_not_fill_the_memory() {
        let (mut limit, now) = (ReportLimit::default(), Instant::now());
        let written = (0..10_000).filter(|reason| limit.admit(&reason.to_string(), now).is_some()).count();
        assert_eq!((written, limit.reasons.len()), (REASONS_MAX, REASONS_MAX));
        assert!(limit.admit("later", now + WINDOW).is_some());
    }
}
