use weir_core::ports::{Call, Extracted, Extractor, Trap};

use crate::bindings::exports::weir::plugin::extraction;
use crate::bindings::weir::plugin::types;
use crate::columns::{self, Gathered};
use crate::running::{Running, Scope, malformed};

/// At a source rows are not written to a topic: there are no partitions to choose from.
const NO_PARTITIONS: u32 = 0;

/// An extractor at work for one task. As [`Instance`](crate::Instance), after a trap it answers with traps.
pub struct ExtractorInstance {
    running: Running,
    guest: extraction::Guest,
}

impl ExtractorInstance {
    pub(crate) fn new(running: Running, guest: extraction::Guest) -> Self {
        Self { running, guest }
    }
}

impl Extractor for ExtractorInstance {
    fn extract(&mut self, call: &Call<'_>) -> Result<Extracted, Trap> {
        let scope = Scope { rows: call.rows, taken: call.taken, state: None };
        let Self { running, guest } = self;
        running.run(scope, call.rows.len(), |running, deadline| {
            let gathered = Gathered::new(call.rows, running.plugin.artifact().manifest().reads);
            let extractor = guest.extractor();
            let extracted =
                extractor.call_extract(&mut running.store, running.resource, gathered.batch(), NO_PARTITIONS);
            let extracted = extracted.map_err(|error| running.trap(&error, deadline))?;
            running.check_output(bytes(&extracted), deadline)?;
            checked(extracted, call.rows.len()).map_err(malformed)
        })
    }
}

fn bytes(extracted: &extraction::Extracted) -> usize {
    let list = |list: &Option<Vec<u8>>| list.as_ref().map_or(0, Vec::len);
    let column = |column: &Option<types::ColumnResult>| column.as_ref().map_or(0, columns::column_bytes);
    column(&extracted.keys)
        + list(&extracted.timestamps)
        + list(&extracted.partitions)
        + column(&extracted.topics)
        + columns::reject_bytes(&extracted.rejects)
}

/// What `extract` returned as the core has it, or which part contradicts itself or is not for a source.
fn checked(extracted: extraction::Extracted, rows: usize) -> Result<Extracted, String> {
    let others = [
        ("keys", extracted.keys.is_some()),
        ("partitions", extracted.partitions.is_some()),
        ("topics", extracted.topics.is_some()),
    ];
    if let Some((name, _)) = others.iter().find(|(_, given)| *given) {
        return Err(format!("{name}: a source takes timestamps alone; return none"));
    }
    let timestamps = extracted.timestamps.map(|times| columns::numbers::<i64>("timestamps", &times)).transpose()?;
    columns::cells("timestamps", timestamps.as_ref().map_or(rows, Vec::len), rows)?;
    if let Some(reject) = extracted.rejects.iter().find(|reject| reject.row as usize >= rows) {
        return Err(format!("rejects: row {} of {rows}", reject.row));
    }
    Ok(Extracted { timestamps, rejects: columns::rejects(extracted.rejects) })
}

impl std::fmt::Debug for ExtractorInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtractorInstance").field("running", &self.running).finish_non_exhaustive()
    }
}
