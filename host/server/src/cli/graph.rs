use std::path::PathBuf;

use super::{Format, Out, source};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::show::graph::Graph as Picture;
use crate::show::{dot, mermaid, svg};

/// Draws a topology: -o mermaid (the default), dot, svg, or json.
///
/// A box around each sub-topology; its nodes by kind, stores, changelogs and repartition topics; edges with the names of ports,
/// and of a join its left and its right side. It goes to stdout: weir graph topology.yaml -o svg > topology.svg
#[derive(Debug, clap::Args)]
pub struct Graph {
    /// The topology file
    topology: PathBuf,
}

impl Graph {
    /// Draws.
    ///
    /// # Errors
    /// The file is wrong.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let topology = source::topology(&self.topology)?;
        let (_, tasks) = source::counts(&topology);
        let picture = Picture::of(&topology, &tasks);
        out.data(&picture, |picture| match out.format() {
            Format::Dot => dot::render(picture),
            Format::Svg => svg::render(picture),
            Format::Text | Format::Mermaid | Format::Json | Format::Jsonl => mermaid::render(picture),
        })?;
        Ok(Exit::Ok)
    }
}
