use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{
    Aggregator, Changes, Checkpoint, CommitError, CreateFault, Digest, Extractor, Processor, ProcessorSupplier,
    TransportError,
};
use weir_core::record::{TopicName, TopicPartition};
use weir_core::state::{StoreEntry, StoreView};
use weir_core::task::{Committed, TaskId};
use weir_core::thread::{
    Clock, Driver, Event, Observer, Report, ReportKind, Stores, StreamThread, ThreadConfig, Turn, WallTime,
};
use weir_core::topology::{NodeName, StoreIndex, StoreKind, Topology};

use super::log::Log;
use super::stores::{Opened, TestStores};
use super::transport::TestTransport;
use super::{Commits, DriverError, Options, TestRecord};

/// Turns and commits of one call: beyond it the topology feeds itself for ever.
const TURNS_MAX: usize = 1_000_000;

/// The engine's loop on a [`Log`], with what a test holds of it.
pub(super) struct Engine {
    topology: Arc<Topology>,
    config: ThreadConfig,
    pub(super) commits: Commits,
    versions: BTreeMap<NodeName, Digest>,
    supplier: Rc<RefCell<Box<dyn ProcessorSupplier>>>,
    pub(super) log: Rc<RefCell<Log>>,
    opened: Rc<RefCell<Opened>>,
    clock: Rc<Cell<i64>>,
    driver: Driver,
    ear: Ear,
    /// Rows were put into changelogs that the stores have not taken in.
    seeded: bool,
}

struct TestClock(Rc<Cell<i64>>);

impl Clock for TestClock {
    fn now(&self) -> WallTime {
        WallTime(self.0.get())
    }
}

struct SharedSupplier(Rc<RefCell<Box<dyn ProcessorSupplier>>>);

impl ProcessorSupplier for SharedSupplier {
    fn create(&mut self, node: &NodeName, version: &Digest, task: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        self.0.borrow_mut().create(node, version, task)
    }

    fn create_aggregator(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Aggregator>, CreateFault> {
        self.0.borrow_mut().create_aggregator(node, version, task)
    }

    fn create_extractor(
        &mut self,
        node: &NodeName,
        version: &Digest,
        task: TaskId,
    ) -> Result<Box<dyn Extractor>, CreateFault> {
        self.0.borrow_mut().create_extractor(node, version, task)
    }
}

/// What the engine says of itself.
#[derive(Default)]
struct Ear {
    reports: Vec<Report>,
    failed: Option<Report>,
}

impl Observer for Ear {
    fn report(&mut self, report: Report) {
        if matches!(report.kind, ReportKind::Failed { .. } | ReportKind::SwapRefused { .. }) {
            self.failed.get_or_insert_with(|| report.clone());
        }
        self.reports.push(report);
    }

    fn committed(&mut self, _: i64) {}

    fn commit_failed(&mut self, _: &CommitError) {}

    fn broken(&mut self, _: &TransportError) {}
}

impl Engine {
    pub(super) fn new(topology: Topology, options: Options) -> Result<Self, DriverError> {
        let topology = Arc::new(topology);
        let Options { batch_rows_max, commits, wall_clock_ms, versions, supplier } = options;
        let names = topology.topics.iter().map(|topic| topic.name.clone());
        let sources: BTreeSet<TopicName> = topology.source_topics().cloned().collect();
        // A row at a time, so that each is committed before the next is fetched.
        let fetch = if commits == Commits::EachRecord { 1 } else { usize::MAX };
        let log = Rc::new(RefCell::new(Log::new(names, sources, fetch)));
        let kept = |index: &StoreIndex| topology.store(*index).restored_from().is_none();
        let kept = (0..topology.stores.len()).map(StoreIndex).filter(kept).collect();
        let opened = Rc::new(RefCell::new(Opened { kept, ..Opened::default() }));
        let clock = Rc::new(Cell::new(wall_clock_ms.saturating_mul(1_000)));
        let supplier = Rc::new(RefCell::new(supplier));
        let config = ThreadConfig {
            batch_rows_max,
            commit_interval_us: i64::MAX,
            transaction_bytes_max: usize::MAX,
            // Rows are taken in the order in which they were piped in.
            // The driver itself gives rows in the order in which they were written.
            task_idle_ms_max: -1,
        };
        let driver = start(&topology, config, &supplier, &log, &opened, &clock);
        let ear = Ear::default();
        let mut engine =
            Self { topology, config, commits, versions, supplier, log, opened, clock, driver, ear, seeded: false };
        engine.deploy()?;
        Ok(engine)
    }

