//! The laws of a stream thread, a script each: events in, effects out.
//!
//! A script is `host/core/tests/scripts/thread/<law>`: commands, `---`, and what came of them. `UPDATE_GOLDENFILES=1`
//! rewrites what came; read the difference before you commit it. The topology is always
//! `orders -> details (a plugin) -> verdicts`, with `out` of three partitions; the plugin stamps its version on each value.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use goldenscript::{Argument, Command, Context};
use weir_core::ports::{
    Call, CommitError, Committed, CreateFault, Digest, Extracted, Extractor, Outgoing, Output, Position, Processor,
    ProcessorSupplier, Reject, Replay, StateStore, StateSupplier, StoreError, Trap, TrapKind,
};
use weir_core::record::{Column, RecordBatch, TopicPartition};
use weir_core::state::{MemoryStore, ReplayFrom};
use weir_core::task::TaskId;
use weir_core::thread::{Effect, Event, Report, ReportKind, Stores, StreamThread, ThreadConfig, WallTime};
use weir_core::topology::NodeName;

fn trap(message: &str) -> Trap {
    Trap { kind: TrapKind::Panic, message: message.into(), backtrace: String::new(), row: None }
}

/// Maps a value by what it says: `trap` traps, `drop` is dropped, `reject` is rejected, `twice` comes out twice, `long` traps
/// when it is not alone, `once` traps only on an instance that was called before; all else comes out stamped.
struct Scripted {
    version: Digest,
    called: bool,
}

impl Processor for Scripted {
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        let called = std::mem::replace(&mut self.called, true);
        let (mut output, mut values) = (Output::default(), Column::default());
        for row in 0..call.rows.len() {
            let value = String::from_utf8_lossy(call.rows.values.get(row).unwrap_or(b"null")).into_owned();
            let times = match value.as_str() {
                "trap" => return Err(trap("poison")),
                "long" if call.rows.len() > 1 => return Err(trap("too long")),
                "once" if called => return Err(trap("stale memory")),
                "reject" => {
                    output.rejects.push(Reject { row: row as u32, code: "order.bad".into(), message: "bad".into() });
                    0
                }
                "drop" => 0,
                "twice" => 2,
                _ => 1,
            };
            for _ in 0..times {
                output.rows.push(row as u32);
                values.push(Some(format!("{value}@{}", self.version).as_bytes()));
            }
        }
        output.values = Some(values);
        Ok(output)
    }
}

/// Finds the time of a value in it: `7` or `-7`, and `8-twice` as well. `own` keeps the record's own; `reject`, `trap`, `long` and
/// `once` are as above. A version `plus…` finds times 100 later.
impl Extractor for Scripted {
    fn extract(&mut self, call: &Call<'_>) -> Result<Extracted, Trap> {
        let called = std::mem::replace(&mut self.called, true);
        let later = if self.version.as_str().starts_with("plus") { 100 } else { 0 };
        let (mut extracted, mut times) = (Extracted::default(), Vec::new());
        for (row, &own) in call.rows.timestamps.iter().enumerate() {
            let value = String::from_utf8_lossy(call.rows.values.get(row).unwrap_or(b"null")).into_owned();
            let (sign, digits) = value.strip_prefix('-').map_or((1, value.as_str()), |digits| (-1, digits));
            times.push(match digits.split('-').next().unwrap_or_default() {
                "trap" => return Err(trap("poison")),
                "long" if call.rows.len() > 1 => return Err(trap("too long")),
                "once" if called => return Err(trap("stale memory")),
                "reject" => {
                    extracted.rejects.push(Reject { row: row as u32, code: "time.bad".into(), message: "bad".into() });
                    own
                }
                digits => digits.parse::<i64>().map_or(own, |at| sign * at + later),
            });
        }
        extracted.timestamps = Some(times);
        Ok(extracted)
    }
}

struct Supplier;

impl ProcessorSupplier for Supplier {
    fn create(&mut self, node: &NodeName, version: &Digest, _: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        if version.as_str().starts_with("bad") {
            return Err(CreateFault {
                node: node.clone(),
                digest: version.clone(),
                message: "wrong configuration".into(),
            });
        }
        Ok(Box::new(Scripted { version: version.clone(), called: false }))
    }

