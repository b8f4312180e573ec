use std::path::PathBuf;

use serde::Serialize;

use super::Out;
use super::source;
use crate::exit::Exit;
use crate::golden::{self, CaseReport, Verdict};
use crate::problem::Problem;
use crate::state_dir::cannot;

/// Runs the golden cases of a topology: cases/NAME/in.jsonl beside it, expect.jsonl and state.jsonl.
///
/// Each case is run in batches of one row and of all, with a restart and with an abort between any two of its lines:
/// nothing of it may show. Exit 1: a case failed. Exit 6: a file is wrong.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The topology's folder, or its file
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    path: PathBuf,
    /// Write down what comes out as what is expected
    #[arg(long)]
    update: bool,
    /// Write the results as JUnit's XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// A folder in which plugins are looked for, beside that of the file
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    application: String,
    cases: Vec<CaseReport>,
    passed: usize,
    failed: usize,
    updated: usize,
}

impl Test {
    /// Runs all cases.
    ///
    /// # Errors
    /// The topology, a plugin or a case's file is wrong.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let project = golden::find(&self.path)?;
        let topology = source::topology(&project.topology)?;
        let plugins = golden::load(&project.topology, &self.plugin_dir, &topology)?;
        let mut cases = Vec::new();
        for folder in &project.cases {
            cases.push(golden::run(folder, &topology, &plugins, self.update)?);
        }
        if let Some(path) = &self.junit {
            let xml = golden::junit(&topology.application, &cases);
            std::fs::write(path, xml).map_err(|cause| cannot("write", path, &cause))?;
        }
        let count = |verdict| cases.iter().filter(|case| case.verdict == verdict).count();
        let (passed, failed, updated) = (count(Verdict::Passed), count(Verdict::Failed), count(Verdict::Updated));
        let report = Report { application: topology.application.clone(), cases, passed, failed, updated };
        out.data(&report, text)?;
        Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
    }
}

fn text(report: &Report) -> String {
    let width = report.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text = String::new();
    for case in &report.cases {
        let verdict = match case.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Updated => "updated",
        };
        let (lines, runs) = (plural(case.lines, "line"), plural(case.runs, "run"));
        text.push_str(&format!("{verdict:8}{:width$}  {lines}, {runs}\n", case.name));
        for problem in case.problems.iter().flat_map(|problem| problem.lines()) {
            text.push_str(&format!("        {problem}\n"));
        }
    }
    let updated = if report.updated > 0 { format!(", {} updated", report.updated) } else { String::new() };
    let cases = plural(report.cases.len(), "case");
    text.push_str(&format!(
        "{}: {cases}, {} passed, {} failed{updated}\n",
        report.application, report.passed, report.failed
    ));
    text
}