    /// Each node runs its plugin, and what the log has waiting is taken in.
    fn deploy(&mut self) -> Result<(), DriverError> {
        let topology = self.topology.clone();
        for (index, node) in topology.nodes.iter().enumerate() {
            let Some(plugin) = node.plugin() else { continue };
            let version = self.versions.get(&node.name).cloned();
            let version = version.unwrap_or_else(|| Digest::from(plugin.plugin.as_str()));
            self.send(Event::Deployed { node: node.name.clone(), version, revision: index as u64 + 1 })?;
        }
        // The assignment, the first positions and the restore; rows wait until they are asked for.
        while self.driver.thread().tasks().next().is_none() || self.log.borrow().is_replaying() {
            self.turn()?;
        }
        self.check()
    }

    fn send(&mut self, event: Event) -> Result<(), DriverError> {
        self.driver.send(event, &mut self.ear)?;
        Ok(())
    }

    fn turn(&mut self) -> Result<(), DriverError> {
        match self.driver.turn(Duration::ZERO, &mut self.ear)? {
            Turn::Running => Ok(()),
            Turn::Stopped => Err(DriverError::Closed),
        }
    }

    fn check(&mut self) -> Result<(), DriverError> {
        self.ear.failed.take().map_or(Ok(()), |report| Err(DriverError::Failed(Box::new(report))))
    }

    /// Takes what waits through the topology. The transaction stays open.
    pub(super) fn drain(&mut self) -> Result<(), DriverError> {
        self.take_in_seeds()?;
        for _ in 0..TURNS_MAX {
            if !self.log.borrow().has_news() {
                return self.check();
            }
            self.turn()?;
            if self.commits == Commits::EachRecord {
                self.end()?;
            }
        }
        Err(DriverError::Restless(TURNS_MAX))
    }

    /// Commits what is open; what that brings back into the topology, too, until it rests.
    pub(super) fn commit(&mut self) -> Result<(), DriverError> {
        for _ in 0..TURNS_MAX {
            self.drain()?;
            if !self.log.borrow().is_open() {
                return Ok(());
            }
            self.end()?;
        }
        Err(DriverError::Restless(TURNS_MAX))
    }

