use std::time::Duration;

/// The first wait.
const WAIT_MIN: Duration = Duration::from_millis(50);

/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Waits that double up to a bound.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: WAIT_MIN }
    }
}

impl Backoff {
    /// How long to wait now.
    pub fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(WAIT_MAX);
        now
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.next = WAIT_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(), WAIT_MIN);
    }
}