    fn create_extractor(
        &mut self,
        _: &NodeName,
        version: &Digest,
        _: TaskId,
    ) -> Result<Box<dyn Extractor>, CreateFault> {
        Ok(Box::new(Scripted { version: version.clone(), called: false }))
    }
}

struct Runner {
    thread: StreamThread,
    now: WallTime,
    /// The next offset and timestamp of rows that a script fetches.
    ends: BTreeMap<TopicPartition, i64>,
    revision: u64,
    kept: Kept,
    /// The identity of the changelog.
    topic_id: String,
}

/// Stores that a later thread finds as they were left.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<BTreeMap<TaskId, Arc<dyn StateStore>>>>);

impl StateSupplier for Kept {
    fn open(&mut self, task: TaskId) -> Result<Arc<dyn StateStore>, StoreError> {
        let fresh = || Arc::new(MemoryStore::default()) as Arc<dyn StateStore>;
        Ok(self.0.borrow_mut().entry(task).or_insert_with(fresh).clone())
    }
}

/// As half of Kafka's `delete.retention.ms`.
const AGE_MAX_MS: i64 = 12 * 3600 * 1000;

const TOPOLOGY: &str = "
application: app
topics:
  orders: {}
  out: {}
nodes:
  orders: { source: orders }
  details: { from: orders, process: { plugin: details.wasm }, on-error: POLICY }
  verdicts: { from: details, sink: out }
";

/// Two topics that one task takes by their timestamps.
const MERGED: &str = "
application: app
topics:
  orders:  { partitions: 1 }
  returns: { partitions: 1 }
  out:     { partitions: 1 }
nodes:
  all: { source: [orders, returns] }
  out: { from: all, sink: out }
";

/// Counts per key, `k` for every row; a repartition topic is read as well, so that its purge can be seen.
const STATEFUL: &str = "
application: app
topics:
  orders: {}
  out: {}
nodes:
  orders: { source: orders }
  counts: { from: orders, aggregate: count, emit: EMIT }
  out: { from: counts, sink: out }
";

/// Orders joined with a table that is restored from its topic.
const TABLE: &str = "
application: app
topics:
  orders:    { key: string, value: string }
  customers: { key: string, value: string }
  out:       { key: string, value: string }
nodes:
  orders:    { source: orders }
  customers: { table: customers }
  joined:    { from: orders, join: customers, value: 'left + \"|\" + right' }
  out:       { from: joined, sink: out }
";

/// Two partitions in one task, put in order by the times that a plugin finds.
const TIMED: &str = "
application: app
topics:
  orders: {}
  refunds: {}
  out: {}
nodes:
  both: { source: { topics: [orders, refunds], timestamp: { plugin: times.wasm } }, on-error: POLICY }
  out: { from: both, sink: out }
";

impl Runner {
    /// A thread whose source has a plugin.
    fn timed(&mut self, policy: &str, config: ThreadConfig) -> Result<(), Box<dyn Error>> {
        let text = TIMED.replace("POLICY", policy);
        let topology = weir_core::topology::parse("t.yaml", &text).map_err(|errors| errors.render())?;
        let partitions = [("orders", 1), ("refunds", 1), ("out", 1)].map(|(name, count)| (name.into(), count));
        self.thread = StreamThread::new(Arc::new(topology), partitions.into(), config, Box::new(Supplier));
        Ok(())
    }

    /// A thread whose topology has a store, restored from topic `from`; its stores outlive it, as those on disk do.
    fn stateful(&mut self, text: &str, from: &str, config: ThreadConfig) -> Result<(), Box<dyn Error>> {
        let topology = weir_core::topology::parse("t.yaml", text).map_err(|errors| errors.render())?;
        let partitions = [("orders", 2), ("customers", 2), ("out", 1), ("app-counts-changelog", 2)];
        let partitions = partitions.map(|(name, count)| (name.into(), count));
        let stores = Stores {
            supplier: Box::new(self.kept.clone()),
            topic_ids: BTreeMap::from([(from.into(), self.topic_id.clone())]),
            age_max_ms: AGE_MAX_MS,
        };
        self.thread =
            StreamThread::new(Arc::new(topology), partitions.into(), config, Box::new(Supplier)).with_stores(stores);
        Ok(())
    }

