use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::problem::{Kind, Problem};

/// Nodes that are being deployed to on this host: one deployment at a time each.
#[derive(Debug, Default)]
pub struct Busy {
    nodes: Mutex<BTreeSet<String>>,
}

/// Held while a node is deployed to.
#[derive(Debug)]
pub struct Held<'a> {
    busy: &'a Busy,
    node: String,
}

impl Busy {
    /// Takes `node` until the result is dropped.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn enter(&self, node: &str) -> Result<Held<'_>, Problem> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.insert(node.to_owned()) {
            return Ok(Held { busy: self, node: node.to_owned() });
        }
        Err(Problem::new(
            Kind::Conflict,
            format!("a deployment of node `{node}` is running; try again when it is done"),
        ))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.busy.nodes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_deployed_to_by_one_at_a_time() {
        let busy = Busy::default();
        let held = busy.enter("details").unwrap();
        assert_eq!(busy.enter("details").unwrap_err().kind, Kind::Conflict);
        busy.enter("fraud").unwrap();
        drop(held);
        busy.enter("details").unwrap();
    }
}
