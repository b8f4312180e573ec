//! Bugs to be found: each sits between the engine and what it stands on, so that no switch exists in what runs elsewhere.
//!
//! To the checkers an engine that would do this looks the same. A checker that no bug wakes is worth nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use weir_core::ports::{
    CommitError, Committed, Incoming, Outgoing, Position, Transport, TransportError, TransportLayer,
};
use weir_core::record::{RecordBatch, TopicPartition};

use crate::broker::BrokerConfig;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A commit holds the position of one task, though several wrote.
    OmitsPositions,
    /// Partitions are lost, and what was open is committed.
    CommitsWhenLost,
    /// The position goes past the row at which a task stopped.
    PassesPoison,
    /// Instances that ran in a transaction that did not happen live on.
    KeepsInstances,
    /// A commit of unknown end is taken for one that did not happen.
    RepeatsUnknown,
    /// A commit of unknown end is taken for one that happened.
    TrustsUnknown,
    /// A producer whose end may still be on its way begins again.
    KeepsDisturbed,
    /// A deployment takes hold in the middle of a transaction.
    SwapsInMidTransaction,
    /// Rows before a poison row are dropped with it.
    DropsBeforePoison,
    /// A new owner does not wait for positions that an open transaction may still move.
    ReadsUnstable,
    /// Commits are not held against the group.
    Unfenced,
    /// What is to be fetched again after an abort is not.
    ForgetsSeek,
    /// A store takes in all of a transaction but its last write.
    LosesAWrite,
    /// At a crash a checkpoint is on disk that the rows before it are not.
    TearsAnApply,
    /// The end of a changelog is taken to be further on than it is.
    EndsTooFar,
    /// A replay leaves out a row.
    SkipsAChange,
    /// Rows are committed, and then the positions.
    SplitsCommit,
    /// A store does not keep how far time has come.
    ForgetsTimes,
    /// A replay leaves out deletions: windows that were closed are open again.
    ReopensWindows,
    /// A new version finds none of what the one before it kept.
    DropsStateAtSwap,
    /// An aggregator goes on from what it remembers, not from what it is given.
    FoldsInMemory,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::OmitsPositions,
        Self::CommitsWhenLost,
        Self::PassesPoison,
        Self::KeepsInstances,
        Self::RepeatsUnknown,
        Self::TrustsUnknown,
        Self::KeepsDisturbed,
        Self::SwapsInMidTransaction,
        Self::DropsBeforePoison,
        Self::ReadsUnstable,
        Self::Unfenced,
        Self::ForgetsSeek,
        Self::LosesAWrite,
        Self::TearsAnApply,
        Self::EndsTooFar,
        Self::SkipsAChange,
        Self::SplitsCommit,
        Self::ForgetsTimes,
        Self::ReopensWindows,
        Self::DropsStateAtSwap,
        Self::FoldsInMemory,
    ];

    pub(super) fn configure(self, config: &mut BrokerConfig) {
        match self {
            Self::KeepsDisturbed => config.replaces_disturbed = false,
            Self::ReadsUnstable => config.waits_for_stable = false,
            Self::Unfenced => config.fences = false,
            _ => {}
        }
    }
}

/// Calls of transports, a line each; none: nobody reads them.
pub type Trace = Option<Rc<RefCell<Vec<String>>>>;

/// A transport with a bug before it, if any, and its calls told.
pub(super) struct Tap {
    name: String,
    inner: Box<dyn Transport>,
    bug: Option<Bug>,
    trace: Trace,
    lost: bool,
    unknown: bool,
    paused: BTreeSet<TopicPartition>,
    committed: BTreeMap<TopicPartition, Position>,
    held: Option<Outgoing>,
}

impl Tap {
    pub(super) fn new(name: String, inner: Box<dyn Transport>, bug: Option<Bug>, trace: Trace) -> Self {
        let (paused, committed) = (BTreeSet::new(), BTreeMap::new());
        Self { name, inner, bug, trace, lost: false, unknown: false, paused, committed, held: None }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("  {}: {}", self.name, what()));
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        self.held.take().map_or(Ok(()), |held| self.inner.produce(&held))
    }

    fn note(&mut self, positions: &[Position]) {
        self.committed.extend(positions.iter().map(|at| (at.partition.clone(), at.clone())));
    }

    fn split(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let committed = self.inner.commit(&[])?;
        self.inner.begin().map_err(|error| CommitError::Refused(error.to_string()))?;
        self.inner.commit(positions)?;
        Ok(committed)
    }

    fn bend(&self, positions: &[Position]) -> Vec<Position> {
        let mut bent = positions.to_vec();
        if self.has(Bug::OmitsPositions) {
            bent.truncate(1);
        }
        if self.has(Bug::PassesPoison) {
            let poisoned = bent.iter_mut().filter(|at| self.paused.contains(&at.partition));
            poisoned.for_each(|at| at.offset += 1);
        }
        bent
    }
}

/// Leaves out replayed rows.
fn leave_out(incoming: &mut Incoming, what: impl Fn(&RecordBatch, usize) -> bool) {
    if let Incoming::Replayed { rows, .. } = incoming {
        let mut fewer = RecordBatch::default();
        for row in (0..rows.len()).filter(|row| !what(rows, *row)) {
            fewer.push(rows.offsets[row], rows.timestamps[row], rows.keys.get(row), rows.values.get(row), &[]);
        }
        *rows = fewer;
    }
}