    fn end(&mut self) -> Result<(), DriverError> {
        if self.log.borrow().is_open() {
            self.send(Event::Commit)?;
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, by: Duration) -> Result<(), DriverError> {
        self.commit()?;
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.clock.set(self.clock.get().saturating_add(by_us));
        self.send(Event::Tick)?;
        self.commit()
    }

    pub(super) fn restart(&mut self) -> Result<(), DriverError> {
        self.drain()?;
        self.start_anew()
    }

    fn start_anew(&mut self) -> Result<(), DriverError> {
        self.seeded = false;
        self.log.borrow_mut().connect();
        self.driver = start(&self.topology, self.config, &self.supplier, &self.log, &self.opened, &self.clock);
        self.deploy()
    }

    pub(super) fn abort(&mut self) -> Result<(), DriverError> {
        self.drain()?;
        let mut log = self.log.borrow_mut();
        (log.breaks, log.refuses) = (true, true);
        drop(log);
        self.turn()?;
        self.check()
    }

    pub(super) fn close(&mut self) -> Result<(), DriverError> {
        self.commit()?;
        self.send(Event::Shutdown)
    }

    pub(super) fn reports(&self) -> &[Report] {
        &self.ear.reports
    }

    pub(super) fn has_topic(&self, name: &TopicName) -> Result<(), DriverError> {
        if self.log.borrow().has_topic(name) {
            return Ok(());
        }
        Err(DriverError::NoSuchTopic(name.to_string(), self.topology.application.clone()))
    }

    /// The store of a name, if it is one of `kinds`.
    pub(super) fn find(&self, name: &str, is_kind: fn(StoreKind) -> bool) -> Result<(), DriverError> {
        let (_, view) = self.view(name)?;
        let kind = view.store().kind;
        if is_kind(kind) { Ok(()) } else { Err(DriverError::OtherKind(name.to_owned(), kind)) }
    }

    fn view(&self, name: &str) -> Result<(StoreIndex, StoreView<'_>), DriverError> {
        let found = self.topology.find_store(name);
        let index =
            found.ok_or_else(|| DriverError::NoSuchStore(name.to_owned(), self.topology.application.clone()))?;
        Ok((index, StoreView::new(&self.topology, index)))
    }

    /// The entries of a store, as of the last commit.
    pub(super) fn entries(&mut self, name: &str) -> Result<Vec<StoreEntry>, DriverError> {
        self.take_in_seeds()?;
        let (_, view) = self.view(name)?;
        let task = TaskId { subtopology: view.store().subtopology, partition: 0 };
        let opened = self.opened.borrow();
        let Some(rows) = opened.tasks.get(&task) else { return Ok(Vec::new()) };
        Ok(view.all(rows.as_ref(), self.stream_time(task.subtopology))?)
    }

    /// Stream time of the task as of its last commit.
    fn stream_time(&self, subtopology: usize) -> Option<i64> {
        let log = self.log.borrow();
        let of = |index: &weir_core::topology::TopicIndex| {
            let position = log.position(&TopicPartition::new(&self.topology.topic(*index).name, 0));
            Committed::read(position.metadata.as_deref()).stream_time
        };
        self.topology.subtopologies[subtopology].topics.iter().filter_map(of).max()
    }

    /// Puts an entry into a store and its changelog.
    pub(super) fn seed(&mut self, name: &str, entry: &StoreEntry) -> Result<(), DriverError> {
        if !self.seeded {
            self.commit()?;
        }
        let (index, view) = self.view(name)?;
        let rows = view.encode(entry).map_err(DriverError::Unseedable)?;
        let store = view.store();
        if let Some(source) = store.source {
            let topic = &self.topology.topic(source).name;
            let message = format!("`{name}` is restored from topic `{topic}`: pipe rows in there");
            return Err(DriverError::Unseedable(message));
        }
        if let Some(changelog) = store.changelog {
            let topic = self.topology.topic(changelog).name.clone();
            for (key, value) in rows {
                let row = TestRecord { timestamp: 0, key: Some(key), value, headers: Vec::new() };
                self.log.borrow_mut().append(&topic, row);
            }
        } else {
            let task = TaskId { subtopology: store.subtopology, partition: 0 };
            if let Some(task) = self.opened.borrow().tasks.get(&task) {
                let writes = rows.into_iter().map(|(key, value)| (index, key, value)).collect();
                task.apply(&Changes { writes, checkpoint: Checkpoint::default() })?;
            }
        }
        // The task knows what it has read before: it begins anew with what is there now.
        self.seeded = true;
        Ok(())
    }

    pub(super) fn take_in_seeds(&mut self) -> Result<(), DriverError> {
        if self.seeded { self.start_anew() } else { Ok(()) }
    }
}

fn start(
    topology: &Arc<Topology>,
    config: ThreadConfig,
    supplier: &Rc<RefCell<Box<dyn ProcessorSupplier>>>,
    log: &Rc<RefCell<Log>>,
    opened: &Rc<RefCell<Opened>>,
    clock: &Rc<Cell<i64>>,
) -> Driver {
    let partitions = topology.topics.iter().map(|topic| (topic.name.clone(), 1)).collect();
    let supplier = Box::new(SharedSupplier(supplier.clone()));
    let stores =
        Stores { supplier: Box::new(TestStores(opened.clone())), topic_ids: BTreeMap::new(), age_max_ms: i64::MAX };
    let thread = StreamThread::new(topology.clone(), partitions, config, supplier).with_stores(stores);
    Driver::new(thread, Box::new(TestTransport(log.clone())), Box::new(TestClock(clock.clone())))
}
