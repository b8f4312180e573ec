//! Waiting for something to become true: always bounded, and a time-out says what was waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often [`until`] looks.
const POLL: Duration = Duration::from_millis(20);

/// Asks `probe` until it answers `Some`, at most for `wait`.
pub fn until<T>(what: &str, wait: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + wait;
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {wait:?} in vain until {what}");
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_in_vain_says_for_what() {
        let error = until("pigs fly", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert!(error.to_string().contains("until pigs fly"), "{error}");
    }
}