    fn merged(&mut self, config: ThreadConfig) -> Result<(), Box<dyn Error>> {
        let topology = weir_core::topology::parse("t.yaml", MERGED).map_err(|errors| errors.render())?;
        let partitions = [("orders", 1), ("returns", 1), ("out", 1)].map(|(name, count)| (name.into(), count));
        self.thread = StreamThread::new(Arc::new(topology), partitions.into(), config, Box::new(Supplier));
        Ok(())
    }

    fn replayed(&self, command: &Command) -> Result<Event, Box<dyn Error>> {
        let mut args = command.consume_args();
        let partition = partition(args.next_pos().unwrap_or_default())?;
        let (next, end) = (args.take_key("next").unwrap_or("0").parse()?, args.take_key("end").unwrap_or("0").parse()?);
        let restarted = args.take_key("restarted").is_some();
        let mut rows = RecordBatch::default();
        while let Some(count) = args.next_pos() {
            // What the engine writes for a count of `k`: its timestamp, and eight bytes of the count.
            let key = if count == "garbage" { vec![9] } else { weir_core::state::keys::key_value(b"k") };
            let mut value = Vec::new();
            weir_core::state::keys::push_time(&mut value, 1000);
            value.extend_from_slice(&count.parse::<i64>().unwrap_or_default().to_le_bytes());
            rows.push(next - 1, 0, Some(&key), Some(&value), &[]);
        }
        Ok(Event::Replayed { partition, rows, next, end, restarted })
    }

    /// Rows of a topic as [`Runner::fetch`] makes them, the last of them before `next`.
    fn reread(command: &Command) -> Result<Event, Box<dyn Error>> {
        let mut args = command.consume_args();
        let partition = partition(args.next_pos().unwrap_or_default())?;
        let (next, end) = (args.take_key("next").unwrap_or("0").parse()?, args.take_key("end").unwrap_or("0").parse()?);
        let mut values = Vec::new();
        while let Some(value) = args.next_pos() {
            values.push(value);
        }
        let mut rows = RecordBatch::default();
        for (value, offset) in values.iter().zip(next - values.len() as i64..) {
            rows.push(offset, 1000 + offset, Some(b"k"), Some(value.as_bytes()), &[]);
        }
        Ok(Event::Replayed { partition, rows, next, end, restarted: false })
    }

    fn new(policy: &str, config: ThreadConfig) -> Result<Self, Box<dyn Error>> {
        let text = TOPOLOGY.replace("POLICY", policy);
        let topology = weir_core::topology::parse("t.yaml", &text).map_err(|errors| errors.render())?;
        let partitions = [("orders", 2), ("out", 3), ("app-deployments", 1)].map(|(name, count)| (name.into(), count));
        let thread = StreamThread::new(Arc::new(topology), partitions.into(), config, Box::new(Supplier));
        Ok(Self {
            thread,
            now: WallTime(0),
            ends: BTreeMap::new(),
            revision: 0,
            kept: Kept::default(),
            topic_id: "first".to_owned(),
        })
    }

    fn fetch(&mut self, command: &Command) -> Result<Event, Box<dyn Error>> {
        let mut args = words(command);
        let partition = partition(args.next().ok_or("which partition?")?)?;
        let next = self.ends.entry(partition.clone()).or_default();
        let mut batch = RecordBatch::default();
        for value in args {
            batch.push(*next, 1000 + *next, Some(b"k"), Some(value.as_bytes()), &[]);
            *next += 1;
        }
        Ok(Event::Fetched(partition, batch))
    }

