//! A case in all its runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use weir_core::topology::Topology;

use super::difference::Differences;
use super::files::{self, Expected, Line, Written};
use super::play::{Disturbance, Outcome, Stopped, Way, play};
use super::plugins::Loaded;
use crate::problem::Problem;

/// Places between lines at which a case is disturbed; of more, so many are chosen, evenly.
const PLACES_MAX: usize = 100;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it is written.
    Passed,
    /// Otherwise.
    Failed,
    /// What came is written down now.
    Updated,
}

/// What became of a case.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseReport {
    /// Its folder's name.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How many lines it has.
    pub lines: usize,
    /// How often it was run.
    pub runs: usize,
    /// Milliseconds.
    pub took_ms: u64,
    /// What is wrong, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Runs a case in every way, and holds it against what is written, or writes that anew.
///
/// # Errors
/// Its files cannot be read or written.
pub fn run(folder: &Path, topology: &Topology, plugins: &Loaded, update: bool) -> Result<CaseReport, Problem> {
    let began = Instant::now();
    let written = files::read(folder)?;
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut runs = 0;
    let (mut verdict, mut problems) = (Verdict::Passed, Vec::new());
    match every_way(topology, plugins, &written.lines, &mut runs) {
        Err(found) => (verdict, problems) = (Verdict::Failed, found),
        Ok(outcome) if update => {
            if files::write(folder, &outcome)? {
                verdict = Verdict::Updated;
            }
        }
        Ok(outcome) => {
            problems = differences(&written, &outcome);
            if !problems.is_empty() {
                verdict = Verdict::Failed;
            }
        }
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(CaseReport { name, verdict, lines: written.lines.len(), runs, took_ms, problems })
}

fn differences(written: &Written, outcome: &Outcome) -> Vec<String> {
    let Some(expect) = &written.expect else {
        return vec!["there is no expect.jsonl: write one, or have it written with `weir test --update`".to_owned()];
    };
    let mut differences = Differences::default();
    differences.topics(expect, outcome);
    if let Some(state) = &written.state {
        differences.stores(state, outcome);
    }
    differences.finish()
}

/// What comes out, whatever the batches, restarts and aborts; else what shows them.
fn every_way(
    topology: &Topology,
    plugins: &Loaded,
    lines: &[(usize, Line)],
    runs: &mut usize,
) -> Result<Outcome, Vec<String>> {
    let mut once = |way: Way| {
        *runs += 1;
        play(topology, plugins, lines, way).map_err(|stopped| stop(&stopped))
    };
    let plain = once(Way::PLAIN).map_err(|problem| vec![problem])?;
    for way in ways(lines.len()) {
        let how = way.describe(lines);
        let other = once(way).map_err(|problem| vec![format!("{how}: {problem}")])?;
        if other != plain {
            let mut problems = vec![format!("{how}, it comes to another end than in batches of one row:")];
            problems.extend(between(&plain, &other).into_iter().map(|difference| format!("  {difference}")));
            return Err(problems);
        }
    }
    Ok(plain)
}

fn stop(stopped: &Stopped) -> String {
    match stopped.line {
        Some(line) => format!("in.jsonl:{line}: {}", stopped.error),
        None => stopped.error.to_string(),
    }
}

fn ways(lines: usize) -> Vec<Way> {
    let mut ways = vec![Way { batch_rows_max: usize::MAX, disturbance: None }];
    let places = (lines + 1).min(PLACES_MAX);
    for place in 0..places {
        let at = if places > 1 { place * lines / (places - 1) } else { 0 };
        for disturbance in [Disturbance::Restart, Disturbance::Abort] {
            ways.push(Way { batch_rows_max: usize::MAX, disturbance: Some((disturbance, at)) });
        }
    }
    ways
}

/// Where two runs differ.
fn between(plain: &Outcome, other: &Outcome) -> Vec<String> {
    let expected = |rows: &Vec<_>| rows.iter().cloned().map(|record| Expected { record, is_timed: true }).collect();
    let topics: BTreeMap<_, _> = plain.topics.iter().map(|(topic, rows)| (topic.clone(), expected(rows))).collect();
    let stores: BTreeMap<_, _> = plain.stores.iter().cloned().collect();
    let mut differences = Differences::default();
    differences.topics(&topics, other);
    differences.stores(&stores, other);
    let shown = differences.finish();
    if shown.is_empty() { vec!["timestamps in a store".to_owned()] } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_disturbed_between_any_two_lines_and_a_long_one_at_places_over_its_length() {
        let places = |lines: usize| -> Vec<usize> {
            let restarts = |way: &Way| match way.disturbance {
                Some((Disturbance::Restart, at)) => Some(at),
                _ => None,
            };
            ways(lines).iter().filter_map(restarts).collect()
        };
        assert_eq!(places(0), [0]);
        assert_eq!(places(3), [0, 1, 2, 3]);
        let long = places(100_000);
        assert_eq!((long.len(), long[0], long[PLACES_MAX - 1]), (PLACES_MAX, 0, 100_000));
    }
}
