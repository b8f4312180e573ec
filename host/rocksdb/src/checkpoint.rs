//! How a checkpoint lies on disk: one row of JSON, stores by their names. Indexes of stores change with the topology file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_core::ports::{Checkpoint, Position, Replayed};
use weir_core::record::TopicPartition;

use crate::family::Family;

/// Its key in the family of positions.
pub(crate) const KEY: &[u8] = b"checkpoint";

/// Of what lies on disk. Another one cannot be read, and is made anew.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    version: u32,
    changelogs: BTreeMap<String, KeptReplayed>,
    positions: Vec<KeptPosition>,
    applied_at_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptReplayed {
    next: i64,
    topic_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptPosition {
    topic: String,
    partition: i32,
    offset: i64,
    metadata: Option<String>,
}

/// What is written of `checkpoint`: of stores in memory nothing, since they are empty after a restart.
pub(crate) fn encode(checkpoint: &Checkpoint, families: &[Family]) -> Result<Vec<u8>, serde_json::Error> {
    let changelogs = families.iter().filter_map(|family| {
        let Replayed { next, topic_id } = checkpoint.changelogs.get(&family.index)?.clone();
        Some((family.store.clone(), KeptReplayed { next, topic_id }))
    });
    let positions = checkpoint.positions.iter().map(|position| KeptPosition {
        topic: position.partition.topic.as_str().to_owned(),
        partition: position.partition.partition,
        offset: position.offset,
        metadata: position.metadata.clone(),
    });
    serde_json::to_vec(&Kept {
        version: VERSION,
        changelogs: changelogs.collect(),
        positions: positions.collect(),
        applied_at_ms: checkpoint.applied_at_ms,
    })
}

/// What was written, for the stores that there are now.
pub(crate) fn decode(bytes: &[u8], families: &[Family]) -> Result<Checkpoint, String> {
    let mut kept = parse(bytes)?;
    let changelogs = families.iter().filter_map(|family| {
        let KeptReplayed { next, topic_id } = kept.changelogs.remove(&family.store)?;
        Some((family.index, Replayed { next, topic_id }))
    });
    let position = |kept: KeptPosition| Position {
        partition: TopicPartition::new(kept.topic.as_str(), kept.partition),
        offset: kept.offset,
        metadata: kept.metadata,
    };
    Ok(Checkpoint {
        changelogs: changelogs.collect(),
        positions: kept.positions.into_iter().map(position).collect(),
        applied_at_ms: kept.applied_at_ms,
    })
}

/// `bytes` without what is said of `store`.
pub(crate) fn without(bytes: &[u8], store: &str) -> Result<Vec<u8>, String> {
    let mut kept = parse(bytes)?;
    kept.changelogs.remove(store);
    serde_json::to_vec(&kept).map_err(|error| error.to_string())
}

fn parse(bytes: &[u8]) -> Result<Kept, String> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| format!("the checkpoint is none: {error}"))?;
    if kept.version != VERSION {
        return Err(format!("the checkpoint has version {}, and this Weir reads {VERSION}", kept.version));
    }
    Ok(kept)
}
