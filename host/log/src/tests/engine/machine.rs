//! One machine: a simulated disk, the log on it, the stores beside it, and threads that run the engine's own loop on the log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{Client, Connector, Digest, NewTopic};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};
use weir_core::thread::{Clock, ThreadConfig, WallTime};
use weir_core::topology::NodeName;
use weir_testing::broker::StoredRow;
use weir_testing::simulation::checkers::{judge, undrained};
use weir_testing::simulation::topologies::{APPLICATION, DEPLOYMENTS, Generated};
use weir_testing::simulation::{self, Deployment, Figures, History, Host, Plan, Trace, Violation, plugin};

use super::Planted;
use super::witness::{Acknowledged, Witness};
use crate::disk::sim::{Random as Luck, SimDisk};
use crate::tests::model::open;
use crate::{EmbeddedLog, LogConnector};

/// A topic that nobody reads and that keeps nothing: segments full of it are cleaned.
pub(super) const FILLER: &str = "filler";
/// Rounds within which all that was fed must be taken: far more than any run needs.
const DRAIN_ROUNDS_MAX: usize = 2_000;
/// Rows that one read brings at most.
const READ_ROWS_MAX: usize = 1_000;

#[derive(Clone)]
struct SharedClock(Rc<Cell<i64>>);

impl Clock for SharedClock {
    fn now(&self) -> WallTime {
        WallTime(self.0.get())
    }
}

/// How a machine comes to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// All that was written is there.
    Kill,
    /// What was not synced is there, or torn, or gone.
    PowerFailure,
}

pub(super) struct Machine {
    pub generated: Generated,
    pub config: ThreadConfig,
    pub segment_bytes: u64,
    pub disk: SimDisk,
    pub threads: Vec<Option<Host>>,
    /// Threads that were replaced, and live.
    pub zombies: Vec<Host>,
    pub deployments: Vec<Deployment>,
    pub figures: Figures,
    pub trace: Trace,
    /// The operations in which the power went again while the last crash was recovered from.
    pub died_again: Vec<&'static str>,
    log: Option<Arc<EmbeddedLog>>,
    stores: simulation::Disk,
    acknowledged: Rc<RefCell<Acknowledged>>,
    planted: Planted,
    now_us: Rc<Cell<i64>>,
    lives: u64,
}

pub(super) fn broken<T>(law: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { law, what })
}

impl Machine {
    pub fn new(generated: Generated, config: ThreadConfig, (segment_bytes, threads): (u64, usize)) -> Self {
        Self {
            generated,
            config,
            segment_bytes,
            disk: SimDisk::default(),
            threads: (0..threads).map(|_| None).collect(),
            zombies: Vec::new(),
            deployments: Vec::new(),
            figures: Figures::default(),
            trace: None,
            died_again: Vec::new(),
            log: None,
            stores: simulation::Disk::default(),
            acknowledged: Rc::default(),
            planted: Planted::Nothing,
            now_us: Rc::default(),
            lives: 0,
        }
    }

