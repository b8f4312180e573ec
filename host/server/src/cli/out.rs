use std::io::{self, Write};

use serde::Serialize;

use crate::problem::Problem;

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JSON, a line each.
    Jsonl,
    /// A picture in Mermaid's language; only of `weir graph`.
    Mermaid,
    /// A picture in Graphviz's language; only of `weir graph`.
    Dot,
    /// A picture; only of `weir graph`.
    Svg,
}

impl Format {
    /// Whether it is a picture, which only a graph has.
    #[must_use]
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Mermaid | Self::Dot | Self::Svg)
    }
}

/// Where a command writes: data to stdout, words to stderr.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    format: Format,
}

impl Out {
    /// Of this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// How data is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes `data`; `text` makes it readable for people.
    ///
    /// # Errors
    /// stdout is closed or full.
    pub fn data<T: Serialize>(&self, data: &T, text: impl FnOnce(&T) -> String) -> Result<(), Problem> {
        let written = match self.format {
            Format::Text | Format::Mermaid | Format::Dot | Format::Svg => text(data),
            Format::Json => serde_json::to_string_pretty(data).map_err(|error| Problem::failed(error.to_string()))?,
            Format::Jsonl => serde_json::to_string(data).map_err(|error| Problem::failed(error.to_string()))?,
        };
        self.raw(format!("{}\n", written.trim_end()).as_bytes()).map(|_| ())
    }

    /// Writes bytes as they are. False: nobody reads any more, as in `weir tail | head`.
    ///
    /// # Errors
    /// stdout is full.
    pub fn raw(&self, bytes: &[u8]) -> Result<bool, Problem> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Problem::failed(format!("cannot write to stdout: {error}"))),
        }
    }

    /// Writes words for people.
    pub fn words(&self, words: &str) {
        // Nobody to tell if stderr is gone.
        let _ = writeln!(io::stderr().lock(), "{words}");
    }

    /// Writes a problem: for people, or with `-o json` and `-o jsonl` as RFC 9457.
    pub fn problem(&self, problem: &Problem) {
        match self.format {
            Format::Text | Format::Mermaid | Format::Dot | Format::Svg => self.words(&problem.render()),
            Format::Json => self.words(&serde_json::to_string_pretty(problem).unwrap_or_default()),
            Format::Jsonl => self.words(&serde_json::to_string(problem).unwrap_or_default()),
        }
    }
}
