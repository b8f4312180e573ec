use std::collections::BTreeMap;
use std::time::Instant;

use weir_core::ports::{CommitError, Digest, TransportError};
use weir_core::task::TaskId;
use weir_core::thread::{Observer, Report, ReportKind};
use weir_core::topology::NodeName;

use super::histogram::Histogram;
use super::meter::Counted;
use super::pause::PauseMeter;
use super::report_limit::ReportLimit;
use super::restores::Restores;
use super::thread::Snapshot;

/// Why a task is FAILED.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The node at whose row it stopped.
    pub node: String,
    /// The version that ran there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A trap's kind or a reject's code.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Where the row stands, as `orders/3@17`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Symbolised frames.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub backtrace: String,
}

/// Rows of one peek that are written within ten seconds; further ones are counted.
const PEEKED_LINES_MAX: u64 = 50;

/// Hears a stream thread: writes the log, counts for metrics and status. No payload of a row is ever written but what a
/// `peek` of the topology shows.
pub struct ThreadObserver {
    thread: usize,
    limit: ReportLimit,
    peeks: ReportLimit,
    /// Rows of each peek that passed since its last line.
    unshown: BTreeMap<NodeName, u64>,
    /// Measures swaps.
    pub pause: PauseMeter,
    /// Follows restores.
    pub restores: Restores,
    /// A task was swapped since this was last asked.
    swapped: bool,
    commits: Histogram,
    commits_failed: u64,
    swaps: BTreeMap<NodeName, u64>,
    refused: BTreeMap<(NodeName, TaskId), (Digest, String)>,
    failures: BTreeMap<TaskId, Failure>,
}

impl ThreadObserver {
    /// Of thread `thread`, counting on from what it has counted before.
    #[must_use]
    pub fn new(thread: usize, before: Snapshot, counted: Counted) -> Self {
        Self {
            thread,
            limit: ReportLimit::default(),
            peeks: ReportLimit::of(PEEKED_LINES_MAX),
            unshown: BTreeMap::new(),
            pause: PauseMeter::default(),
            restores: Restores::new(counted, before.replayed_rows, before.restores),
            swapped: false,
            commits: before.commits,
            commits_failed: before.commits_failed,
            swaps: before.swaps,
            refused: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Whether a task was swapped since this was last asked: others wait to hear of it.
    pub fn take_swapped(&mut self) -> bool {
        std::mem::take(&mut self.swapped)
    }

    /// The transport cannot go on for now.
    pub fn waiting(&mut self, cause: &str) {
        self.line(&format!("waiting {cause}"), |thread, held_back| {
            tracing::warn!(thread, cause, held_back, "the log does not answer; trying again");
        });
    }

    /// Writes what it has counted into a snapshot.
    pub fn tell(&self, snapshot: &mut Snapshot) {
        snapshot.commits = self.commits.clone();
        snapshot.commits_failed = self.commits_failed;
        snapshot.swaps = self.swaps.clone();
        snapshot.refused = self.refused.clone();
        snapshot.failures = self.failures.clone();
        (snapshot.replayed_rows, snapshot.restores) = self.restores.totals();
        for (node, pause) in self.pause.longest() {
            let longest = snapshot.pauses.entry(node.to_owned()).or_default();
            *longest = pause.max(*longest);
        }
    }

    fn line(&mut self, reason: &str, write: impl FnOnce(usize, u64)) {
        if let Some(held_back) = self.limit.admit(reason, Instant::now()) {
            write(self.thread, held_back);
        }
    }

    fn peeked(&mut self, report: &Report, shown: &str, behind: u64) {
        let unshown = self.unshown.entry(report.node.clone()).or_default();
        if self.peeks.admit(report.node.as_str(), Instant::now()).is_some() {
            let (at, unshown) = (coordinates(report), std::mem::take(unshown));
            tracing::info!(task = %report.task, node = %report.node, at, unshown, row = shown, "a row passes");
        } else {
            *unshown += 1;
        }
        *unshown += behind;
    }

    fn failed(&mut self, report: Report, reason: String, message: String, backtrace: String) {
        let at = coordinates(&report);
        let Report { task, node, version, .. } = report;
        tracing::error!(
            task = %task, node = %node, at, reason, message, backtrace,
            version = version.as_ref().map(Digest::as_str),
            "the task is FAILED at this record; deploy a version of the node that takes it"
        );
        let version = version.map(|version| version.as_str().to_owned());
        let node = node.as_str().to_owned();
        self.failures.insert(task, Failure { node, version, reason, message, at, backtrace });
    }
}

fn coordinates(report: &Report) -> Option<String> {
    report.at.as_ref().map(|(partition, offset)| format!("{partition}@{offset}"))
}

impl Observer for ThreadObserver {
    fn report(&mut self, mut report: Report) {
        let at = coordinates(&report);
        let (task, node) = (report.task, report.node.clone());
        let version = report.version.clone();
        let version = version.as_ref().map(Digest::as_str);
        let kind =
            std::mem::replace(&mut report.kind, ReportKind::Retried { reason: String::new(), message: String::new() });
        match kind {
            ReportKind::Failed { reason, message, backtrace } => self.failed(report, reason, message, backtrace),
            ReportKind::Peeked { shown, unshown } => self.peeked(&report, &shown, unshown),
            ReportKind::RestoreBegan { changelogs } => self.restores.began(task, &changelogs),
            ReportKind::Restored => self.restores.ended(task),
            ReportKind::Skipped { reason, message, backtrace } => {
                self.line(&format!("{node} {reason}"), |_, held_back| {
                    tracing::warn!(task = %task, node = %node, at, version, reason, message, backtrace, held_back, "a record is skipped");
                });
            }
            ReportKind::Retried { reason, message } => {
                self.line(&format!("{node} retried {reason}"), |_, held_back| {
                    tracing::warn!(task = %task, node = %node, at, version, reason, message, held_back, "a call trapped that did not trap again");
                });
            }
            ReportKind::Swapped { from, to } => {
                self.swapped = true;
                self.pause.swapped(node.as_str());
                self.refused.remove(&(node.clone(), task));
                *self.swaps.entry(node.clone()).or_default() += 1;
                tracing::info!(task = %task, node = %node, from = %from, to = %to, "swapped");
            }
            ReportKind::SwapRefused { to, message } => {
                tracing::error!(task = %task, node = %node, to = %to, message, "the new version cannot be started; the old one goes on");
                self.refused.insert((node, task), (to, message));
            }
        }
    }

    fn committed(&mut self, took_us: i64) {
        self.commits.observe(took_us);
    }

    fn commit_failed(&mut self, error: &CommitError) {
        self.commits_failed += 1;
        let cause = error.to_string();
        self.line("commit", |thread, held_back| {
            tracing::warn!(thread, cause, held_back, "a commit did not return as done; what it held is done again");
        });
    }

    fn broken(&mut self, error: &TransportError) {
        let cause = error.to_string();
        self.line("broken", |thread, held_back| {
            tracing::warn!(thread, cause, held_back, "the transaction broke; what it held is done again");
        });
    }
}
