use std::time::{Instant, SystemTime, UNIX_EPOCH};

use weir_core::thread::{Clock, WallTime};

/// The machine's clock, read once and then counted on: it never runs backwards, whatever is done to the time of day.
pub struct SystemClock {
    began: Instant,
    began_us: i64,
}

impl SystemClock {
    /// Starting now.
    #[must_use]
    pub fn new() -> Self {
        let began_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        Self { began: Instant::now(), began_us }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> WallTime {
        WallTime(self.began_us + self.began.elapsed().as_micros() as i64)
    }
}
