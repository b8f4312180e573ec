//! The state directory: one host at a time, with a name that outlives it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::problem::{Kind, Problem};

/// Bytes of randomness in a host's name: no two hosts of an application may share their transactional ids.
const HOST_ID_BYTES: usize = 6;

/// A state directory that is ours while this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    host_id: String,
    /// Locked by the operating system, which lets go however the process ends.
    _lock: File,
}

impl StateDir {
    /// Takes `path`, made where it is missing.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn take(path: &Path) -> Result<Self, Problem> {
        fs::create_dir_all(path).map_err(|cause| cannot("create the state directory", path, &cause))?;
        // Absolute, so that what is made of it holds whatever becomes of the working directory.
        let path = path.canonicalize().map_err(|cause| cannot("find", path, &cause))?;
        let lock = lock(&path)?;
        let host_id = host_id(&path)?;
        Ok(Self { path, host_id, _lock: lock })
    }

    /// Made once at random: part of transactional ids and of this host's name in logs.
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.host_id
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn lock(dir: &Path) -> Result<File, Problem> {
    let path = dir.join("host.lock");
    // Not truncated on opening: until the lock is ours the text is the holder's.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|cause| cannot("write", &path, &cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
            return Err(Problem::new(
                Kind::InUse,
                format!(
                    "the state directory {} is held by {holder}; stop that host, or give this one another --state-dir",
                    dir.display()
                ),
            ));
        }
        Err(TryLockError::Error(cause)) => return Err(cannot("lock", &path, &cause)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|cause| cannot("write", &path, &cause))?;
    Ok(file)
}

fn host_id(dir: &Path) -> Result<String, Problem> {
    let path = dir.join("host-id");
    match fs::read_to_string(&path) {
        Ok(id) if is_host_id(id.trim()) => return Ok(id.trim().to_owned()),
        // Torn by a crash while it was first written: nobody has used it yet.
        Ok(_) => {}
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cannot("read", &path, &cause)),
    }
    let id = random_hex(HOST_ID_BYTES)?;
    let write = || -> std::io::Result<()> {
        let partial = dir.join("host-id.partial");
        let mut file = File::create(&partial)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    };
    write().map_err(|cause| cannot("write", &path, &cause))?;
    Ok(id)
}

fn is_host_id(text: &str) -> bool {
    text.len() == HOST_ID_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Random bytes of the operating system, in hex.
///
/// # Errors
/// The operating system has none to give.
pub fn random_hex(bytes: usize) -> Result<String, Problem> {
    let mut random = vec![0; bytes];
    let source = Path::new("/dev/urandom");
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|cause| cannot("read", source, &cause))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The operating system refused `what` at `path`.
pub fn cannot(what: &str, path: &Path, cause: &std::io::Error) -> Problem {
    Problem::failed(format!(
        "cannot {what} {}: {cause}. Nothing is lost; make it writable or free some space, or set --state-dir",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_host_is_told_which_process_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateDir::take(dir.path()).unwrap();
        let refused = StateDir::take(dir.path()).unwrap_err();
        assert!(refused.detail.contains(&format!("held by process {}", std::process::id())), "{}", refused.detail);
        drop(held);
        StateDir::take(dir.path()).unwrap();
    }

    #[test]
    fn a_host_keeps_its_id_and_replaces_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::take(dir.path()).unwrap().host_id().to_owned();
        assert_eq!(StateDir::take(dir.path()).unwrap().host_id(), first);
        fs::write(dir.path().join("host-id"), &first[..4]).unwrap();
        let second = StateDir::take(dir.path()).unwrap().host_id().to_owned();
        assert!(is_host_id(&second) && second != first, "{second}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named_with_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = StateDir::take(&file.join("state")).unwrap_err().detail;
        assert!(refused.contains(&file.display().to_string()) && refused.contains("Not a directory"), "{refused}");
    }
}
