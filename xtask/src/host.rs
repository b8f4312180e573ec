//! A host on this machine, as demo and benchmarks need one: started, asked over REST, stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::Http;
use crate::process::{run as run_command, tail};

const READY_WAIT: Duration = Duration::from_secs(60);
/// Between two looks at `/readyz`: as exactly is [`Host::ready`] known.
const POLL: Duration = Duration::from_millis(10);

/// A running host. Dropped, it is killed.
pub struct Host {
    child: Child,
    pub http: Http,
    /// From the start of the process to `/readyz`.
    pub ready: Duration,
    log: PathBuf,
}

impl Host {
    /// Starts `command`, which listens on `listen`, and waits until it is ready. What it prints goes to the file `log`.
    pub fn start(command: &[String], listen: &str, log: PathBuf) -> Result<Self> {
        let (program, arguments) = command.split_first().context("which command?")?;
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut process = Command::new(program);
        process.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begin = Instant::now();
        let child = process.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut host = Self { child, http: Http::new(listen), ready: Duration::ZERO, log };
        while !host.http.get("/readyz").is_ok_and(|(status, _)| status == 200) {
            if let Some(status) = host.child.try_wait()? {
                bail!("the host ended: {status}\n{}", log_end(&host.log));
            }
            if begin.elapsed() > READY_WAIT {
                bail!("the host is not ready after {READY_WAIT:?}\n{}", log_end(&host.log));
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

    /// SIGTERM: it commits and goes.
    pub fn stop(mut self) -> Result<()> {
        run_command(Command::new("kill").arg(self.child.id().to_string()))?;
        self.wait()
    }

    /// Waits until it ends, by whomever it is told to.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait().context("the host cannot be waited for")?;
        if !status.success() {
            bail!("the host ended badly: {status}\n{}", log_end(&self.log));
        }
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

fn log_end(log: &Path) -> String {
    tail(&fs::read_to_string(log).unwrap_or_default())
}
