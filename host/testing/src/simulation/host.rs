use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{
    Aggregator, CommitError, CreateFault, Digest, Processor, ProcessorSupplier, Transport, TransportError,
};
use weir_core::task::TaskId;
use weir_core::thread::{
    Clock, Driver, Event, Observer, Report, ReportKind, Stores, StreamThread, ThreadConfig, Turn, WallTime,
};
use weir_core::topology::NodeName;

use super::disk::Disk;
use super::planted::{Bug, Tap, Trace};
use super::plugin::SimSupplier;
use super::topologies::Generated;
use super::world::Figures;
use crate::broker::SimBroker;

/// A deployment, as every host comes to hear of it.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The node.
    pub node: NodeName,
    /// What it is to run.
    pub version: Digest,
    /// Counts deployments, from 1.
    pub revision: u64,
}

/// One host that runs: the loop of production on a simulated transport and clock.
pub struct Host {
    /// Its name in traces.
    pub name: String,
    driver: Driver,
    supplier: Rc<RefCell<SimSupplier>>,
    bug: Option<Bug>,
    /// Deployments that it has heard of.
    heard: usize,
    /// It does nothing before this time.
    pub asleep_until_us: i64,
    trace: Trace,
}

/// The broker's clock.
pub(super) struct SimClock(pub(super) SimBroker);

impl Clock for SimClock {
    fn now(&self) -> WallTime {
        WallTime(self.0.now_us())
    }
}

struct SharedSupplier(Rc<RefCell<SimSupplier>>);

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
}

struct Ear<'a> {
    figures: &'a mut Figures,
    trace: &'a Trace,
}

impl Ear<'_> {
    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace.borrow_mut().push(format!("    {}", what()));
        }
    }
}

impl Observer for Ear<'_> {
    fn report(&mut self, report: Report) {
        let count = match &report.kind {
            ReportKind::RestoreBegan { .. } | ReportKind::Peeked { .. } => return,
            ReportKind::Restored => &mut self.figures.restored,
            ReportKind::Skipped { .. } => &mut self.figures.skipped,
            ReportKind::Failed { .. } => &mut self.figures.failed,
            ReportKind::Retried { .. } => &mut self.figures.retried,
            ReportKind::Swapped { .. } => &mut self.figures.swapped,
            ReportKind::SwapRefused { .. } => &mut self.figures.refused,
        };
        *count += 1;
        if let ReportKind::Failed { reason, message, .. } = &report.kind
            && reason == "not-started"
        {
            self.figures.not_started += 1;
            self.tell(|| format!("not started: {message}"));
        }
        self.tell(|| format!("{} {} {:?} {:?}", report.task, report.node, report.at, report.kind));
    }

    fn committed(&mut self, _took_us: i64) {
        self.figures.commits += 1;
    }

    fn commit_failed(&mut self, error: &CommitError) {
        match error {
            CommitError::Refused(_) => self.figures.commits_refused += 1,
            CommitError::Unknown(_) => self.figures.commits_unknown += 1,
            CommitError::Fenced(_) => self.figures.commits_fenced += 1,
        }
    }

    fn broken(&mut self, _error: &TransportError) {
        self.figures.broken += 1;
    }
}

/// What a host is started with.
pub struct Plan<'a> {
    /// The topology that it runs.
    pub generated: &'a Generated,
    /// Of its thread.
    pub config: ThreadConfig,
    /// A bug to be found.
    pub bug: Option<Bug>,
    /// Where it tells what it does.
    pub trace: &'a Trace,
    /// Where its stores are kept.
    pub disk: Disk,
    /// Its way to the topics.
    pub transport: Box<dyn Transport>,
    /// Its clock.
    pub clock: Box<dyn Clock>,
}

impl Host {
    /// A host, started; it has heard of all `deployments`.
    #[must_use]
    pub fn start(name: String, plan: Plan<'_>, deployments: &[Deployment]) -> Self {
        let topology = &plan.generated.topology;
        let tap = Tap::new(name.clone(), plan.transport, plan.bug, plan.trace.clone());
        let supplier = Rc::new(RefCell::new(SimSupplier::with(plan.bug)));
        let shared = Box::new(SharedSupplier(supplier.clone()));
        let thread = StreamThread::new(Arc::clone(topology), plan.generated.partitions.clone(), plan.config, shared);
        let stores = Stores { supplier: Box::new(plan.disk), topic_ids: BTreeMap::new(), age_max_ms: i64::MAX };
        let thread = thread.with_stores(stores);
        let driver = Driver::new(thread, Box::new(tap), plan.clock);
        let (bug, trace) = (plan.bug, plan.trace.clone());
        let mut host = Self { name, driver, supplier, bug, heard: 0, asleep_until_us: 0, trace };
        // Nothing is assigned yet, so nothing can go wrong with it.
        let _ = host.hear(deployments, &mut Figures::default());
        host
    }

    /// A turn of its loop. False: it has ended.
    pub fn turn(&mut self, figures: &mut Figures) -> bool {
        let mut ear = Ear { figures, trace: &self.trace };
        let turned = self.driver.turn(Duration::ZERO, &mut ear);
        self.goes_on(&turned)
    }

    /// Tells it of deployments that it has not heard of. False: it has ended.
    pub fn hear(&mut self, deployments: &[Deployment], figures: &mut Figures) -> bool {
        let news = &deployments[self.heard..];
        self.heard = deployments.len();
        for Deployment { node, version, revision } in news.iter().cloned() {
            if self.bug == Some(Bug::SwapsInMidTransaction) {
                self.supplier.borrow_mut().turn_to(&node, &version);
            }
            if !self.send(Event::Deployed { node, version, revision }, figures) {
                return false;
            }
        }
        true
    }

    /// Asks it to stop. False: it has.
    pub fn shut_down(&mut self, figures: &mut Figures) -> bool {
        self.send(Event::Shutdown, figures)
    }

    fn send(&mut self, event: Event, figures: &mut Figures) -> bool {
        let mut ear = Ear { figures, trace: &self.trace };
        let turned = self.driver.send(event, &mut ear);
        self.goes_on(&turned)
    }

    fn goes_on(&self, turned: &Result<Turn, TransportError>) -> bool {
        let goes_on = matches!(turned, Ok(Turn::Running) | Err(TransportError::Retriable(_)));
        if let Some(trace) = self.trace.as_ref().filter(|_| !goes_on) {
            trace.borrow_mut().push(format!("  {}: ends: {turned:?}", self.name));
        }
        goes_on
    }
}
