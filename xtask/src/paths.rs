//! Where things lie: the project, its build output, and what is fetched once for all clones of a user.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of this clone.
pub fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` in the root.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where the built plugins lie: the binary `weir` and the tests take them from here.
pub fn plugins() -> PathBuf {
    target().join("plugins")
}

/// What is fetched once and shared by all clones: Kafka's jars, the Python tools.
pub fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("WEIR_CACHE") {
        return Ok(root().join(folder));
    }
    let home = env::var_os("HOME").context("HOME is not set: set it, or WEIR_CACHE to a folder for downloads")?;
    Ok(PathBuf::from(home).join(".cache/weir"))
}

/// The first executable of that name in PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}
