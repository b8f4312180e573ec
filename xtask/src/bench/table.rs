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
    figure: &'static str,
    peer: Peer,
    least: f64,
    aim: f64,
}

#[rustfmt::skip]
const LINES: [Line; 9] = [
    Line { what: "forward, rate", part: "forward", figure: "steady_rate", peer: Peer::Streams, least: 2.0, aim: 2.6 },
    Line { what: "forward, rate", part: "forward", figure: "steady_rate", peer: Peer::Echo, least: 0.75, aim: 0.9 },
    Line { what: "validate, rate", part: "validate", figure: "steady_rate", peer: Peer::Streams, least: 1.8, aim: 2.4 },
    Line { what: "validate, CPU per record", part: "validate", figure: "steady_cpu_us", peer: Peer::Streams, least: 0.5, aim: 0.38 },
    Line { what: "validate, RSS (MB)", part: "validate", figure: "rss_mb", peer: Peer::Streams, least: f64::NAN, aim: f64::NAN },
    Line { what: "forward, RSS (MB)", part: "forward", figure: "rss_mb", peer: Peer::Streams, least: f64::NAN, aim: f64::NAN },
    Line { what: "first commit after start (s)", part: "forward", figure: "ready_s", peer: Peer::Streams, least: f64::NAN, aim: f64::NAN },
    Line { what: "latency at 5 k/s, p50 (ms)", part: "latency", figure: "p50_ms", peer: Peer::Streams, least: 0.8, aim: 0.3 },
    Line { what: "latency at 5 k/s, p99 (ms)", part: "latency", figure: "p99_ms", peer: Peer::Streams, least: 0.7, aim: 0.4 },
];

/// Figures that no peer has: what, part, figure, at least, aim.
const ALONE: [(&str, &str, &str, &str, &str); 4] = [
    ("hot swap under full load, longest pause (ms)", "swap", "longest_pause_ms", "250", "30"),
    ("swaps in that time", "swap", "swaps", "", ""),
    ("embedded log, validate, orders per second", "embedded", "steady_rate", "300000", "800000"),
    ("ready on the embedded log (s)", "embedded", "ready_s", "0.7", "0.4"),
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
            let median = |peer| self.median(line.part, peer, line.figure);
            let (Some(weir), Some(peer)) = (median(Peer::Weir), median(line.peer)) else { continue };
            let goal = |goal: f64| if goal.is_nan() { String::new() } else { goal.to_string() };
            let (what, name, ratio) = (line.what, line.peer.name(), weir / peer);
            let (least, aim) = (goal(line.least), goal(line.aim));
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
