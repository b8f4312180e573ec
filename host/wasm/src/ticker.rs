use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// How exact deadlines are. A guest looks at the epoch at each loop's head, so a shorter tick costs nothing but wake-ups.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// The one thread that moves an engine's epoch on. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("weir-epoch".to_owned()).spawn(tick)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Epochs until `deadline`, rounded up, and one for the tick in progress.
    pub(crate) fn epochs(deadline: Duration) -> u64 {
        u64::try_from(deadline.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).saturating_add(1)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.take(); // hanging up is the signal
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
