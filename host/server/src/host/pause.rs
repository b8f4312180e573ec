use std::collections::BTreeMap;
use std::time::Duration;

/// Measures how long a swap kept rows waiting: from the end of the last turn before it that took rows to the end of the
/// first after it that did, less the time in which the thread waited for rows itself.
#[derive(Debug, Default)]
pub struct PauseMeter {
    /// How long the thread had been busy when it last took rows.
    served: Duration,
    /// Nodes that were swapped since.
    swapped: Vec<String>,
    /// The longest pause of each node.
    longest: BTreeMap<String, Duration>,
}

impl PauseMeter {
    /// A task runs another version of `node`.
    pub fn swapped(&mut self, node: &str) {
        if !self.swapped.iter().any(|other| other == node) {
            self.swapped.push(node.to_owned());
        }
    }

    /// A turn has ended that took rows, or did not; the thread has been `busy` for so long since its start, waiting for
    /// rows left out.
    pub fn turned(&mut self, took_rows: bool, busy: Duration) {
        if !took_rows {
            return;
        }
        let pause = busy.saturating_sub(self.served);
        for node in self.swapped.drain(..) {
            let longest = self.longest.entry(node).or_default();
            *longest = pause.max(*longest);
        }
        self.served = busy;
    }

    /// The longest pause of each swapped node.
    pub fn longest(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.longest.iter().map(|(node, pause)| (node.as_str(), *pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Busy time in milliseconds, whether rows were taken, whether the turn swapped.
    fn longest(turns: &[(u64, bool, bool)]) -> Option<u128> {
        let mut meter = PauseMeter::default();
        for (busy_ms, took_rows, swaps) in turns {
            if *swaps {
                meter.swapped("details");
            }
            meter.turned(*took_rows, Duration::from_millis(*busy_ms));
        }
        meter.longest().next().map(|(_, pause)| pause.as_millis())
    }

    #[test]
    fn a_pause_is_from_the_rows_before_a_swap_to_those_after() {
        assert_eq!(longest(&[(10, true, false), (30, false, true), (37, true, false), (99, true, false)]), Some(27));
    }

    #[test]
    fn the_longest_pause_of_several_swaps_is_kept() {
        assert_eq!(longest(&[(10, true, false), (40, true, true), (45, true, true)]), Some(30));
    }

    #[test]
    fn without_a_swap_nothing_is_a_pause() {
        assert_eq!(longest(&[(10, true, false), (500, false, false), (600, true, false)]), None);
    }
}
