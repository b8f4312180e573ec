//! A host under measurement that we ask ourselves: where no peer does the work, there is nothing to measure from outside.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::peers::LISTEN;
use crate::http::Http;
use crate::process::run as run_command;

const READY_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A running host. Dropped, it is killed.
pub struct Host {
    child: Child,
    pub http: Http,
    /// From the start of the process to `/readyz`.
    pub ready: Duration,
}

impl Host {
    /// Starts `command` and waits until it is ready.
    pub fn start(command: &[String]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("which command?")?;
        let begin = Instant::now();
        let mut process = Command::new(program);
        process.args(arguments).args(["--log", "warn"]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = process.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut host = Self { child, http: Http::new(LISTEN), ready: Duration::ZERO };
        while !host.http.get("/readyz").is_ok_and(|(status, _)| status == 200) {
            if begin.elapsed() > READY_WAIT || host.child.try_wait()?.is_some() {
                bail!("the host is not ready: {}", command.join(" "));
            }
            thread::sleep(POLL);
        }
        host.ready = begin.elapsed();
        Ok(host)
    }

    /// Rows taken of all partitions, and rows there are.
    pub fn progress(&self) -> Result<(i64, i64)> {
        let (_, body) = self.http.get("/api/v1/status")?;
        let status: Value = serde_json::from_str(&body).context("the status is no JSON")?;
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        let positions = tasks.iter().flat_map(|task| task["positions"].as_array().into_iter().flatten());
        let sum = |name: &str| positions.clone().filter_map(|position| position[name].as_i64()).sum();
        Ok((sum("offset"), sum("end")))
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> Result<()> {
        run_command(Command::new("kill").arg(self.child.id().to_string()))?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Already ended where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
