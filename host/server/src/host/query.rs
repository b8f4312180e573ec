//! Queries: committed state of this host's tasks, with the input positions that it holds the effects of.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_core::ports::{StateStore, StoreError};
use weir_core::record::TopicPartition;
use weir_core::state::{Selection, StoreEntry, StoreView};
use weir_core::task::TaskId;
use weir_core::task::life::State;
use weir_core::thread::TaskStatus;
use weir_core::topology::{StoreIndex, StoreKind};

use super::{Host, status};
use crate::line;
use crate::problem::{Kind, Problem};

/// Entries of one answer at most; the next answer goes on.
pub const ENTRIES_MAX: usize = 10_000;

/// Rows that one answer looks at in each task at most: filters and expired rows may leave few of them.
const ROWS_MAX: usize = 200_000;

/// How long a query waits for the position that it is to hold at least.
const POSITION_WAIT: Duration = Duration::from_secs(10);

/// How often it looks.
const POSITION_POLL: Duration = Duration::from_millis(10);

/// A store of the topology.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreInfo {
    /// Its name.
    pub store: String,
    /// What its keys are made of.
    pub kind: String,
    /// Kept in memory alone.
    pub in_memory: bool,
    /// The topic of its changes.
    pub changelog: Option<String>,
    /// The topics whose positions its answers have.
    pub topics: Vec<String>,
    /// The partitions of it that this host has.
    pub partitions: Vec<i32>,
    /// Which restore, and how much is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restoring: Option<String>,
}

/// All stores of the topology.
#[must_use]
pub fn stores(host: &Host) -> Vec<StoreInfo> {
    let tasks = tasks(host);
    let info = |store: &weir_core::topology::Store| {
        let of_store = || tasks.iter().filter(|task| task.task.subtopology == store.subtopology);
        StoreInfo {
            store: store.name.clone(),
            kind: store.kind.to_string(),
            in_memory: store.in_memory,
            changelog: store.restored_from().map(|topic| host.topology.topic(topic).name.as_str().to_owned()),
            topics: topics(host, store.subtopology),
            partitions: of_store().map(|task| task.task.partition).collect(),
            restoring: status::restoring(of_store()),
        }
    };
    host.topology.stores.iter().map(info).collect()
}

/// What a query's answer must hold the effects of at least: `topic/partition@offset`, the next offset to take; several
/// with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinPosition(Vec<(TopicPartition, i64)>);

impl FromStr for MinPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |text: &str| {
            let (partition, offset) = text.rsplit_once('@')?;
            let (topic, partition) = partition.rsplit_once('/')?;
            Some((TopicPartition::new(topic, partition.parse().ok()?), offset.parse().ok()?))
        };
        let all: Option<Vec<_>> = text.split(',').map(one).collect();
        all.map(Self)
            .ok_or_else(|| format!("`{text}` is no position: write TOPIC/PARTITION@OFFSET, several with commas"))
    }
}

/// Input positions, by `topic/partition`: the next offset of each that the answer does not hold yet.
pub type PositionMap = BTreeMap<String, i64>;

/// An entry as answers have it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryView {
    /// As `weir tail` shows keys.
    pub key: Box<RawValue>,
    /// None: the store has no windows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<WindowView>,
    /// Likewise.
    pub value: Box<RawValue>,
    /// Milliseconds since 1970 UTC; none: a plugin keeps it without.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ts: Option<i64>,
    /// Of the task that has it.
    pub partition: i32,
}

/// A window, in milliseconds since 1970 UTC.
#[derive(Debug, Serialize, Deserialize)]
pub struct WindowView {
    /// Its first.
    pub start: i64,
    /// Its end. Of a window that a plugin keeps its start: the plugin alone knows.
    pub end: i64,
}

/// What there is for a key.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// In a store without windows.
    Value {
        /// The store.
        store: String,
        /// As [`EntryView`] has it; likewise the next three.
        key: Box<RawValue>,
        #[allow(missing_docs, reason = "see `key`")]
        value: Box<RawValue>,
        #[allow(missing_docs, reason = "see `key`")]
        #[serde(skip_serializing_if = "Option::is_none")]
        ts: Option<i64>,
        #[allow(missing_docs, reason = "see `key`")]
        partition: i32,
        /// What it holds.
        position: PositionMap,
    },
    /// In a store with windows.
    Windows {
        /// The store.
        store: String,
        /// In the order of their starts.
        entries: Vec<EntryView>,
        /// What it holds.
        position: PositionMap,
    },
}

/// What a range holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The store.
    pub store: String,
    /// In the order of keys, then of windows.
    pub entries: Vec<EntryView>,
    /// To be given as `after` to read on; none: that was all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
    /// What it holds.
    pub position: PositionMap,
}

