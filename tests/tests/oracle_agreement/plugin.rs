//! The oracle's aggregator as a plugin: the text `value;` of each row, one after the other.

use weir_core::ports::{Aggregator, CreateFault, Digest, Folded, Groups, Processor, ProcessorSupplier, Trap};
use weir_core::record::Column;
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

/// Knows [`Texts`] alone.
pub struct TextsSupplier;

impl ProcessorSupplier for TextsSupplier {
    fn create(&mut self, node: &NodeName, version: &Digest, _: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        let message = "this is an aggregator".to_owned();
        Err(CreateFault { node: node.clone(), digest: version.clone(), message })
    }

    fn create_aggregator(&mut self, _: &NodeName, _: &Digest, _: TaskId) -> Result<Box<dyn Aggregator>, CreateFault> {
        Ok(Box::new(Texts))
    }
}

struct Texts;

impl Aggregator for Texts {
    fn fold(&mut self, groups: &Groups<'_>) -> Result<Folded, Trap> {
        let mut folded = Folded::default();
        let mut begin = 0;
        for (group, &end) in groups.row_ends.iter().enumerate() {
            let mut text = groups.accumulators.get(group).unwrap_or_default().to_vec();
            for row in begin..end as usize {
                // As Java writes null.
                text.extend_from_slice(groups.rows.values.get(row).unwrap_or(b"null"));
                text.push(b';');
                if groups.every_row {
                    folded.accumulators.push(Some(&text));
                }
            }
            if !groups.every_row {
                folded.accumulators.push(Some(&text));
            }
            begin = end as usize;
        }
        Ok(folded)
    }

    fn merge(&mut self, _: &Column, left: &Column, right: &Column) -> Result<Column, Trap> {
        let pairs = left.iter().zip(right.iter());
        let merged: Vec<Vec<u8>> =
            pairs.map(|(left, right)| [left.unwrap_or_default(), right.unwrap_or_default()].concat()).collect();
        Ok(merged.iter().map(|text| Some(text.as_slice())).collect())
    }
}
