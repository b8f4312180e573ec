//! Installs what is missing and says each step; with all there it looks at a few files and is silent about them.
//! Where something cannot be installed, the error says what to install by hand.

mod debian;
mod libclang;
mod python;
mod wasm_target;

pub use libclang::variables as libclang_variables;
pub use python::venv;
pub use wasm_target::WasmTarget;

use std::time::Instant;

use anyhow::Result;

use crate::kafka;
use crate::paths::find_program;

/// Everything that building, testing and measuring Weir needs.
pub fn run() -> Result<()> {
    let begin = Instant::now();
    debian::install_missing()?;
    WasmTarget::find_or_install()?;
    kafka::fetch_jars()?;
    python::install_missing()?;
    println!("==> setup    all there ({:.1} s)", begin.elapsed().as_secs_f64());
    Ok(())
}

/// What compiling RocksDB needs beyond that.
pub fn install_for_rocksdb() -> Result<()> {
    libclang::find_or_install()
}

/// A Java compiler, which only the tests need.
pub fn install_jdk() -> Result<()> {
    if find_program("javac").is_some() {
        return Ok(());
    }
    debian::install(&["default-jdk-headless"])
}
