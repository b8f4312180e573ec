//! The medians of all runs, and what they are in terms of the peers'.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::measure::Figures;
use super::peers::Peer;

/// All figures, by part and peer.
#[derive(Default)]
pub struct Table(BTreeMap<(String, Peer), Vec<Figures>>);

/// A line of the report: a figure of Weir as a ratio of a peer's, with the least and the aim.
struct Line {
    what: &'static str,
    part: &'static str,
    /// The peer, and its part where that has another name.
    peer: (Peer, Option<&'static str>),
    figure: &'static str,
    /// At least (or at most, where less is better), and the aim.
    goals: (f64, f64),
}

const fn line(what: &'static str, part: &'static str, figure: &'static str, goals: (f64, f64)) -> Line {
    Line { what, part, peer: (Peer::Streams, None), figure, goals }
}

const NONE: (f64, f64) = (f64::NAN, f64::NAN);

#[rustfmt::skip]
const LINES: [Line; 20] = [
    line("forward, rate", "forward", "steady_rate", (2.0, 2.6)),
    Line { peer: (Peer::Echo, None), ..line("forward, rate", "forward", "steady_rate", (0.75, 0.9)) },
    line("validate, rate", "validate", "steady_rate", (1.8, 2.4)),
    line("validate, CPU per record (us)", "validate", "steady_cpu_us", (0.5, 0.38)),
    line("validate, RSS (MB)", "validate", "rss_mb", NONE),
    line("forward, RSS (MB)", "forward", "rss_mb", NONE),
    line("first commit after start (s)", "forward", "ready_s", NONE),
    line("latency at 5 k/s, p50 (ms)", "latency", "p50_ms", (0.8, 0.3)),
    line("latency at 5 k/s, p99 (ms)", "latency", "p99_ms", (0.7, 0.4)),
    line("windowed count on commit, rate", "count-commit", "steady_rate", (2.5, 4.0)),
    line("windowed count on commit, CPU per record (us)", "count-commit", "steady_cpu_us", (0.45, 0.3)),
    line("windowed count on commit, RSS (MB)", "count-commit", "rss_mb", NONE),
    line("windowed count on update, rate", "count-update", "steady_rate", (2.5, 4.0)),
    line("windowed count on update, CPU per record (us)", "count-update", "steady_cpu_us", (0.45, 0.3)),
    Line { peer: (Peer::Streams, Some("count-commit")), ..line("windowed count by a plugin, rate", "count-plugin", "steady_rate", (1.5, 3.0)) },
    line("count, 10 k keys, rate", "table", "steady_rate", (1.6, 2.5)),
    line("count, 2 M keys, rate", "unique", "steady_rate", (2.2, 3.5)),
    line("count, 2 M keys, RSS (MB)", "unique", "rss_mb", (0.5, 0.25)),
    line("restore, rows per second", "restore", "rate", (2.0, 3.0)),
    line("restore, from start to the end (s)", "restore", "total_s", NONE),
];

/// Figures that no peer has: what, part, figure, at least, aim.
const ALONE: [(&str, &str, &str, &str, &str); 8] = [
    ("hot swap under full load, longest pause (ms)", "swap", "longest_pause_ms", "250", "30"),
    ("swaps in that time", "swap", "swaps", "", ""),
    ("embedded log, validate, orders per second", "embedded", "steady_rate", "300000", "800000"),
    ("ready on the embedded log (s)", "embedded", "ready_s", "0.7", "0.4"),
    ("killed with so much state (GB)", "crash", "state_gb", "1", ""),
    ("its stores kept: until the tasks run (s)", "crash", "kept_s", "", ""),
    ("its stores gone: until the tasks run (s)", "crash", "full_s", "", ""),
    ("the one by the other", "crash", "ratio", "0.2", "0.05"),
];

impl Table {
    /// Adds the figures of a run.
    pub fn add(&mut self, part: &str, peer: Peer, figures: &Figures) {
        self.0.entry((part.to_owned(), peer)).or_default().push(figures.clone());
    }

    fn median(&self, part: &str, peer: Peer, figure: &str) -> Option<f64> {
        let runs = self.0.get(&(part.to_owned(), peer))?;
        let mut values: Vec<f64> = runs.iter().filter_map(|figures| figures.0.get(figure).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// The report.
    pub fn markdown(&self) -> String {
        let mut text = "| | Weir | peer | ratio | at least | aim |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
        for line in &LINES {
            let median = |part, peer| self.median(part, peer, line.figure);
            let (peer, part) = line.peer;
            let (what, name) = (line.what, peer.name());
            let peer = median(part.unwrap_or(line.part), peer);
            let (Some(weir), Some(peer)) = (median(line.part, Peer::Weir), peer) else { continue };
            let goal = |goal: f64| if goal.is_nan() { String::new() } else { goal.to_string() };
            let (least, aim, ratio) = (goal(line.goals.0), goal(line.goals.1), weir / peer);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {what} | {weir} | {peer} ({name}) | {ratio:.2} | {least} | {aim} |");
        }
        for (what, part, figure, least, aim) in ALONE {
            let Some(weir) = self.median(part, Peer::Weir, figure) else { continue };
            let _ = writeln!(text, "| {what} | {weir} | | | {least} | {aim} |");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_ratio_of_the_medians() {
        let mut table = Table::default();
        let figures = |rate: f64| Figures([("steady_rate".to_owned(), rate)].into());
        for rate in [900.0, 500.0, 600.0] {
            table.add("forward", Peer::Weir, &figures(rate));
        }
        for rate in [300.0, 100.0, 310.0] {
            table.add("forward", Peer::Streams, &figures(rate));
        }
        let line = table.markdown().lines().nth(2).unwrap().to_owned();
        assert_eq!(line, "| forward, rate | 600 | 300 (Kafka Streams) | 2.00 | 2 | 2.6 |");
    }
}
