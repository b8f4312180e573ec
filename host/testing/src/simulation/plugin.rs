//! Plugins in Rust whose every answer follows from a row, the node's name and its version: what the oracle can repeat. Those
//! with state count the rows of a key, in a store ([`keeper`]) or as an aggregator.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use weir_core::ports::{
    Aggregator, Call, CreateFault, Digest, Output, Processor, ProcessorSupplier, Reject, Trap, TrapKind,
};
use weir_core::record::Column;
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

use super::keeper::{Kept, SimAggregator};
use super::{Bug, hash, keeper};

/// In a row's value: a plugin that is not mended traps there.
pub const POISON: u8 = b'!';
/// In a row's value: a plugin that is not mended rejects it.
pub const REFUSED: u8 = b'?';

/// Output ports of a plugin.
pub const PORTS: u32 = 3;

/// The version of revision `revision`. A mended one takes every row.
#[must_use]
pub fn version(revision: u64, mended: bool) -> Digest {
    Digest::from(format!("{}{revision}", if mended { "m" } else { "p" }).as_str())
}

/// An output of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Its port.
    pub port: u32,
    /// Its key; none: null.
    pub key: Option<Vec<u8>>,
    /// Its value, stamped with node, version and place among the row's outputs.
    pub value: Vec<u8>,
    /// Its timestamp.
    pub timestamp: i64,
}

/// What a version of a node's plugin makes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its outputs.
    Emit(Vec<Emission>),
    /// It refuses the row.
    Reject,
    /// It traps.
    Trap,
}

/// See [`Answer`].
#[must_use]
pub fn answer(node: &str, version: &Digest, key: Option<&[u8]>, value: &[u8], timestamp: i64) -> Answer {
    let chance = hash(node, value);
    let mended = version.as_str().starts_with('m');
    if !mended && value.contains(&POISON) && chance.is_multiple_of(2) {
        return Answer::Trap;
    }
    if !mended && value.contains(&REFUSED) && chance.is_multiple_of(2) {
        return Answer::Reject;
    }
    let count = [1, 0, 1, 2, 1, 3, 1, 1][(chance >> 8) as usize % 8];
    let emission = |place: u64| {
        let port = ((chance >> 16) + place) % u64::from(PORTS);
        let key = match (chance >> 24) % 5 {
            0 => Some(format!("k{}", (chance >> 32) % 9).into_bytes()),
            1 => None,
            _ => key.map(<[u8]>::to_vec),
        };
        let mut stamped = value.to_vec();
        stamped.extend_from_slice(format!(">{node}.{}.{place}", version.as_str()).as_bytes());
        Emission { port: port as u32, key, value: stamped, timestamp: timestamp + place as i64 }
    };
    Answer::Emit((0..count).map(emission).collect())
}

/// What instances keep between calls. In the right engine it dies with the instance.
type Memory = Rc<RefCell<BTreeSet<(u32, i64, Vec<u8>)>>>;

/// Makes [`SimPlugin`]s.
#[derive(Default)]
pub struct SimSupplier {
    /// Planted: a new instance finds what the old one kept, as if it were the old one.
    keeps_memory: bool,
    /// Planted: every instance runs what was made last.
    runs_newest: bool,
    kept: BTreeMap<(NodeName, TaskId), Memory>,
    newest: BTreeMap<NodeName, Rc<RefCell<Digest>>>,
    /// Planted: a new version does not find what the one before it kept.
    drops_state: bool,
    /// Planted: aggregators go by their own memory.
    folds_in_memory: bool,
    ran_first: BTreeMap<(NodeName, TaskId), Digest>,
}

impl ProcessorSupplier for SimSupplier {
    fn create(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        let memory = if self.keeps_memory {
            self.kept.entry((node.clone(), task)).or_default().clone()
        } else {
            Memory::default()
        };
        let running = if self.runs_newest {
            let newest = self.newest.entry(node.clone()).or_insert_with(|| Rc::new(RefCell::new(version.clone())));
            *newest.borrow_mut() = version.clone();
            newest.clone()
        } else {
            Rc::new(RefCell::new(version.clone()))
        };
        let kept = Kept::new(self.drops_state_at(node, version, task));
        Ok(Box::new(SimPlugin { node: node.clone(), version: running, memory, kept, calls: 0 }))
    }

