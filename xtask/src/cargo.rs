//! Running cargo on the workspace: always from its root, and always with the same environment, since a change of it
//! compiles RocksDB anew.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::{paths, setup};

/// `cargo SUBCOMMAND`.
pub fn cargo(subcommand: &str) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(paths::root()).envs(setup::libclang_variables()?);
    Ok(command)
}
