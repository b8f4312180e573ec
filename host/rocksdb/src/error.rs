use std::io;
use std::path::Path;

use rocksdb::ErrorKind;
use weir_core::ports::StoreError;

/// What an operation on an open database failed with.
pub(crate) fn in_use(dir: &Path, cause: &rocksdb::Error) -> StoreError {
    match cause.kind() {
        ErrorKind::Corruption => corrupt(dir, cause),
        _ => refused(dir, cause),
    }
}

/// What opening a database failed with. What is neither the disk's refusal nor another process is damage.
pub(crate) fn at_open(dir: &Path, cause: &rocksdb::Error) -> StoreError {
    let is_missing = cause.as_ref().contains("No such file or directory");
    match cause.kind() {
        ErrorKind::IOError if !is_missing => refused(dir, cause),
        ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::Aborted | ErrorKind::ShutdownInProgress => {
            refused(dir, cause)
        }
        _ => corrupt(dir, cause),
    }
}

/// What the operating system refused.
pub(crate) fn io(what: &str, path: &Path, cause: &io::Error) -> StoreError {
    StoreError::Io(format!(
        "cannot {what} {}: {cause}. Nothing committed is lost; make it writable or free some space, or set --state-dir",
        path.display()
    ))
}

fn refused(dir: &Path, cause: &rocksdb::Error) -> StoreError {
    // Locks are the only thing that RocksDB has in its messages and not in its kinds.
    let is_locked = cause.as_ref().contains("lock");
    let remedy = if is_locked {
        "another process has it: stop that one, or set --state-dir"
    } else {
        "nothing committed is lost; free some space or mend what the cause names, or set --state-dir"
    };
    StoreError::Io(format!("the stores in {} cannot be used: {cause}; {remedy}", dir.display()))
}

pub(crate) fn corrupt(dir: &Path, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!(
        "the stores in {} are damaged: {cause}. They are made anew from their changelogs; check the disk",
        dir.display()
    ))
}
