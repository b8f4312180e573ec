//! Does what a plan says.

use std::path::Path;

use weir_core::ports::{Client, Position, TransportError};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};
use weir_core::topology::Topology;

use super::Plan;
use super::facts::{Facts, deployments_topic};
use crate::deploy::kept::{KEY, Kept};
use crate::problem::{Kind, Problem};
use crate::state_dir::cannot;
use crate::units::now_ms;

/// Why an application that runs is left alone.
pub fn running(topology: &Topology, who: &str) -> Problem {
    Problem::new(
        Kind::InUse,
        format!(
            "application `{}` runs: {who}. Stop its hosts and reset it then; one that was stopped without --leave counts as \
             running until its session.timeout.ms is over, 10 s if it was not set",
            topology.application
        ),
    )
}

/// Makes sure that nobody runs it, nor has left anything open that would keep its positions from being read.
///
/// # Errors
/// It runs; the log does not answer.
pub fn ensure_stopped(client: &dyn Client, topology: &Topology) -> Result<(), Problem> {
    set_positions(client, topology, &[])
}

fn set_positions(client: &dyn Client, topology: &Topology, positions: &[Position]) -> Result<(), Problem> {
    client.set_positions(positions).map_err(|error| match error {
        TransportError::Abortable(who) => running(topology, &who),
        other => other.into(),
    })
}

/// Does it. Positions first: the log itself refuses them while the application runs, and then nothing has been deleted.
///
/// # Errors
/// The application runs; the log or the disk refuses. What broke off in the middle is to be done again.
pub fn apply(client: &dyn Client, topology: &Topology, facts: &Facts, plan: &Plan) -> Result<(), Problem> {
    let moved = plan.positions.iter().map(|to| (TopicPartition::new(to.topic.as_str(), to.partition), to.to));
    // A topic that is made anew begins at 0, whatever a broker that is slow to forget says of its predecessor.
    let own = plan.topics.iter().filter(|gone| gone.is_read);
    let own = own.flat_map(|gone| (0..gone.partitions).map(|at| (TopicPartition::new(gone.topic.as_str(), at), 0)));
    let positions = moved.chain(own).map(|(partition, offset)| Position { partition, offset, metadata: None });
    set_positions(client, topology, &positions.collect::<Vec<_>>())?;
    for gone in &plan.topics {
        client.delete_topic(&TopicName::from(gone.topic.as_str())).map_err(|error| {
            let problem = Problem::from(error);
            let detail = format!("the positions are set, but {}; reset it again before it is run", problem.detail);
            Problem::new(problem.kind, detail)
        })?;
    }
    if let Some(stores) = &plan.stores {
        remove(stores)?;
    }
    // What is gone on purpose is not to be missed by the next host.
    if facts.kept_noted {
        let value = serde_json::to_vec(&Kept::default()).map_err(|error| Problem::failed(error.to_string()))?;
        let mut row = RecordBatch::default();
        row.push(0, now_ms(), Some(KEY.as_bytes()), Some(&value), &[]);
        client.append(&TopicPartition::new(deployments_topic(&topology.application), 0), &row)?;
    }
    Ok(())
}

fn remove(stores: &Path) -> Result<(), Problem> {
    std::fs::remove_dir_all(stores).map_err(|cause| cannot("delete the stores in", stores, &cause))
}
