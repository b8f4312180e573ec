use std::collections::BTreeMap;

/// Distinct reasons that are counted apart at a node; further ones are counted as `other`, because plugins choose codes.
pub const REASONS_MAX: usize = 64;

/// What a node has done since the thread started. Work that was undone with its transaction and done again counts twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMetrics {
    /// Rows taken in.
    pub rows_in: u64,
    /// Rows given out, over all outputs.
    pub rows_out: u64,
    /// Rows dropped, by reason: a trap's kind or a reject's code under policy `skip`; at an aggregate `late` (once for each
    /// window that was closed) and `null-key-or-value`.
    pub dropped: BTreeMap<String, u64>,
    /// Calls that trapped, by kind.
    pub traps: BTreeMap<String, u64>,
}

impl NodeMetrics {
    pub(crate) fn drop_row(&mut self, reason: &str) {
        bump(&mut self.dropped, reason, 1);
    }

    pub(crate) fn drop_rows(&mut self, reason: &str, rows: u64) {
        if rows > 0 {
            bump(&mut self.dropped, reason, rows);
        }
    }

    pub(crate) fn trap(&mut self, kind: &str) {
        bump(&mut self.traps, kind, 1);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        other.dropped.iter().for_each(|(reason, by)| bump(&mut self.dropped, reason, *by));
        other.traps.iter().for_each(|(kind, by)| bump(&mut self.traps, kind, *by));
    }
}

fn bump(counts: &mut BTreeMap<String, u64>, reason: &str, by: u64) {
    if let Some(count) = counts.get_mut(reason) {
        *count += by;
    } else {
        let reason = if counts.len() < REASONS_MAX { reason } else { "other" };
        *counts.entry(reason.to_owned()).or_default() += by;
    }
}