fn show(incoming: &Incoming) -> String {
    let positions =
        |all: &[Position]| all.iter().map(|at| format!("{}@{}", at.partition, at.offset)).collect::<Vec<_>>();
    match incoming {
        Incoming::Assigned(all) => format!("assigned {:?}", positions(all)),
        Incoming::Revoked(all) => format!("revoked {:?}", all.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Incoming::Lost(all) => format!("lost {:?}", all.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Incoming::Replayed { partition, next, end, .. } => format!("replayed {partition} to {next} of {end}"),
        Incoming::Fetched(partition, batch) => format!("fetched {partition} {:?}", batch.offsets),
        Incoming::Ended(partition) => format!("ended {partition}"),
    }
}

fn places(positions: &[Position]) -> Vec<String> {
    positions.iter().map(|at| format!("{}@{}", at.partition, at.offset)).collect()
}

impl TransportLayer for Tap {
    fn inner(&mut self) -> &mut dyn Transport {
        self.inner.as_mut()
    }

    fn poll(&mut self, wait: Duration) -> Result<Vec<Incoming>, TransportError> {
        self.flush()?;
        let mut result = self.inner.poll(wait);
        for incoming in result.iter_mut().flatten() {
            match self.bug {
                Some(Bug::SkipsAChange) => leave_out(incoming, |_, row| row == 0),
                Some(Bug::ReopensWindows) => leave_out(incoming, |rows, row| rows.values.get(row).is_none()),
                _ => {}
            }
        }
        self.lost = false;
        match &result {
            Ok(incoming) => {
                for incoming in incoming {
                    self.tell(|| show(incoming));
                    self.lost |= matches!(incoming, Incoming::Lost(_));
                    if let Incoming::Assigned(positions) = incoming {
                        self.note(positions);
                    }
                }
            }
            Err(error) => self.tell(|| format!("poll: {error:?}")),
        }
        result
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        let result = self.inner.begin();
        self.tell(|| format!("begin {result:?}"));
        result
    }

    fn produce(&mut self, outgoing: &Outgoing) -> Result<(), TransportError> {
        let result = if self.has(Bug::DropsBeforePoison) {
            let result = self.flush();
            self.held = Some(outgoing.clone());
            result
        } else {
            self.inner.produce(outgoing)
        };
        self.tell(|| format!("produce {} rows for {} {result:?}", outgoing.rows.len(), outgoing.topic));
        result
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        self.flush().map_err(|error| CommitError::Refused(error.to_string()))?;
        let positions = self.bend(positions);
        let mut result =
            if self.has(Bug::SplitsCommit) { self.split(&positions) } else { self.inner.commit(&positions) };
        self.tell(|| format!("commit {:?} {result:?}", places(&positions)));
        self.unknown = matches!(result, Err(CommitError::Unknown(_)));
        if self.unknown && self.has(Bug::TrustsUnknown) && self.inner.recover().is_ok() {
            result = Ok(Committed::default());
        }
        if result.is_ok() {
            self.note(&positions);
        }
        if let Ok(committed) = &mut result
            && self.has(Bug::EndsTooFar)
        {
            committed.ends.iter_mut().for_each(|(_, end)| *end += 3);
        }
        result
    }

    fn abort(&mut self) -> Result<(), TransportError> {
        self.flush()?;
        let result = if self.lost && self.has(Bug::CommitsWhenLost) {
            self.inner.commit(&[]).map(|_| ()).map_err(|error| TransportError::Abortable(error.to_string()))
        } else {
            self.inner.abort()
        };
        self.tell(|| format!("abort {result:?}"));
        result
    }

    fn recover(&mut self) -> Result<Vec<Position>, TransportError> {
        self.held = None;
        let mut positions = self.inner.recover();
        if let Ok(positions) = &mut positions
            && self.unknown
            && self.has(Bug::RepeatsUnknown)
        {
            for position in positions.iter_mut() {
                *position = self.committed.get(&position.partition).cloned().unwrap_or_else(|| position.clone());
            }
            let to: Vec<_> = positions.iter().map(|at| (at.partition.clone(), at.offset)).collect();
            self.inner.seek(&to)?;
        }
        self.tell(|| format!("recover {:?}", positions.as_deref().map(places)));
        positions
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        self.tell(|| format!("seek {to:?}"));
        if self.has(Bug::ForgetsSeek) { Ok(()) } else { self.inner.seek(to) }
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.held = None; // what a task wrote in the step that stopped it
        self.tell(|| format!("pause {partitions:?}"));
        self.paused.extend(partitions.iter().cloned());
        self.inner.pause(partitions)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.tell(|| format!("resume {partitions:?}"));
        self.paused.retain(|partition| !partitions.contains(partition));
        self.inner.resume(partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), TransportError> {
        self.tell(|| format!("release {partitions:?}"));
        self.paused.retain(|partition| !partitions.contains(partition));
        self.inner.release(partitions)
    }
}
