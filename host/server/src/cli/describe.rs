use std::path::PathBuf;

use super::{Out, source};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::show::describe::Description;

/// Says what runs, sub-topology by sub-topology.
///
/// Of each its number of tasks where the file tells it, sources, nodes, sinks and repartitions, and its stores with their
/// kind, retention, changelog and whether they lie in memory or in RocksDB.
#[derive(Debug, clap::Args)]
pub struct Describe {
    /// The topology file
    topology: PathBuf,
}

impl Describe {
    /// Describes.
    ///
    /// # Errors
    /// The file is wrong.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let topology = source::topology(&self.topology)?;
        let (partitions, tasks) = source::counts(&topology);
        out.data(&Description::of(&topology, &partitions, &tasks), Description::text)?;
        Ok(Exit::Ok)
    }
}
