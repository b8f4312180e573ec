//! Plugins with state: they count the rows of each key that they do not refuse.

use std::collections::BTreeMap;

use weir_core::ports::{
    Aggregator, Call, Digest, Folded, Groups, Output, Reject, StateAccess, StoreHandle, Trap, TrapKind,
};
use weir_core::record::Column;
use weir_core::state::keys;
use weir_core::topology::NodeName;

use super::plugin::{Answer, answer, trap};

/// The one store of a keeper.
const COUNTS: StoreHandle = StoreHandle(0);

/// What an instance has counted, so that it reads each key once: a cache.
#[derive(Debug, Default)]
pub(super) struct Kept {
    counts: BTreeMap<Vec<u8>, i64>,
    /// Planted: what is not in the cache is nothing.
    forgets: bool,
}

impl Kept {
    pub(super) fn new(forgets: bool) -> Self {
        Self { counts: BTreeMap::new(), forgets }
    }

    fn next(&mut self, state: &mut dyn StateAccess, key: &[u8]) -> Result<i64, Trap> {
        let fault =
            |error: &dyn std::fmt::Display| Trap { message: error.to_string(), ..trap(TrapKind::Malformed, None) };
        let before = match self.counts.get(key) {
            Some(count) => *count,
            None if self.forgets => 0,
            None => {
                state.get(COUNTS, &keys::key_value(key)).map_err(|error| fault(&error))?.map_or(0, |cell| count(&cell))
            }
        };
        let text = (before + 1).to_string();
        state.put(COUNTS, &keys::key_value(key), Some(text.as_bytes())).map_err(|error| fault(&error))?;
        self.counts.insert(key.to_vec(), before + 1);
        Ok(before + 1)
    }
}

/// The count that a cell of a plugin's holds.
pub(super) fn count(cell: &[u8]) -> i64 {
    std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok()).unwrap_or(-1)
}

fn reject(row: usize) -> Reject {
    Reject { row: row as u32, code: "sim.refused".to_owned(), message: "marked".to_owned() }
}

/// Counts in a store, and sends each count.
pub(super) fn process(node: &str, version: &Digest, kept: &mut Kept, call: &Call<'_>) -> Result<Output, Trap> {
    let Some(state) = call.state else { return Ok(Output::default()) };
    let (mut state, rows) = (state.borrow_mut(), call.rows);
    let (mut output, mut values) = (Output::default(), Column::default());
    for row in 0..rows.len() {
        let (key, value) = (rows.keys.get(row), rows.values.get(row).unwrap_or_default());
        match answer(node, version, key, value, rows.timestamps[row]) {
            Answer::Trap => return Err(trap(TrapKind::Panic, Some(row as u32))),
            Answer::Reject => output.rejects.push(reject(row)),
            Answer::Emit(_) => {
                let Some(key) = key else { continue };
                let count = kept.next(&mut *state, key)?;
                output.rows.push(row as u32);
                values.push(Some(count.to_string().as_bytes()));
            }
        }
    }
    output.values = Some(values);
    Ok(output)
}

/// A key and its window.
type Group = (Vec<u8>, Option<(i64, i64)>);

/// Counts as an aggregator.
pub(super) struct SimAggregator {
    node: NodeName,
    version: Digest,
    /// Planted: goes on from what it has counted itself.
    forgets: bool,
    own: BTreeMap<Group, i64>,
    calls: u32,
}

impl SimAggregator {
    pub(super) fn new(node: &NodeName, version: &Digest, forgets: bool) -> Self {
        Self { node: node.clone(), version: version.clone(), forgets, own: BTreeMap::new(), calls: 0 }
    }
}

fn cell(count: i64) -> Option<Vec<u8>> {
    (count > 0).then(|| count.to_string().into_bytes())
}

impl Aggregator for SimAggregator {
    fn fold(&mut self, groups: &Groups<'_>) -> Result<Folded, Trap> {
        self.calls += 1;
        // No row's fault, and gone with a fresh instance.
        if self.calls.is_multiple_of(7) {
            return Err(trap(TrapKind::Memory, None));
        }
        let (mut folded, mut row) = (Folded::default(), 0);
        for (group, end) in groups.row_ends.iter().enumerate() {
            let key = groups.keys.get(group).unwrap_or_default().to_vec();
            let place = (key, groups.windows.as_ref().map(|windows| windows[group]));
            let given = groups.accumulators.get(group).map_or(0, count);
            let mut sum = if self.forgets { self.own.get(&place).copied().unwrap_or(0) } else { given };
            while row < *end as usize {
                let (key, value) = (groups.rows.keys.get(row), groups.rows.values.get(row).unwrap_or_default());
                match answer(self.node.as_str(), &self.version, key, value, groups.rows.timestamps[row]) {
                    Answer::Trap => return Err(trap(TrapKind::Panic, Some(row as u32))),
                    Answer::Reject => folded.rejects.push(reject(row)),
                    Answer::Emit(_) => sum += 1,
                }
                if groups.every_row {
                    folded.accumulators.push(cell(sum).as_deref());
                }
                row += 1;
            }
            if !groups.every_row {
                folded.accumulators.push(cell(sum).as_deref());
            }
            self.own.insert(place, sum);
        }
        Ok(folded)
    }

    fn merge(&mut self, _: &Column, left: &Column, _: &Column) -> Result<Column, Trap> {
        // No sessions are generated.
        Ok(left.clone())
    }
}
