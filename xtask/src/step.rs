//! A step says that it begins, and when it has ended, how long it took.

use std::time::Instant;

use anyhow::Result;

/// Runs `work` under a headline. Its own output, if any, comes between the two lines.
pub fn step<T>(name: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {name:<8} {what}");
    let begin = Instant::now();
    let result = work();
    let seconds = begin.elapsed().as_secs_f64();
    match &result {
        Ok(_) => println!("    {name:<8} done in {seconds:.1} s"),
        Err(_) => println!("    {name:<8} FAILED after {seconds:.1} s"),
    }
    result
}
