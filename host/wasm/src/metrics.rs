use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::topology::NodeName;

/// Names of one node; further ones are counted and dropped. A name made from a row's data would otherwise fill the memory.
const NAMES_PER_NODE_MAX: usize = 256;

/// A change that a guest asked for, until its call has succeeded.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) name: String,
    pub(crate) change: Change,
}

/// See [`Update`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Count(u64),
    Gauge(f64),
    Observe(f64),
}

/// What plugins have counted, for `/metrics`. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct PluginMetrics {
    nodes: Arc<Mutex<BTreeMap<NodeName, OfNode>>>,
}

#[derive(Debug, Default)]
struct OfNode {
    values: BTreeMap<String, MetricValue>,
    dropped: u64,
}

/// A named number of a node's plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The node.
    pub node: NodeName,
    /// As the plugin named it.
    pub name: String,
    /// Its value.
    pub value: MetricValue,
}

/// The kinds of metric. The first use of a name decides; a later one of another kind is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricValue {
    /// Rises only.
    Count(u64),
    /// What it was last set to.
    Gauge(f64),
    /// What was observed.
    Summary {
        /// How many times.
        count: u64,
        /// All together.
        sum: f64,
    },
}

impl MetricValue {
    fn start(change: Change) -> Self {
        match change {
            Change::Count(_) => Self::Count(0),
            Change::Gauge(_) => Self::Gauge(0.0),
            Change::Observe(_) => Self::Summary { count: 0, sum: 0.0 },
        }
    }

    /// False: `change` is of another kind.
    fn apply(&mut self, change: Change) -> bool {
        match (self, change) {
            (Self::Count(total), Change::Count(by)) => *total = total.saturating_add(by),
            (Self::Gauge(value), Change::Gauge(new)) => *value = new,
            (Self::Summary { count, sum }, Change::Observe(value)) => {
                *count += 1;
                *sum += value;
            }
            _ => return false,
        }
        true
    }
}

impl PluginMetrics {
    /// Applies what a call that succeeded has asked for.
    pub(crate) fn apply(&self, node: &NodeName, updates: &mut Vec<Update>) {
        if updates.is_empty() {
            return;
        }
        // A panic while it was held can have cost a figure at most.
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = nodes.entry(node.clone()).or_default();
        for Update { name, change } in updates.drain(..) {
            let full = of_node.values.len() >= NAMES_PER_NODE_MAX;
            let taken = match of_node.values.get_mut(&name) {
                Some(value) => value.apply(change),
                None if full => false,
                None => of_node.values.entry(name).or_insert_with(|| MetricValue::start(change)).apply(change),
            };
            of_node.dropped += u64::from(!taken);
        }
    }

    /// All values, by node and name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Metric> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = |(node, of_node): (&NodeName, &OfNode)| {
            let metric = |(name, value): (&String, &MetricValue)| (name.clone(), *value);
            let values: Vec<_> = of_node.values.iter().map(metric).collect();
            let node = node.clone();
            values.into_iter().map(move |(name, value)| Metric { node: node.clone(), name, value })
        };
        nodes.iter().flat_map(of_node).collect()
    }

    /// Updates that were dropped, by node: too many names, or a name used for two kinds.
    #[must_use]
    pub fn dropped(&self) -> Vec<(NodeName, u64)> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().filter(|(_, of)| of.dropped > 0).map(|(node, of)| (node.clone(), of.dropped)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_a_name_keeps_its_kind() {
        let metrics = PluginMetrics::default();
        let node = NodeName::from("n");
        let update = |name: &str, change| Update { name: name.to_owned(), change };
        metrics.apply(&node, &mut vec![update("a", Change::Count(2)), update("a", Change::Count(3))]);
        metrics.apply(&node, &mut vec![update("a", Change::Gauge(1.0))]);
        assert_eq!(metrics.snapshot()[0].value, MetricValue::Count(5));
        assert_eq!(metrics.dropped(), [(node.clone(), 1)]);
        let mut flood = (0..1000).map(|i| update(&format!("x{i}"), Change::Observe(1.0))).collect();
        metrics.apply(&node, &mut flood);
        assert_eq!(metrics.snapshot().len(), NAMES_PER_NODE_MAX);
        assert_eq!(metrics.dropped(), [(node, 1 + 1000 - 255)]);
    }
}
