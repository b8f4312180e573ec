use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::{CommitError, CreateFault, Digest, Processor, ProcessorSupplier, TransportError};
use weir_core::task::TaskId;
use weir_core::thread::{
    Clock, Driver, Event, Observer, Report, ReportKind, Stores, StreamThread, ThreadConfig, Turn, WallTime,
};
use weir_core::topology::NodeName;

use super::disk::Disk;
use super::planted::{Bug, Tap, Trace};
use super::plugin::SimSupplier;
use super::topologies::{APPLICATION, Generated};
use super::world::Figures;
use crate::broker::{SimBroker, SimConnector};

/// A deployment, as every host comes to hear of it.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) node: NodeName,
    pub(super) version: Digest,
    pub(super) revision: u64,
}

/// One host that runs: the loop of production on a simulated broker and clock.
pub(super) struct Host {
    pub(super) name: String,
    driver: Driver,
    supplier: Rc<RefCell<SimSupplier>>,
    bug: Option<Bug>,
    /// Deployments that it has heard of.
    heard: usize,
    /// It does nothing before this time.
    pub(super) asleep_until_us: i64,
    trace: Trace,
}

struct SimClock(SimBroker);

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
            ReportKind::RestoreBegan { .. } => return,
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

/// What hosts are started with.
pub(super) struct Plan<'a> {
    pub(super) broker: &'a SimBroker,
    pub(super) generated: &'a Generated,
    pub(super) config: ThreadConfig,
    pub(super) bug: Option<Bug>,
    pub(super) trace: &'a Trace,
    pub(super) disk: Disk,
}

impl Host {
    /// Host `index`, started; it has heard of all `deployments`.
    pub(super) fn start(index: usize, life: u64, plan: &Plan<'_>, deployments: &[Deployment]) -> Self {
        let topology = &plan.generated.topology;
        let topics: Vec<_> = topology.source_topics().cloned().collect();
        let connector = SimConnector::new(plan.broker, index, APPLICATION, &topics);
        let name = format!("host{index}.{life}");
        let tap = Tap::new(name.clone(), connector.sim_transport(0), plan.bug, plan.trace.clone());
        let supplier = Rc::new(RefCell::new(SimSupplier::with(plan.bug)));
        let shared = Box::new(SharedSupplier(supplier.clone()));
        let thread = StreamThread::new(Arc::clone(topology), plan.generated.partitions.clone(), plan.config, shared);
        let stores = Stores { supplier: Box::new(plan.disk.clone()), topic_ids: BTreeMap::new(), age_max_ms: i64::MAX };
        let thread = thread.with_stores(stores);
        let driver = Driver::new(thread, Box::new(tap), Box::new(SimClock(plan.broker.clone())));
        let (bug, trace) = (plan.bug, plan.trace.clone());
        let mut host = Self { name, driver, supplier, bug, heard: 0, asleep_until_us: 0, trace };
        // Nothing is assigned yet, so nothing can go wrong with it.
        let _ = host.hear(deployments, &mut Figures::default());
        host
    }

    /// A turn of its loop. False: it has ended.
    pub(super) fn turn(&mut self, figures: &mut Figures) -> bool {
        let mut ear = Ear { figures, trace: &self.trace };
        let turned = self.driver.turn(Duration::from_millis(1), &mut ear);
        self.goes_on(&turned)
    }

    /// Tells it of deployments that it has not heard of. False: it has ended.
    pub(super) fn hear(&mut self, deployments: &[Deployment], figures: &mut Figures) -> bool {
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
    pub(super) fn shut_down(&mut self, figures: &mut Figures) -> bool {
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
