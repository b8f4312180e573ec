//! `cargo xtask generate EXAMPLE [--rows N] [--seed S]`: realistic input of any size on standard output, as `weir produce` takes
//! it. The same seed gives the same rows.

mod lines;
mod random;
mod trades;

use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};

use lines::Lines;
use random::Random;
use trades::Trades;

const USAGE: &str = "cargo xtask generate word-count|stock-stats [--rows N] [--seed S]";
const ROWS: u64 = 100_000;
const SEED: u64 = 1;

/// Writes the rows.
pub fn run(example: &str, options: &[&str]) -> Result<()> {
    let (mut rows, mut seed) = (ROWS, SEED);
    for option in options.chunks(2) {
        let number = |text: &str| text.parse().with_context(|| format!("{text} is no number; usage: {USAGE}"));
        match option {
            ["--rows", value] => rows = number(value)?,
            ["--seed", value] => seed = number(value)?,
            other => bail!("unknown: {}; usage: {USAGE}", other.join(" ")),
        }
    }
    let mut random = Random::new(seed);
    match example {
        "word-count" => {
            let lines = Lines::new();
            write((0..rows).map(|number| lines.row(number, &mut random)))
        }
        "stock-stats" => {
            let mut trades = Trades::new();
            write((0..rows).map(|_| trades.row(&mut random)))
        }
        other => bail!("there is no generator for `{other}`; usage: {USAGE}"),
    }
}

fn write(rows: impl Iterator<Item = String>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for row in rows {
        match writeln!(out, "{row}") {
            // The reader has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to standard output")?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        flushed => flushed.context("cannot write to standard output"),
    }
}
