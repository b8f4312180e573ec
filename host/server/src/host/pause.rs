use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Measures how long a swap kept rows waiting: from the last turn before it that took rows, or had none to take, to the
/// end of the first after it that did.
#[derive(Debug)]
pub struct PauseMeter {
    /// When rows were last taken, or none were waiting.
    served: Instant,
    /// Nodes that were swapped since.
    swapped: Vec<String>,
    /// The longest pause of each node.
    longest: BTreeMap<String, Duration>,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    /// It took rows.
    pub rows: bool,
    /// It committed or swapped: rows may have waited.
    pub work: bool,
}

impl PauseMeter {
    /// Nothing was swapped yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { served: now, swapped: Vec::new(), longest: BTreeMap::new() }
    }

    /// A task runs another version of `node`.
    pub fn swapped(&mut self, node: &str) {
        if !self.swapped.iter().any(|other| other == node) {
            self.swapped.push(node.to_owned());
        }
    }

    /// A turn has ended at `now`.
    pub fn turned(&mut self, did: Did, now: Instant) {
        if did.rows {
            let pause = now.duration_since(self.served);
            for node in self.swapped.drain(..) {
                let longest = self.longest.entry(node).or_default();
                *longest = pause.max(*longest);
            }
        }
        if did.rows || !did.work {
            self.served = now;
        }
    }

    /// The longest pause of each swapped node.
    pub fn longest(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.longest.iter().map(|(node, pause)| (node.as_str(), *pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Did = Did { rows: true, work: false };
    const WORK: Did = Did { rows: false, work: true };
    const IDLE: Did = Did { rows: false, work: false };

    fn longest(turns: &[(u64, Did, bool)]) -> Option<u128> {
        let began = Instant::now();
        let mut meter = PauseMeter::new(began);
        for (at_ms, did, swaps) in turns {
            if *swaps {
                meter.swapped("details");
            }
            meter.turned(*did, began + Duration::from_millis(*at_ms));
        }
        meter.longest().next().map(|(_, pause)| pause.as_millis())
    }

    #[test]
    fn a_pause_is_from_the_rows_before_a_swap_to_those_after() {
        assert_eq!(longest(&[(10, ROWS, false), (30, WORK, true), (37, ROWS, false)]), Some(27));
    }

    #[test]
    fn time_in_which_no_row_waited_is_no_pause() {
        assert_eq!(longest(&[(10, ROWS, false), (30, WORK, true), (900, IDLE, false), (905, ROWS, false)]), Some(5));
    }

    #[test]
    fn without_a_swap_nothing_is_a_pause() {
        assert_eq!(longest(&[(10, ROWS, false), (500, WORK, false), (600, ROWS, false)]), None);
    }
}
