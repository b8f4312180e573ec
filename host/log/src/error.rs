use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a log cannot be opened. Nothing was changed on disk, but for a torn tail that may have been cut.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it: stop that one, or take another directory.
    #[error("`{dir}` is in use by {holder}; stop that process, or give this one another --state-dir")]
    Locked {
        /// The log's directory.
        dir: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The operating system refused: mend what the cause names.
    #[error("cannot {what} {path}: {cause}; the log needs to read and write there")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Bytes that were durable have changed: an operator must decide, nothing was cut.
    #[error("{0}")]
    Corrupt(#[from] Corruption),
}

/// Durable bytes that are no longer what was written. Never skipped in silence: committed rows would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{} is damaged at byte {position}: {what}; committed rows lie there, so nothing was cut. Check the disk, then put \
     the file back from a copy, or move {} away to begin anew",
    segment.display(), dir.display()
)]
pub struct Corruption {
    /// The segment's file.
    pub segment: PathBuf,
    /// The directory of all segments.
    pub dir: PathBuf,
    /// Where in the file.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

impl Corruption {
    pub(crate) fn new(segment: &Path, position: u64, what: impl Into<String>) -> Self {
        let dir = segment.parent().unwrap_or(segment).to_path_buf();
        Self { segment: segment.to_path_buf(), dir, position, what: what.into() }
    }
}

/// What befell the log while it was open, and what is known of the write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum WriteError {
    /// The disk failed, and what was being written is gone again. The log takes no more.
    #[error("{0}")]
    Failed(String),
    /// The disk failed, and what was being written may or may not be there. The log takes no more.
    #[error("{0}")]
    Unknown(String),
}

/// Why rows could not be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error("cannot read {path}: {cause}", path = .0.display(), cause = .1)]
    Io(PathBuf, io::Error),
    #[error("{0}")]
    Corrupt(#[from] Corruption),
}
