//! Builds the plugins: the Rust ones in one run of cargo, the others by a `build.sh` in their folder.
//! Each ends in `target/plugins/NAME.wasm`, NAME being its folder's.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::process::{capture, run as run_command};
use crate::setup::{WasmTarget, venv};
use crate::step::{is_terminal, step};

/// The folders whose subfolders are plugins.
const HOMES: [&str; 3] = ["plugins", "plugins/evil", "tests/guests"];

/// Builds what is out of date.
pub fn run() -> Result<()> {
    let out = paths::plugins();
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let rust = rust_plugins()?;
    let scripted = scripted_plugins()?;
    step("plugins", &format!("{} in Rust, {} by build.sh", rust.len(), scripted.len()), || {
        build_rust(&rust, &out)?;
        scripted.iter().try_for_each(|folder| build_scripted(folder, &out))
    })
}

/// The names of the workspace's packages that lie in one of `HOMES` and build a library for C's calling convention.
fn rust_plugins() -> Result<Vec<String>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(paths::root());
    let metadata: Value = serde_json::from_str(&capture(&mut command)?).context("cargo metadata printed no JSON")?;
    let homes = HOMES.map(|home| paths::root().join(home));
    let mut names = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let home = manifest.parent().and_then(Path::parent);
        let is_plugin = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|target| target["crate_types"].as_array().into_iter().flatten().any(|kind| kind == "cdylib"));
        if is_plugin && home.is_some_and(|home| homes.iter().any(|known| known == home)) {
            names.push(package["name"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(names)
}

fn build_rust(names: &[String], out: &Path) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let target = WasmTarget::find_or_install()?;
    let mut command = target.cargo_build();
    command.args(["--profile", "plugin"]).args((!is_terminal()).then_some("--quiet")).current_dir(paths::root());
    for name in names {
        command.args(["--package", name]);
    }
    run_command(&mut command)?;
    let built = target.target_dir().join("wasm32-unknown-unknown/plugin");
    for name in names {
        copy_if_newer(&built.join(format!("{}.wasm", name.replace('-', "_"))), &out.join(format!("{name}.wasm")))?;
    }
    Ok(())
}

/// Leaves an equal file alone: whoever waits for a change of it, such as a running host, sees none.
fn copy_if_newer(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cargo left no {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let fresh = to.with_extension("wasm.new");
    fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, to).with_context(|| format!("cannot write {}", to.display()))?;
    println!("    built    {}", to.display());
    Ok(())
}

fn scripted_plugins() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for home in HOMES {
        let Ok(entries) = fs::read_dir(paths::root().join(home)) else { continue };
        for entry in entries {
            let folder = entry?.path();
            if folder.join("build.sh").is_file() {
                folders.push(folder);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

/// Runs `build.sh OUT.wasm` in its folder, with WEIR_WIT (the contract's folder), WEIR_VENV (the Python tools) and
/// WEIR_BUILD (a folder for what lies between) set, unless OUT is newer than all that goes into it.
fn build_scripted(folder: &Path, out: &Path) -> Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).context("a plugin's folder has a name in UTF-8")?;
    let file = out.join(format!("{name}.wasm"));
    let wit = paths::root().join("wit");
    let sources = newest(folder)?.max(newest(&wit)?);
    if fs::metadata(&file).and_then(|file| file.modified()).is_ok_and(|built| built > sources) {
        return Ok(());
    }
    let between = paths::target().join("guests").join(name);
    fs::create_dir_all(&between).with_context(|| format!("cannot make {}", between.display()))?;
    let mut command = Command::new("bash");
    command.arg("build.sh").arg(&file).current_dir(folder);
    command.env("WEIR_WIT", &wit).env("WEIR_VENV", venv()?).env("WEIR_BUILD", &between);
    capture(&mut command).with_context(|| format!("in {}", folder.display()))?;
    if !file.is_file() {
        bail!("{}/build.sh ended well and left no {}", folder.display(), file.display());
    }
    println!("    built    {}", file.display());
    Ok(())
}

/// The latest change of any file below the folder.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let time = if entry.file_type()?.is_dir() { newest(&entry.path())? } else { entry.metadata()?.modified()? };
        latest = latest.max(time);
    }
    Ok(latest)
}