    fn event(&mut self, command: &Command) -> Result<Event, Box<dyn Error>> {
        let positions = || words(command).map(position).collect::<Result<Vec<_>, _>>();
        let partitions = || words(command).map(partition).collect::<Result<Vec<_>, _>>();
        Ok(match command.name.as_str() {
            "assigned" | "recovered" => {
                let positions = positions()?;
                for position in &positions {
                    self.ends.insert(position.partition.clone(), position.offset);
                }
                if command.name == "assigned" { Event::Assigned(positions) } else { Event::Recovered(positions) }
            }
            "revoked" => Event::Revoked(partitions()?),
            "lost" => Event::Lost(partitions()?),
            "fetched" => self.fetch(command)?,
            "ended" => Event::Ended(partitions()?.into_iter().next().ok_or("of which partition?")?),
            "replayed" => self.replayed(command)?,
            "reread" => Self::reread(command)?,
            "committed" => {
                let ends = positions()?.into_iter().map(|end| (end.partition, end.offset)).collect();
                Event::Committed(Committed { ends })
            }
            "commit-failed" => Event::CommitFailed(CommitError::Unknown("timed out".into())),
            "broken" => Event::Broken("queue lost".into()),
            "deployed" => {
                self.revision += 1;
                let version = words(command).next().ok_or("which version?")?;
                let node = words(command).nth(1).unwrap_or("details");
                Event::Deployed { node: node.into(), version: version.into(), revision: self.revision }
            }
            "tick" => Event::Tick,
            "shutdown" => Event::Shutdown,
            other => return Err(format!("unknown command {other}").into()),
        })
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "new" => {
                let rows = args.take_key("rows").map_or(Ok(4096), str::parse)?;
                let bytes = args.take_key("bytes").map_or(Ok(1 << 20), str::parse)?;
                let policy = args.next_pos().unwrap_or("fail");
                let config =
                    ThreadConfig { batch_rows_max: rows, transaction_bytes_max: bytes, ..ThreadConfig::default() };
                *self = Self::new(policy, config)?;
                return Ok(String::new());
            }
            "merged" => {
                let idle =
                    args.take_key("idle").map_or(Ok(0), |idle| if idle == "off" { Ok(-1) } else { idle.parse() })?;
                self.merged(ThreadConfig { task_idle_ms_max: idle, ..ThreadConfig::default() })?;
                return Ok(String::new());
            }
            "timed" => {
                let rows = args.take_key("rows").map_or(Ok(4096), str::parse)?;
                let config = ThreadConfig { batch_rows_max: rows, ..ThreadConfig::default() };
                let policy = args.next_pos().unwrap_or("fail").to_owned();
                self.timed(&policy, config)?;
                return Ok(String::new());
            }
            "stateful" => {
                let text = STATEFUL.replace("EMIT", args.next_pos().unwrap_or("commit"));
                self.stateful(&text, "app-counts-changelog", ThreadConfig::default())?;
                return Ok(String::new());
            }
            "table" => {
                self.stateful(TABLE, "customers", ThreadConfig::default())?;
                return Ok(String::new());
            }
            "changelog-remade" => {
                self.topic_id = "second".to_owned();
                return Ok(String::new());
            }
            "after" => {
                let millis: i64 = args.next_pos().unwrap_or("0").trim_end_matches("ms").parse()?;
                self.now.0 += millis * 1000;
                return Ok(String::new());
            }
            "rewind" => {
                let to = position(args.next_pos().unwrap_or_default())?;
                self.ends.insert(to.partition, to.offset);
                return Ok(String::new());
            }
            _ => {}
        }
        let event = self.event(command)?;
        let effects = self.thread.step(event, self.now);
        let mut text = String::new();
        for effect in &effects {
            writeln!(text, "{}", shown(effect))?;
        }
        for task in self.thread.tasks() {
            let next: Vec<_> =
                task.positions.iter().map(|(partition, offset)| format!("{partition}@{offset}")).collect();
            writeln!(text, "  {} {} next {}", task.task, task.state.as_str(), next.join(" "))?;
        }
        Ok(text)
    }
}

fn words(command: &Command) -> impl Iterator<Item = &str> {
    command.args.iter().filter_map(|argument| match argument {
        Argument::Positional(word) => Some(word.as_str()),
        _ => None,
    })
}

fn partition(text: &str) -> Result<TopicPartition, Box<dyn Error>> {
    let (topic, number) = text.split_once('/').ok_or_else(|| format!("{text}: not topic/partition"))?;
    Ok(TopicPartition::new(topic, number.parse()?))
}