/// The open stores of one store's tasks on this host.
pub struct Reader<'h> {
    host: &'h Host,
    name: String,
    store: StoreIndex,
    tasks: Vec<(TaskStatus, Arc<dyn StateStore>)>,
}

impl<'h> Reader<'h> {
    /// Of the store `name`, once it holds `at_least`.
    ///
    /// # Errors
    /// There is no such store, it is no user's, it restores, it does not read that topic.
    pub fn open(host: &'h Host, name: &str, at_least: &MinPosition) -> Result<Self, Problem> {
        let store = find(host, name)?;
        let subtopology = host.topology.store(store).subtopology;
        check_position(host, name, subtopology, at_least)?;
        let begin = Instant::now();
        loop {
            let tasks: Vec<TaskStatus> =
                tasks(host).into_iter().filter(|task| task.task.subtopology == subtopology).collect();
            match ready(host, name, &tasks).and_then(|()| holds(&tasks, at_least)) {
                Ok(()) => return Self::of(host, name, store, tasks),
                Err(problem) if problem.kind == Kind::NotReady && begin.elapsed() < at_least.wait() => {}
                Err(problem) => return Err(problem),
            }
            if host.stop.wait(POSITION_POLL) {
                return Err(Problem::new(Kind::NotReady, "the host stops"));
            }
        }
    }

    fn of(host: &'h Host, name: &str, store: StoreIndex, tasks: Vec<TaskStatus>) -> Result<Self, Problem> {
        // First the positions, then the rows: these may hold more, never less.
        let open = |task: TaskStatus| {
            let rows = host.stores.of(task.task).ok_or_else(|| {
                Problem::new(Kind::NotReady, format!("task {} is on its way to another thread or host", task.task))
            })?;
            Ok((task, rows))
        };
        let tasks = tasks.into_iter().map(open).collect::<Result<_, Problem>>()?;
        Ok(Self { host, name: name.to_owned(), store, tasks })
    }

    /// Whether it has a window for each of its values.
    #[must_use]
    pub fn is_windowed(&self) -> bool {
        !matches!(self.host.topology.store(self.store).kind, StoreKind::KeyValue { .. })
    }

    /// The entry of a key in a key-value store.
    ///
    /// # Errors
    /// There is none; the store cannot answer.
    pub fn get(&self, key: &[u8]) -> Result<EntryView, Problem> {
        for (task, rows) in &self.tasks {
            let found = self.view().get(rows.as_ref(), key, None, task.stream_time_ms).map_err(unreadable)?;
            if let Some(entry) = found {
                return Ok(view(task.task, &entry));
            }
        }
        Err(self.no_key(key))
    }

    /// There is no such key here.
    #[must_use]
    pub fn no_key(&self, key: &[u8]) -> Problem {
        let here: Vec<String> = self.tasks.iter().map(|(task, _)| task.task.partition.to_string()).collect();
        Problem::not_found(format!(
            "store `{}` has nothing for key {} in the partitions that this host has: {}",
            self.name,
            line::shown(Some(key)),
            here.join(", ")
        ))
    }

    /// At most `limit` entries of `selection`, those of all tasks in one order.
    ///
    /// # Errors
    /// The store cannot answer.
    pub fn select(&self, selection: &Selection, limit: usize) -> Result<(Vec<EntryView>, Option<Vec<u8>>), Problem> {
        let mut found: Vec<(Vec<u8>, TaskId, StoreEntry)> = Vec::new();
        let mut known_to: Option<Vec<u8>> = None;
        for (task, rows) in &self.tasks {
            let bounds = (limit, ROWS_MAX);
            let selected = self.view().select(rows.as_ref(), selection, task.stream_time_ms, bounds);
            let selected = selected.map_err(unreadable)?;
            known_to = [known_to, selected.known_to].into_iter().flatten().min();
            found.extend(selected.entries.into_iter().map(|(row, entry)| (row, task.task, entry)));
        }
        found.sort();
        if let Some(known_to) = &known_to {
            found.retain(|(row, ..)| row <= known_to);
        }
        let mut next = known_to;
        if let Some((last, ..)) = limit.checked_sub(1).and_then(|last| found.get(last)) {
            // Several tasks may have the same row: they are not parted, since a row is where the next page goes on.
            let last = last.clone();
            let end = found.partition_point(|(row, ..)| *row <= last);
            if end < found.len() {
                next = Some(last);
            }
            found.truncate(end);
        }
        Ok((found.iter().map(|(_, task, entry)| view(*task, entry)).collect(), next))
    }

