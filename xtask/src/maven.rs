//! Jars from Maven's repository, fetched once for all clones of a user.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths;
use crate::process::run;
use crate::step::step;

/// In a folder whose jars are all there.
const COMPLETE: &str = ".complete";

/// Whether `jars` is complete.
pub fn has_jars(jars: &Path) -> bool {
    jars.join(COMPLETE).is_file()
}

/// Fetches what `pom`, a path from the project's root, depends on into `jars`; `what` it is is shown as step `name`.
pub fn fetch(name: &str, what: &str, pom: &str, jars: &Path) -> Result<()> {
    if has_jars(jars) {
        return Ok(());
    }
    step(name, &format!("fetch {what} into {}", jars.display()), || {
        fs::create_dir_all(jars).with_context(|| format!("cannot make {}", jars.display()))?;
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(paths::root().join(pom));
        maven.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", jars.display()));
        run(&mut maven).context("see that Maven reaches its repository")?;
        fs::write(jars.join(COMPLETE), what).context("cannot mark the jars as complete")
    })
}