/// `orders/0@5`; `orders/0@-`: nothing was ever committed, start at 0.
fn position(text: &str) -> Result<Position, Box<dyn Error>> {
    let (at, offset) = text.split_once('@').ok_or_else(|| format!("{text}: not topic/partition@offset"))?;
    let metadata = (offset != "-").then(|| r#"{"streamTime":null,"revision":1}"#.to_owned());
    Ok(Position { partition: partition(at)?, offset: offset.parse().unwrap_or(0), metadata })
}

fn shown(effect: &Effect) -> String {
    let list = |partitions: &[TopicPartition]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match effect {
        Effect::Begin => "begin".into(),
        Effect::Produce(outgoing) => produced(outgoing),
        Effect::Commit(positions) => {
            let at = |position: &Position| {
                format!("{}@{} {}", position.partition, position.offset, position.metadata.as_deref().unwrap_or("-"))
            };
            format!("commit {}", positions.iter().map(at).collect::<Vec<_>>().join(" "))
        }
        Effect::Abort => "abort".into(),
        Effect::Recover => "recover".into(),
        Effect::Seek(to) => {
            format!("seek {}", to.iter().map(|(at, offset)| format!("{at}@{offset}")).collect::<Vec<_>>().join(" "))
        }
        Effect::Pause(partitions) => format!("pause {}", list(partitions)),
        Effect::Resume(partitions) => format!("resume {}", list(partitions)),
        Effect::Release(partitions) => format!("release {}", list(partitions)),
        Effect::Replay(from) => {
            let at = |replay: &Replay| {
                format!("{}@{}", replay.partition, replay.from.map_or("-".to_owned(), |from| from.to_string()))
            };
            format!("replay {}", from.iter().map(at).collect::<Vec<_>>().join(" "))
        }
        Effect::StopReplay(partitions) => format!("stop-replay {}", list(partitions)),
        Effect::Purge(before) => {
            let at = before.iter().map(|(at, offset)| format!("{at}@{offset}"));
            format!("purge {}", at.collect::<Vec<_>>().join(" "))
        }
        Effect::Report(report) => reported(report),
        Effect::Stop => "stop".into(),
    }
}

fn produced(outgoing: &Outgoing) -> String {
    let text = |cell: Option<&[u8]>| cell.map_or("null".into(), |cell| String::from_utf8_lossy(cell).into_owned());
    let rows = (0..outgoing.rows.len()).map(|row| match outgoing.topic.as_str() {
        "out" => text(outgoing.rows.values.get(row)),
        topic if topic.ends_with("-changelog") => {
            let escaped = |cell: Option<&[u8]>| cell.map_or("null".to_owned(), |cell| cell.escape_ascii().to_string());
            format!("{}={}", escaped(outgoing.rows.keys.get(row)), escaped(outgoing.rows.values.get(row)))
        }
        _ => format!("{} {}", text(outgoing.rows.keys.get(row)), text(outgoing.rows.values.get(row))),
    });
    format!("produce {}: {}", outgoing.topic, rows.collect::<Vec<_>>().join(" "))
}

fn reported(report: &Report) -> String {
    let at = report.at.as_ref().map_or(String::new(), |(partition, offset)| format!(" {partition}@{offset}"));
    let what = match &report.kind {
        ReportKind::RestoreBegan { changelogs } => {
            let at = changelogs.iter().map(|(at, from)| match from {
                ReplayFrom::Kept(next) => format!("{at}@{next}"),
                ReplayFrom::NothingKept => format!("{at}@-"),
                ReplayFrom::NotInLog => format!("{at}@- (not in the log)"),
                ReplayFrom::OtherTopic => format!("{at}@- (another topic)"),
                ReplayFrom::TooOld { age_ms, .. } => format!("{at}@- ({age_ms} ms old)"),
            });
            format!("restoring {}", at.collect::<Vec<_>>().join(" "))
        }
        ReportKind::Restored => "restored".to_owned(),
        ReportKind::Skipped { reason, message, .. } => format!("skipped {reason}: {message}"),
        ReportKind::Failed { reason, message, .. } => format!("failed {reason}: {message}"),
        ReportKind::Peeked { shown, unshown } => format!("peeked {shown} (+{unshown})"),
        ReportKind::Retried { reason, message } => format!("retried {reason}: {message}"),
        ReportKind::Swapped { from, to } => format!("swapped {from} -> {to}"),
        ReportKind::SwapRefused { to, message } => format!("swap to {to} refused: {message}"),
    };
    format!("report {} {}{at} {what}", report.task, report.node)
}

#[test]
fn the_thread_keeps_its_laws() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/thread");
    let mut paths: Vec<_> = std::fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} scripts", paths.len());
    for path in paths {
        println!("{}", path.display());
        let mut runner = Runner::new("fail", ThreadConfig::default()).unwrap();
        goldenscript::run(&mut runner, &path).unwrap();
    }
}
