//! libclang: what writes RocksDB's bindings when it is compiled. Where the system has it, bindgen finds it by itself; else
//! it comes from apt-get or, without the right to install packages, from PyPI into the environment of our Python tools,
//! and then each run of cargo must be told where. Told otherwise than before, cargo compiles RocksDB anew.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, python};
use crate::process::capture;
use crate::step::step;

const DEBIAN_PACKAGE: &str = "libclang-dev";
const PYPI_PACKAGE: &str = "libclang==18.1.1";

const PATH: &str = "LIBCLANG_PATH";
const ARGUMENTS: &str = "BINDGEN_EXTRA_CLANG_ARGS";

/// Sees to it that there is one, and says what a run of cargo that is not ours must be told.
pub fn find_or_install() -> Result<()> {
    install_missing()?;
    for (name, value) in variables()? {
        println!("    for cargo without xtask: export {name}={}", value.display());
    }
    Ok(())
}

fn install_missing() -> Result<()> {
    if is_anywhere() {
        return Ok(());
    }
    if let Err(refused) = debian::install(&[DEBIAN_PACKAGE]) {
        println!("    without apt-get: {refused:#}");
    }
    if is_anywhere() {
        return Ok(());
    }
    install_from_pypi().with_context(|| {
        format!(
            "RocksDB's bindings need libclang: install {DEBIAN_PACKAGE}, or set {PATH} to the folder of libclang.so"
        )
    })
}

/// What cargo is to be told: nothing, but for the one from PyPI.
pub fn variables() -> Result<Vec<(&'static str, OsString)>> {
    let folder = if is_told() || is_in_system() { None } else { from_pypi()? };
    let Some(folder) = folder else { return Ok(Vec::new()) };
    // The wheel has no headers of C's own; the compiler, which is there for RocksDB itself, has.
    let include = capture(Command::new("gcc").arg("-print-file-name=include"))?;
    Ok(vec![(PATH, folder.into()), (ARGUMENTS, format!("-I{}", include.trim()).into())])
}

fn is_anywhere() -> bool {
    is_told() || is_in_system() || from_pypi().is_ok_and(|folder| folder.is_some())
}

fn is_told() -> bool {
    env::var_os(PATH).is_some()
}

/// Where bindgen looks. The library alone is not enough: its headers must be there, which lie beside that of Debian.
fn is_in_system() -> bool {
    let of_version = |folder: &str| {
        let folders = fs::read_dir(folder).into_iter().flatten().flatten();
        folders.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("llvm")).collect::<Vec<_>>()
    };
    let mut homes = of_version("/usr/lib");
    homes.extend(of_version("/opt/homebrew/opt"));
    homes.extend(["/usr", "/usr/local"].map(PathBuf::from));
    homes.iter().any(|home| {
        ["lib", "lib64"].iter().any(|lib| has_library(&home.join(lib)) && home.join(lib).join("clang").is_dir())
    })
}

/// `libclang.so`, or with a version before or after.
fn has_library(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| is_library(&name.to_string_lossy()))
}

fn is_library(name: &str) -> bool {
    let rest = name.strip_prefix("libclang").unwrap_or_default();
    let version = rest.trim_start_matches(|c: char| c == '-' || c == '.' || c.is_ascii_digit());
    version.starts_with("so") || version == "dylib"
}

/// The folder of the library that pip installed.
fn from_pypi() -> Result<Option<PathBuf>> {
    let pythons = fs::read_dir(python::venv()?.join("lib")).into_iter().flatten().flatten();
    let mut folders = pythons.map(|entry| entry.path().join("site-packages/clang/native"));
    Ok(folders.find(|folder| has_library(folder)))
}

fn install_from_pypi() -> Result<()> {
    step("python", &format!("{PYPI_PACKAGE} from PyPI"), || {
        let mut pip = Command::new(python::venv()?.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYPI_PACKAGE]);
        capture(&mut pip).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_from_its_neighbours() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.0.6.so", "libclang.dylib"] {
            assert!(is_library(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang_rt.so", "libLLVM.so", "clang"] {
            assert!(!is_library(name), "{name}");
        }
    }
}
