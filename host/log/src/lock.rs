use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use crate::error::OpenError;

/// Held while the log is open. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open is locked")] File);

impl Lock {
    /// Takes `<dir>/lock` and writes there who holds it.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let io = |what: &'static str| {
            let path = path.clone();
            move |cause| OpenError::Io { what, path, cause }
        };
        fs::create_dir_all(dir).map_err(|cause| OpenError::Io { what: "create", path: dir.to_path_buf(), cause })?;
        // Not truncated on opening: until the lock is ours the text is the holder's.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let holder = if text.trim().is_empty() { "another process" } else { text.trim() }.to_owned();
                return Err(OpenError::Locked { dir: dir.to_path_buf(), holder });
            }
            Err(TryLockError::Error(cause)) => return Err(io("lock")(cause)),
        }
        let since = humantime::format_rfc3339_seconds(SystemTime::now());
        let text = format!("process {} (since {since})\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(io("write"))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_which_process_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        Lock::take(dir.path()).unwrap();
    }
}
