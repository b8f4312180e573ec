//! Python tools in an environment of their own: the C compiler and the component tool of the conformance guests
//! (tests/guests/requirements.txt), and the Kafka client of the benchmarks (xtask/requirements.txt).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::process::capture;
use crate::step::step;

const REQUIREMENTS: [&str; 2] = ["tests/guests/requirements.txt", "xtask/requirements.txt"];

/// The environment's folder; its programs are in `bin`.
pub fn venv() -> Result<PathBuf> {
    Ok(paths::cache()?.join("venv"))
}

/// Debian has `venv` and `pip` in a package apart from Python.
pub fn can_make_venv() -> bool {
    let is_made = venv().is_ok_and(|folder| folder.join("installed.txt").is_file());
    is_made
        || Command::new("python3").args(["-c", "import venv, ensurepip"]).output().is_ok_and(|it| it.status.success())
}

/// Makes the environment, or brings it up to the pinned versions.
pub fn install_missing() -> Result<()> {
    let files: Vec<PathBuf> = REQUIREMENTS.iter().map(|file| paths::root().join(file)).collect();
    let wanted = files.iter().map(|file| read(file)).collect::<Result<String>>()?;
    let folder = venv()?;
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    step("python", &format!("{} into {}", wanted.lines().collect::<Vec<_>>().join(" "), folder.display()), || {
        capture(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        for file in &files {
            pip.arg("-r").arg(file);
        }
        capture(&mut pip).context("install Python 3.9 or later with pip, and see that pip reaches its index")?;
        fs::write(&installed, &wanted).with_context(|| format!("cannot write {}", installed.display()))
    })
}

fn read(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let pins: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if let Some(loose) = pins.iter().find(|pin| !pin.contains("==")) {
        bail!("{}: `{loose}` names no version: write NAME==VERSION", file.display());
    }
    Ok(pins.iter().map(|pin| format!("{pin}\n")).collect())
}
