//! What a topology makes of one row, told plainly: no batches, no columns, no faults.

use weir_core::ports::Digest;
use weir_core::record::{RecordBatch, Rows, TopicName, TopicPartition, partition};
use weir_core::topology::{ErrorPolicy, NodeIndex, NodeKind, NodeName};

use super::plugin::{self, Answer};
use super::topologies::Generated;
use crate::broker::StoredRow;

/// More ports than any generated node has.
const PORTS_MAX: u32 = 4;

/// A row that is to be found at an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The row.
    pub row: StoredRow,
}

/// The row stops its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison(pub NodeName);

/// What `row`, at `offset` of `from`, comes to in subtopology `part`, by topic in the order written there.
///
/// # Errors
/// [`Poison`]: a node with policy `fail` cannot map the row.
pub fn outputs(
    generated: &Generated,
    part: usize,
    from: &TopicPartition,
    offset: i64,
    row: &StoredRow,
    version: &dyn Fn(&NodeName) -> Option<Digest>,
) -> Result<Vec<Expected>, Poison> {
    let mut walk = Walk { generated, version, written: Vec::new(), arrived: Vec::new() };
    walk.visit(generated.topology.subtopologies[part].sources[0], vec![row.clone()])?;
    let mut expected: Vec<Expected> = Vec::new();
    for (topic, row) in walk.written {
        // A row without a key goes round robin by its cause's coordinates and its place among that cause's rows there.
        let place = expected.iter().filter(|other| other.topic == topic).count() as u64;
        let round = offset as u64 + u64::from(from.partition.unsigned_abs()) + place;
        let partition = partition(row.key.as_deref(), round, generated.partitions[&topic]);
        expected.push(Expected { topic, partition, row });
    }
    Ok(expected)
}

/// What `row` brings to the node with a store of subtopology `part`.
///
/// # Errors
/// [`Poison`]: a node with policy `fail` cannot map the row.
pub fn arrivals(
    generated: &Generated,
    part: usize,
    row: &StoredRow,
    version: &dyn Fn(&NodeName) -> Option<Digest>,
) -> Result<Vec<StoredRow>, Poison> {
    let mut walk = Walk { generated, version, written: Vec::new(), arrived: Vec::new() };
    walk.visit(generated.topology.subtopologies[part].sources[0], vec![row.clone()])?;
    Ok(walk.arrived)
}

struct Walk<'a> {
    generated: &'a Generated,
    version: &'a dyn Fn(&NodeName) -> Option<Digest>,
    written: Vec<(TopicName, StoredRow)>,
    /// What came to nodes with a store, and was not refused there.
    arrived: Vec<StoredRow>,
}

/// Whether what a node makes of a row depends on the rows before.
fn keeps(kind: &NodeKind) -> bool {
    match kind {
        NodeKind::Aggregate(_) => true,
        NodeKind::Process(plugin) => !plugin.stores.is_empty(),
        _ => false,
    }
}

impl Walk<'_> {
    /// Takes rows to a node with a store. What it makes of them is another checker's business, not what it refuses.
    fn arrive(&mut self, index: NodeIndex, arrived: Vec<StoredRow>) -> Result<(), Poison> {
        let node = self.generated.topology.node(index);
        for row in arrived {
            // No plugin sees a row without a key of an aggregate.
            let unseen = row.key.is_none() && matches!(node.kind, NodeKind::Aggregate(_));
            if unseen || node.plugin().is_none() || self.process(&node.name, &row).is_some() {
                self.arrived.push(row);
            } else if node.on_error == ErrorPolicy::Fail {
                return Err(Poison(node.name.clone()));
            }
        }
        Ok(())
    }

    /// Takes what one cause has brought to a node: a path through the nodes is done with before the next one begins.
    fn visit(&mut self, index: NodeIndex, arrived: Vec<StoredRow>) -> Result<(), Poison> {
        let node = self.generated.topology.node(index);
        if let NodeKind::Sink(topic) = &node.kind {
            let name = &self.generated.topology.topic(*topic).name;
            self.written.extend(arrived.into_iter().map(|row| (name.clone(), row)));
            return Ok(());
        }
        if keeps(&node.kind) {
            return self.arrive(index, arrived);
        }
        let mut mapped = Vec::new();
        for row in arrived {
            match self.map(index, row) {
                Some(outputs) => mapped.extend(outputs),
                None if node.on_error == ErrorPolicy::Fail => return Err(Poison(node.name.clone())),
                None => {}
            }
        }
        for port in 0..PORTS_MAX {
            let leaving: Vec<StoredRow> =
                mapped.iter().filter(|(of, _)| *of == port).map(|(_, row)| row.clone()).collect();
            let children: Vec<NodeIndex> =
                node.children.iter().filter(|child| child.port == port).map(|child| child.node).collect();
            for child in children.into_iter().filter(|_| !leaving.is_empty()) {
                self.visit(child, leaving.clone())?;
            }
        }
        Ok(())
    }

    /// The outputs of a node for a row, by port; none: it cannot map it.
    fn map(&self, index: NodeIndex, row: StoredRow) -> Option<Vec<(u32, StoredRow)>> {
        let node = self.generated.topology.node(index);
        match &node.kind {
            NodeKind::Source(_) => Some(vec![(0, row)]),
            NodeKind::Filter(expression) => {
                let passes = expression.matches(&rows(&row), 0).ok()?;
                Some(if passes { vec![(0, row)] } else { vec![] })
            }
            NodeKind::Branch(cases) => {
                for (case, branch) in cases.iter().enumerate() {
                    if branch.when.as_ref().map_or(Ok(true), |when| when.matches(&rows(&row), 0)).ok()? {
                        return Some(vec![(case as u32, row)]);
                    }
                }
                Some(vec![])
            }
            NodeKind::Process(_) => self.process(&node.name, &row),
            // Not generated.
            NodeKind::Map(_)
            | NodeKind::FlatMap(_)
            | NodeKind::Peek(_)
            | NodeKind::DynamicSink(_)
            | NodeKind::Suppress(_)
            | NodeKind::ToTable(_)
            | NodeKind::FilterTable(_)
            | NodeKind::MapTable(_)
            | NodeKind::Join(_)
            | NodeKind::JoinTables(_)
            | NodeKind::StreamJoin(_) => None,
            // Does not come here.
            NodeKind::Aggregate(_) | NodeKind::Sink(_) => Some(vec![]),
        }
    }

    fn process(&self, name: &NodeName, row: &StoredRow) -> Option<Vec<(u32, StoredRow)>> {
        let version = (self.version)(name)?;
        let value = row.value.as_deref().unwrap_or_default();
        let Answer::Emit(emissions) = plugin::answer(name.as_str(), &version, row.key.as_deref(), value, row.timestamp)
        else {
            return None;
        };
        let emitted = |emission: plugin::Emission| {
            let plugin::Emission { port, key, value, timestamp } = emission;
            (port, StoredRow { timestamp, key, value: Some(value), headers: row.headers.clone() })
        };
        Some(emissions.into_iter().map(emitted).collect())
    }
}

fn rows(row: &StoredRow) -> Rows {
    let mut batch = RecordBatch::default();
    row.push_to(&mut batch, 0);
    Rows::from_batch(batch)
}
