//! The compacted topic `<application>-hosts`: every transactional id that the application has used, so that a new owner of
//! a partition can end what an expelled one has left open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use weir_core::ports::{Client, NewTopic, TransportError};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use crate::client::KafkaClient;
use crate::config::{KafkaConfig, Role};
use crate::producer::initialise;
use crate::status::Watch;

/// How long one read of the list waits for rows that are known to be there.
const READ_WAIT: Duration = Duration::from_millis(500);
/// Rows of the list that one read takes.
const READ_ROWS_MAX: usize = 1000;
/// How long one foreign id may take to be initialised.
const INIT_WAIT: Duration = Duration::from_secs(2);
/// Ids that one attempt fences at most, the latest started first; a longer list is worked off by later attempts.
const FENCED_MAX: usize = 32;

/// The value of a row of the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    /// `group.instance.id`; none of a dynamic member.
    instance: Option<String>,
    client_id: String,
    /// Milliseconds since 1970 UTC.
    started: i64,
}

/// Puts `id` on the list. The topic is made where there is none.
pub(crate) fn enlist(client: &KafkaClient, config: &KafkaConfig, id: &str) -> Result<(), TransportError> {
    let name = config.hosts_topic();
    client.create_topic(&NewTopic { name: name.clone(), partitions: 1, compacted: true, settings: BTreeMap::new() })?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let host = Host { instance: (!config.leave).then(|| id.to_owned()), client_id: id.to_owned(), started };
    let value = serde_json::to_vec(&host).map_err(|error| TransportError::Fatal(error.to_string()))?;
    let mut rows = RecordBatch::default();
    rows.push(0, started, Some(id.as_bytes()), Some(&value), &[]);
    client.append(&TopicPartition::new(name, 0), &rows)?;
    Ok(())
}

/// All ids on the list, the latest started first.
fn listed(client: &KafkaClient, topic: &TopicName) -> Result<Vec<String>, TransportError> {
    let partition = TopicPartition::new(topic.clone(), 0);
    let (mut at, end) = client.offsets(&partition)?;
    let mut started: BTreeMap<String, i64> = BTreeMap::new();
    while at < end {
        let (rows, next) = client.read(&partition, at, READ_ROWS_MAX, READ_WAIT)?;
        if next <= at {
            break;
        }
        at = next;
        for row in 0..rows.len() {
            let Some(id) = rows.keys.get(row) else { continue };
            let host = rows.values.get(row).and_then(|value| serde_json::from_slice::<Host>(value).ok());
            if let Some(host) = host {
                started.insert(String::from_utf8_lossy(id).into_owned(), host.started);
            }
        }
    }
    let mut ids: Vec<(i64, String)> = started.into_iter().map(|(id, started)| (started, id)).collect();
    ids.sort_unstable_by(|left, right| right.cmp(left));
    Ok(ids.into_iter().map(|(_, id)| id).collect())
}

/// Initialises the transactions of every listed id that is neither a member nor ours, each with a producer that is thrown
/// away: the broker aborts its open transaction at once, and refuses whoever still uses it. Returns how many.
///
/// A member is left alone even if it is late: only the group decides who is expelled.
pub(crate) fn fence_expelled(
    client: &KafkaClient,
    config: &KafkaConfig,
    members: &BTreeSet<String>,
    own: &str,
) -> Result<usize, TransportError> {
    let ids = listed(client, &config.hosts_topic())?;
    let expelled = ids.iter().filter(|id| id.as_str() != own && !members.contains(*id)).take(FENCED_MAX);
    let mut fenced = 0;
    for id in expelled {
        let settings = config.client(Role::Transactions, id);
        let made = settings.create_with_context::<_, rdkafka::producer::BaseProducer<Watch>>(Watch(client.status()));
        let producer = made.map_err(|error| TransportError::Fatal(format!("a producer cannot be made: {error}")))?;
        match initialise(&producer, INIT_WAIT) {
            Ok(()) => fenced += 1,
            Err(error) => tracing::warn!(id, error = error.text, "an expelled member's transaction could not be ended"),
        }
    }
    tracing::info!(fenced, "transactions of expelled members were ended");
    Ok(fenced)
}
