//! A step says that it begins, that it still goes on, and when it has ended, how long it took.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How often a step that prints nothing says that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Runs `work` under a headline. Its own output, if any, comes between the two lines.
pub fn step<T>(name: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {name:<8} {what}");
    let begin = Instant::now();
    let result = thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            // On a terminal, cargo shows how far it is.
            while !is_terminal() && ended.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                println!("    {name:<8} {} s", begin.elapsed().as_secs());
            }
        });
        let result = work();
        drop(end);
        result
    });
    let seconds = begin.elapsed().as_secs_f64();
    match &result {
        Ok(_) => println!("    {name:<8} done in {seconds:.1} s"),
        Err(_) => println!("    {name:<8} FAILED after {seconds:.1} s"),
    }
    result
}

/// Whether a person is watching, to whom cargo may show its progress.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
