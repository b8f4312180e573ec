use std::io;
use std::path::Path;

/// Bytes that this process may still write where `dir` lies, or will lie once it is made.
///
/// # Errors
/// What the operating system says.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let dir = std::path::absolute(dir)?;
    let there = dir.ancestors().find(|folder| folder.exists()).unwrap_or(&dir);
    let space = rustix::fs::statvfs(there)?;
    // Not what is free for root alone.
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_space_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(&dir.path().join("not/there")).unwrap();
        assert!(free > 0);
        // Others write to the same disk meanwhile.
        assert!(free.abs_diff(free_bytes(dir.path()).unwrap()) < 10 << 30);
    }
}