    fn create_aggregator(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Aggregator>, CreateFault> {
        let forgets = self.drops_state_at(node, version, task) || self.folds_in_memory;
        Ok(Box::new(SimAggregator::new(node, version, forgets)))
    }
}

impl SimSupplier {
    /// A supplier with a bug planted in it, if it is one of its.
    #[must_use]
    pub fn with(bug: Option<Bug>) -> Self {
        let keeps_memory = bug == Some(Bug::KeepsInstances);
        Self {
            keeps_memory,
            runs_newest: bug == Some(Bug::SwapsInMidTransaction),
            drops_state: bug == Some(Bug::DropsStateAtSwap),
            folds_in_memory: bug == Some(Bug::FoldsInMemory),
            ..Self::default()
        }
    }

    fn drops_state_at(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> bool {
        let first = self.ran_first.entry((node.clone(), task)).or_insert_with(|| version.clone());
        self.drops_state && first != version
    }

    /// Planted with `runs_newest`: running instances turn to `version` at once.
    pub fn turn_to(&mut self, node: &NodeName, version: &Digest) {
        if let Some(newest) = self.newest.get(node).filter(|_| self.runs_newest) {
            *newest.borrow_mut() = version.clone();
        }
    }
}

struct SimPlugin {
    node: NodeName,
    version: Rc<RefCell<Digest>>,
    /// Rows that it has answered. It answers none twice: an instance that outlives an abort shows.
    memory: Memory,
    kept: Kept,
    calls: u32,
}

impl Processor for SimPlugin {
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        self.calls += 1;
        let version = self.version.borrow().clone();
        // No row's fault, and gone with a fresh instance.
        if self.calls.is_multiple_of(7) {
            return Err(trap(TrapKind::Memory, None));
        }
        let rows = call.rows;
        if call.state.is_some() {
            return keeper::process(self.node.as_str(), &version, &mut self.kept, call);
        }
        let taken = if self.calls.is_multiple_of(3) { rows.len().div_ceil(2) } else { rows.len() };
        let mut output = Output { taken: (taken < rows.len()).then_some(taken as u32), ..Output::default() };
        let (mut ports, mut keys, mut values, mut timestamps) =
            (Vec::new(), Column::default(), Column::default(), vec![]);
        let mut seen = Vec::new();
        for row in 0..taken {
            let (partition, offset) = call.taken.coordinates(rows.origins[row]);
            let topic = hash(partition.topic.as_str(), b"") as u32;
            let value = rows.values.get(row).unwrap_or_default();
            let this = (topic, offset, value.to_vec());
            if self.memory.borrow().contains(&this) {
                continue;
            }
            seen.push(this);
            match answer(self.node.as_str(), &version, rows.keys.get(row), value, rows.timestamps[row]) {
                Answer::Trap => return Err(trap(TrapKind::Panic, (offset % 2 == 0).then_some(row as u32))),
                Answer::Reject => {
                    let (code, message) = ("sim.refused".to_owned(), "marked".to_owned());
                    output.rejects.push(Reject { row: row as u32, code, message });
                }
                Answer::Emit(emissions) => {
                    for emission in emissions {
                        output.rows.push(row as u32);
                        ports.push(emission.port);
                        keys.push(emission.key.as_deref());
                        values.push(Some(&emission.value));
                        timestamps.push(emission.timestamp);
                    }
                }
            }
        }
        self.memory.borrow_mut().extend(seen);
        let inherits = (0..output.rows.len()).all(|place| {
            let row = output.rows[place] as usize;
            keys.get(place) == rows.keys.get(row) && timestamps[place] == rows.timestamps[row]
        });
        if !inherits {
            (output.keys, output.timestamps) = (Some(keys), Some(timestamps));
        }
        (output.ports, output.values) = (Some(ports), Some(values));
        Ok(output)
    }
}

pub(super) fn trap(kind: TrapKind, row: Option<u32>) -> Trap {
    Trap { kind, message: "as told".to_owned(), backtrace: String::new(), row }
}
