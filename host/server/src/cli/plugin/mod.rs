//! `weir plugin`: a command per file, all through the REST API of a running host.

mod deploy;
mod history;
mod push;
mod rollback;

use clap::Subcommand;

use super::Out;
use super::status::short;
use crate::deploy::view::View;
use crate::exit::Exit;
use crate::problem::Problem;

/// Uploads, deploys and rolls back plugins of a running host.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Uploads a plugin without deploying it.
    Push(push::Push),
    /// Lets a node run a plugin from the next commit of each task on.
    Deploy(deploy::Deploy),
    /// Lets a node run what it ran before.
    Rollback(rollback::Rollback),
    /// The deployments of a node, newest first.
    History(history::History),
}

impl Plugin {
    /// Does it.
    ///
    /// # Errors
    /// The host's problem.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        match self {
            Self::Push(command) => command.run(out),
            Self::Deploy(command) => command.run(out),
            Self::Rollback(command) => command.run(out),
            Self::History(command) => command.run(out),
        }
    }
}

/// A deployment in a line.
fn line(view: &View) -> String {
    let how = if view.changed { view.phase.as_str() } else { "unchanged" };
    let View { node, revision, swapped, tasks, from, .. } = view;
    let mut text =
        format!("{node}  revision {revision}  {}  {how} {swapped}/{tasks}  from {from}", short(&view.version));
    for refused in &view.refused {
        text.push_str(&format!("\n  {refused}"));
    }
    text
}

/// Refused by a task is failed; not live yet is still on its way.
fn exit(view: &View) -> Exit {
    if view.phase == "refused" { Exit::Failed } else { Exit::Ok }
}
