//! A disk that is soon full: a small tmpfs, mounted where only those see it that are sent there. An ordinary user may
//! mount one where the kernel lets users have namespaces of their own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// All that the disk could hold.
const DISK_KIB: u64 = 64 << 10;

/// Fills its disk, at first, but for the room that there is to be.
const BALLAST: &str = "ballast";

/// Mounts a tmpfs, says so, and holds it until its input ends, so also when the test is killed.
const KEEPER: &str =
    r#"mount -t tmpfs -o "size=$1k" weir-test "$3" && fallocate -l "$2KiB" "$4" && echo mounted && read -r _"#;

/// The disk. Dropped, it is gone, once nobody uses it any more.
pub struct SmallDisk {
    keeper: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// A disk with room for so many KiB at `folder`. `Err` within: why there can be none here.
    pub fn mount(folder: &Path, room_kib: u64) -> Result<Result<Self, String>> {
        let ballast_kib = DISK_KIB.checked_sub(room_kib).context("so much the disk cannot hold")?;
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", KEEPER, "sh"]);
        command.args([DISK_KIB, ballast_kib].map(|kib| kib.to_string())).args([folder, &folder.join(BALLAST)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = match command.spawn() {
            Ok(keeper) => keeper,
            Err(error) => return Ok(Err(format!("unshare cannot be started: {error}"))),
        };
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().context("its output is piped")?).read_line(&mut said)?;
        let disk = Self { keeper, folder: folder.to_owned() };
        if said == "mounted\n" { Ok(Ok(disk)) } else { disk.why_not().map(Err) }
    }

    /// What a command must be preceded by to see the disk.
    pub fn within(&self) -> Vec<String> {
        let target = self.keeper.id().to_string();
        ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &target].map(str::to_owned).into()
    }

    /// Makes room for so many KiB more.
    pub fn make_room(&self, kib: u64) -> Result<()> {
        let within = self.within();
        let mut command = Command::new(&within[0]);
        command.args(&within[1..]).args(["truncate", &format!("--size=-{kib}K")]).arg(self.folder.join(BALLAST));
        let output = command.output().context("cannot start nsenter")?;
        ensure!(output.status.success(), "there is no more room: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn why_not(mut self) -> Result<String> {
        let mut reason = String::new();
        self.keeper.stderr.take().context("its errors are piped")?.read_to_string(&mut reason)?;
        Ok(format!("no disk can be mounted: {}", reason.trim()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill(); // one that could not mount has ended already
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_a_reason_and_no_disk() {
        let reason = SmallDisk::mount(Path::new("/no/such/folder"), 1024).unwrap().err().unwrap();
        assert!(reason.contains("/no/such/folder") || reason.contains("unshare"), "{reason}");
    }
}