    /// What the answer holds: the next offset of each input partition that it does not.
    #[must_use]
    pub fn position(&self) -> PositionMap {
        let committed = self.tasks.iter().flat_map(|(task, _)| &task.committed);
        committed.map(|(partition, offset)| (partition.to_string(), *offset)).collect()
    }

    fn view(&self) -> StoreView<'_> {
        StoreView::new(&self.host.topology, self.store)
    }
}

impl MinPosition {
    fn wait(&self) -> Duration {
        if self.0.is_empty() { Duration::ZERO } else { POSITION_WAIT }
    }
}

fn tasks(host: &Host) -> Vec<TaskStatus> {
    let mut tasks: Vec<TaskStatus> = host.threads.iter().flat_map(|thread| thread.snapshot().tasks).collect();
    tasks.sort_by_key(|task| task.task);
    tasks
}

/// The topics that a part of the topology reads.
fn topics(host: &Host, subtopology: usize) -> Vec<String> {
    let topics = host.topology.subtopologies[subtopology].topics.iter();
    topics.map(|topic| host.topology.topic(*topic).name.as_str().to_owned()).collect()
}

fn find(host: &Host, name: &str) -> Result<StoreIndex, Problem> {
    let Some(store) = host.topology.find_store(name) else {
        let known: Vec<&str> = host.topology.stores.iter().map(|store| store.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Problem::not_found(format!("there is no store `{name}`; there are: {known}")));
    };
    if host.topology.store(store).kind.is_private() { Err(own(name)) } else { Ok(store) }
}

fn own(name: &str) -> Problem {
    Problem::bad_request(format!("store `{name}` is what a node keeps for itself: there is nothing to read"))
}

/// A position says nothing of a store whose rows come by way of another topic.
fn check_position(host: &Host, name: &str, subtopology: usize, at_least: &MinPosition) -> Result<(), Problem> {
    let topics = topics(host, subtopology);
    match at_least.0.iter().find(|(partition, _)| !topics.iter().any(|topic| topic == partition.topic.as_str())) {
        None => Ok(()),
        Some((partition, _)) => Err(Problem::bad_request(format!(
            "store `{name}` does not read `{}` directly, so a position in it says nothing; it reads: {}",
            partition.topic,
            topics.join(", ")
        ))),
    }
}

fn ready(host: &Host, name: &str, tasks: &[TaskStatus]) -> Result<(), Problem> {
    let not_ready =
        |why: String| Err(Problem::new(Kind::NotReady, format!("store `{name}` cannot be read yet: {why}")));
    if let Some(restoring) = status::restoring(tasks.iter()) {
        return not_ready(restoring);
    }
    if tasks.iter().any(|task| matches!(task.state, State::Suspended | State::Closed)) {
        return not_ready("its tasks are being moved".to_owned());
    }
    if !tasks.is_empty() {
        return Ok(());
    }
    match status::not_ready(host) {
        Some(why) => not_ready(why),
        None => Err(Problem::not_found(format!("this host has no partition of store `{name}`; ask the others"))),
    }
}

fn holds(tasks: &[TaskStatus], at_least: &MinPosition) -> Result<(), Problem> {
    for (partition, wanted) in &at_least.0 {
        let mut committed = tasks.iter().flat_map(|task| &task.committed);
        match committed.find(|(at, _)| at == partition) {
            Some((_, offset)) if offset >= wanted => {}
            Some((_, offset)) => {
                let detail = format!("it holds {partition} up to {offset}, not yet to {wanted}");
                return Err(Problem::new(Kind::NotReady, detail));
            }
            None => return Err(Problem::not_found(format!("this host does not take {partition}; ask the others"))),
        }
    }
    Ok(())
}

fn unreadable(error: StoreError) -> Problem {
    Problem::failed(error.to_string())
}

fn view(task: TaskId, entry: &StoreEntry) -> EntryView {
    EntryView {
        key: line::shown(Some(&entry.key)),
        window: entry.window.map(|(start, end)| WindowView { start, end }),
        value: line::shown(entry.value.as_deref()),
        ts: entry.timestamp,
        partition: task.partition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_logs_write_them() {
        let parsed: MinPosition = "orders/3@17,a/b/0@5".parse().unwrap();
        assert_eq!(parsed.0, [(TopicPartition::new("orders", 3), 17), (TopicPartition::new("a/b", 0), 5)]);
        for wrong in ["", "orders@1", "orders/x@1", "orders/1@", "orders/1"] {
            assert!(wrong.parse::<MinPosition>().unwrap_err().contains("TOPIC/PARTITION@OFFSET"), "{wrong}");
        }
    }
}
