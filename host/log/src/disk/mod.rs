//! The few things that the log asks of a file system, so that a simulated one can tear, lose and flip.
//!
//! What the log relies on: after `sync` a file's bytes and length stay; after `sync_dir` its names stay; a rename is atomic.
//! What it does not: that anything written since the last sync is there whole, in order, or at all.

mod real;
#[cfg(test)]
pub(crate) mod sim;

pub(crate) use real::RealDisk;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A file system.
pub(crate) trait Disk: Send + Sync {
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// An existing file, to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A new, empty file, whatever was there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file; stays readable after it was removed.
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}
