//! Rust's standard library for wasm32-unknown-unknown: by rustup where it can fetch it; else built with Debian's compiler,
//! whose package brings the library's source with all that it depends on.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::paths;
use crate::process::capture;
use crate::step::step;

pub const TRIPLE: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "cargo-web"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// The two ways to compile a plugin.
pub enum WasmTarget {
    /// The toolchain has the target's library.
    Toolchain,
    /// Debian's compiler builds the library with the plugin; `lld` links for it.
    Debian { lld: PathBuf },
}

impl WasmTarget {
    /// Prefers the toolchain. `WEIR_WASM_TARGET=debian` takes the other way, to try it where rustup works.
    pub fn find_or_install() -> Result<Self> {
        let want_debian = env::var("WEIR_WASM_TARGET").is_ok_and(|way| way == "debian");
        if !want_debian {
            if toolchain_has_it() {
                return Ok(Self::Toolchain);
            }
            let debian_is_there = Path::new(DEBIAN_LIBRARY).is_file() && Path::new(DEBIAN_CARGO).is_file();
            if !debian_is_there && add_by_rustup().is_ok() && toolchain_has_it() {
                return Ok(Self::Toolchain);
            }
        }
        Self::debian().with_context(|| {
            format!(
                "plugins need Rust's {TRIPLE} target: `rustup target add {TRIPLE}`, or on Debian `apt-get install {}`",
                DEBIAN_PACKAGES.join(" ")
            )
        })
    }

    fn debian() -> Result<Self> {
        if ![DEBIAN_LIBRARY, DEBIAN_CARGO, DEBIAN_RUSTC].iter().all(|file| Path::new(file).is_file()) {
            debian::install(&DEBIAN_PACKAGES)?;
        }
        Ok(Self::Debian { lld: find_lld()? })
    }

    /// `cargo build` for plugins, without its packages.
    pub fn cargo_build(&self) -> Command {
        let mut command = match self {
            Self::Toolchain => Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))),
            Self::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        command.args(["build", "--target", TRIPLE, "--target-dir"]).arg(self.target_dir());
        if let Self::Debian { lld } = self {
            command.args(["-Z", "build-std=std,panic_abort"]);
            // -Z is for nightlies; this lets a release do it.
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", lld);
        }
        command
    }

    /// Cargo's output. One for each way: a change of compiler would rebuild the other's.
    pub fn target_dir(&self) -> PathBuf {
        match self {
            Self::Toolchain => paths::target().join("wasm"),
            Self::Debian { .. } => paths::target().join("wasm-debian"),
        }
    }
}

/// What rustc says of its own folder; `None` if even that fails.
fn sysroot() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = capture(Command::new(rustc).args(["--print", "sysroot"]).current_dir(paths::root())).ok()?;
    Some(PathBuf::from(output.trim()))
}

fn toolchain_has_it() -> bool {
    sysroot().is_some_and(|root| root.join("lib/rustlib").join(TRIPLE).join("lib").is_dir())
}

fn add_by_rustup() -> Result<()> {
    step("rustup", &format!("target add {TRIPLE}"), || {
        capture(Command::new("rustup").args(["target", "add", TRIPLE]).current_dir(paths::root())).map(drop)
    })
}

/// Debian's compiler brings no linker for wasm; every rustup toolchain holds one, off the PATH. rustc tells by the
/// file's name how to call it.
fn find_lld() -> Result<PathBuf> {
    let in_toolchain = format!("lib/rustlib/{}-unknown-linux-gnu/bin/rust-lld", env::consts::ARCH);
    let lld = sysroot().map(|root| root.join(in_toolchain)).filter(|file| file.is_file());
    lld.or_else(|| paths::find_program("wasm-ld")).context(
        "no linker for wasm: the Rust toolchain has no rust-lld, and no wasm-ld (Debian's package lld) is in PATH",
    )
}