    pub fn with(mut self, planted: Planted, traced: bool) -> Self {
        match planted {
            Planted::Nothing => {}
            Planted::InDisk(plant) => plant(&self.disk),
            Planted::InEngine(bug) => self.stores = simulation::Disk::new(Some(bug)),
        }
        self.planted = planted;
        self.trace = traced.then(Rc::default);
        self
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{} us: {}", self.now_us.get(), what()));
        }
    }

    pub fn advance(&self, micros: i64) {
        self.now_us.set(self.now_us.get() + micros);
    }

    /// The disk or the log takes no more.
    pub fn is_done_for(&self) -> bool {
        self.disk.died_in().is_some() || self.log.as_ref().is_some_and(|log| log.state().failed.is_some())
    }

    fn connector(&self, log: &Arc<EmbeddedLog>) -> LogConnector {
        let topics = self.generated.topology.source_topics().cloned().collect();
        LogConnector { log: log.clone(), application: APPLICATION.to_owned(), topics }
    }

    fn client(&self) -> Option<Arc<dyn Client>> {
        self.log.as_ref().map(|log| self.connector(log).client())
    }

    /// Opens the log and holds what lies in it against the laws. False: the power went meanwhile.
    pub fn open(&mut self) -> Result<bool, Violation> {
        let log = match open(&self.disk, self.segment_bytes) {
            Ok(log) => log,
            Err(_) if self.disk.died_in().is_some() => return Ok(false),
            Err(error) => return broken("a log can be opened after any crash", error.to_string()),
        };
        self.log = Some(log);
        let Some(client) = self.client() else { return Ok(false) };
        for topic in self.topics() {
            if let Err(error) = client.create_topic(&topic) {
                self.log = None;
                if self.disk.died_in().is_some() {
                    return Ok(false);
                }
                return broken("a topic can be created after any crash", error.to_string());
            }
        }
        self.tell(|| "the log is open".to_owned());
        self.check()?;
        Ok(true)
    }

    /// What was acknowledged is there, and what is there is what should be.
    pub fn check(&self) -> Result<(), Violation> {
        let Some(client) = self.client() else { return Ok(()) };
        self.acknowledged.borrow().check(&*client)?;
        judge(&self.generated, &LogHistory(client))
    }

    fn topics(&self) -> Vec<NewTopic> {
        let stores = &self.generated.topology.stores;
        let changelogs = stores.iter().filter_map(|store| store.changelog);
        let mut compacted: Vec<&TopicName> =
            changelogs.map(|topic| &self.generated.topology.topic(topic).name).collect();
        let deployments = TopicName::from(DEPLOYMENTS);
        compacted.push(&deployments);
        let topic = |(name, partitions): (&TopicName, &i32)| NewTopic {
            name: name.clone(),
            partitions: *partitions,
            compacted: compacted.contains(&name),
            settings: BTreeMap::new(),
        };
        let mut topics: Vec<NewTopic> = self.generated.partitions.iter().map(topic).collect();
        let settings = [("retention.bytes".to_owned(), "0".to_owned())].into();
        topics.push(NewTopic { name: FILLER.into(), partitions: 1, compacted: false, settings });
        topics
    }

    /// A turn of thread `index`, which is started where there is none.
    pub fn turn(&mut self, index: usize) {
        if self.threads[index].is_none() {
            self.threads[index] = self.start(index);
            return;
        }
        let now_us = self.now_us.get();
        if self.threads[index].as_ref().is_some_and(|thread| thread.asleep_until_us > now_us) {
            return;
        }
        self.tell(|| format!("thread {index} turns"));
        let Some(thread) = &mut self.threads[index] else { return };
        if !thread.turn(&mut self.figures) {
            self.threads[index] = None;
        }
    }

    fn start(&mut self, index: usize) -> Option<Host> {
        let log = self.log.as_ref()?;
        self.lives += 1;
        let transport = self.connector(log).transport(index).ok()?;
        let bug = match self.planted {
            Planted::InEngine(bug) => Some(bug),
            _ => None,
        };
        let plan = Plan {
            generated: &self.generated,
            config: self.config,
            bug,
            trace: &self.trace,
            disk: self.stores.clone(),
            transport: Box::new(Witness::new(transport, self.acknowledged.clone())),
            clock: Box::new(SharedClock(self.now_us.clone())),
        };
        let name = format!("thread{index}.{}", self.lives);
        self.tell(|| format!("{name} starts"));
        Some(Host::start(name, plan, &self.deployments))
    }

    pub fn hear(&mut self, index: usize) {
        let Some(thread) = &mut self.threads[index] else { return };
        if !thread.hear(&self.deployments, &mut self.figures) {
            self.threads[index] = None;
        }
    }

    pub fn deploy(&mut self, node: NodeName, version: Digest) {
        let revision = self.deployments.len() as u64 + 1;
        self.tell(|| format!("deploy {version} at {node}, revision {revision}"));
        self.deployments.push(Deployment { node, version, revision });
    }

    pub fn plugins(&self) -> Vec<NodeName> {
        let nodes = self.generated.topology.nodes.iter();
        nodes.filter(|node| node.plugin().is_some()).map(|node| node.name.clone()).collect()
    }

    /// Where the next row of a partition comes to lie.
    pub fn end(&self, at: &TopicPartition) -> i64 {
        self.client().and_then(|client| client.offsets(at).ok()).map_or(0, |(_, end)| end)
    }

    /// Appends rows that `make` gives for the offsets from the partition's end on.
    pub fn append(&self, at: &TopicPartition, count: usize, mut make: impl FnMut(i64) -> StoredRow) {
        let (Some(client), end) = (self.client(), self.end(at)) else { return };
        let mut batch = RecordBatch::default();
        (end..end + count as i64).for_each(|offset| make(offset).push_to(&mut batch, offset));
        if let Ok(offsets) = client.append(at, &batch) {
            self.acknowledged.borrow_mut().appended(at, &offsets);
        }
    }

    /// Everything that runs is gone, and the disk keeps what it keeps; comes up again once the power stays.
    pub fn crash(
        &mut self,
        how: Crash,
        random: &mut weir_testing::Random,
        again: &mut dyn FnMut(&SimDisk),
    ) -> Result<(), Violation> {
        let mut luck = Luck(random.next());
        self.tell(|| format!("{how:?} in {:?}", self.disk.died_in()));
        self.stop();
        self.stores.crash(random);
        self.died_again.clear();
        loop {
            self.disk = match how {
                Crash::Kill => self.disk.process_kill(),
                Crash::PowerFailure => self.disk.power_cycle(&mut luck),
            };
            again(&self.disk);
            if self.open()? {
                return Ok(());
            }
            self.died_again.extend(self.disk.died_in());
            self.tell(|| format!("the power goes again, in {:?}", self.disk.died_in()));
        }
    }

    fn stop(&mut self) {
        self.threads.iter_mut().for_each(|thread| *thread = None);
        self.zombies.clear();
        self.log = None;
    }

    /// Every plugin is mended, every thread is up: now all must be taken.
    pub fn drain(&mut self) -> Result<(), Violation> {
        self.tell(|| "no more faults".to_owned());
        for node in self.plugins() {
            let revision = self.deployments.len() as u64 + 1;
            self.deploy(node, plugin::version(revision, true));
        }
        for round in 0..DRAIN_ROUNDS_MAX {
            for index in 0..self.threads.len() {
                self.hear(index);
                self.turn(index);
            }
            self.advance(1_000);
            let Some(client) = self.client() else { break };
            if round % 8 == 7 && undrained(&self.generated, &LogHistory(client)).is_none() {
                break;
            }
        }
        let left = self.client().and_then(|client| undrained(&self.generated, &LogHistory(client)));
        if let Some((at, last)) = left {
            return broken("every row is taken in the end", format!("{at} ends at {last}"));
        }
        if self.figures.not_started > 0 {
            return broken("a task runs what is deployed", "a task stopped though every version starts".to_owned());
        }
        self.check()
    }
}

/// What the log holds, for the laws.
struct LogHistory(Arc<dyn Client>);

impl History for LogHistory {
    fn committed_rows(&self, at: &TopicPartition) -> Vec<(i64, StoredRow)> {
        let Ok((mut offset, end)) = self.0.offsets(at) else { return Vec::new() };
        let mut rows = Vec::new();
        while offset < end {
            let (batch, next) = self.0.read(at, offset, READ_ROWS_MAX, Duration::ZERO).unwrap();
            assert!(next > offset, "reading goes on");
            rows.extend((0..batch.len()).map(|row| (batch.offsets[row], StoredRow::of_batch(&batch, row))));
            offset = next;
        }
        rows
    }

    fn last_row(&self, at: &TopicPartition) -> Option<i64> {
        self.0.offsets(at).ok().filter(|(begin, end)| begin < end).map(|(_, end)| end - 1)
    }

    fn position(&self, at: &TopicPartition) -> i64 {
        let committed = self.0.committed(std::slice::from_ref(at)).unwrap();
        committed.first().map_or(0, |position| position.offset)
    }
}
