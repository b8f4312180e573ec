//! Gives a stream thread its transport's events and does its effects. Production, tests and the simulation run this loop.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Effect, Event, Report, StreamThread, WallTime};
use crate::ports::{CommitError, Incoming, Transport, TransportError};
use crate::record::TopicPartition;

/// Tells the time. The only clock that the engine's loop sees.
pub trait Clock {
    /// Now; never earlier than before.
    fn now(&self) -> WallTime;
}

/// Hears what happens in a stream thread: for logs, metrics and status.
pub trait Observer {
    /// Something about a row, a task or a plugin.
    fn report(&mut self, report: Report);
    /// A transaction was committed; it took so many microseconds from asking to answer.
    fn committed(&mut self, took_us: i64);
    /// A commit did not return as done; the thread recovers.
    fn commit_failed(&mut self, error: &CommitError);
    /// The transaction broke, or a recovery did not succeed yet; the thread recovers, again if need be.
    fn broken(&mut self, error: &TransportError);
}

/// What a turn of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Go on with the next turn.
    Running,
    /// The thread has stopped: nothing is open.
    Stopped,
}

/// A stream thread on its transport.
pub struct Driver {
    thread: StreamThread,
    transport: Box<dyn Transport>,
    clock: Box<dyn Clock>,
    /// A recovery was asked for and has not succeeded yet.
    recovering: bool,
}

/// An effect that needs an answer, or that the transport refused, comes back as an event.
type Answer = Result<Option<Event>, TransportError>;

impl Driver {
    /// A driver of `thread` on `transport`.
    #[must_use]
    pub fn new(thread: StreamThread, transport: Box<dyn Transport>, clock: Box<dyn Clock>) -> Self {
        Self { thread, transport, clock, recovering: false }
    }

    /// The thread, for its status.
    #[must_use]
    pub fn thread(&self) -> &StreamThread {
        &self.thread
    }

    /// Waits for what comes, for at most `wait_max`, and does all that follows from it.
    ///
    /// # Errors
    /// [`TransportError::Retriable`]: call again after a back-off. Else the thread is done for; nothing is lost.
    pub fn turn(&mut self, wait_max: Duration, observer: &mut dyn Observer) -> Result<Turn, TransportError> {
        if self.recovering {
            return self.recover(observer);
        }
        let incoming = match self.transport.poll(self.wait(wait_max)) {
            Ok(incoming) => incoming,
            Err(TransportError::Abortable(cause)) => return self.send(Event::Broken(cause), observer),
            Err(error) => return Err(error),
        };
        if incoming.is_empty() {
            return self.send(Event::Tick, observer);
        }
        let mut stale = Stale::default();
        for incoming in incoming {
            let event = match incoming {
                Incoming::Assigned(positions) => Event::Assigned(positions),
                Incoming::Revoked(partitions) => Event::Revoked(partitions),
                Incoming::Lost(partitions) => Event::Lost(partitions),
                Incoming::Fetched(partition, _) | Incoming::Ended(partition) if stale.holds(&partition) => continue,
                Incoming::Fetched(partition, batch) => Event::Fetched(partition, batch),
                Incoming::Ended(partition) => Event::Ended(partition),
                Incoming::Replayed { partition, .. } if stale.replays.contains(&partition) => continue,
                Incoming::Replayed { partition, rows, next, end, restarted } => {
                    Event::Replayed { partition, rows, next, end, restarted }
                }
            };
            if self.run(event, observer, &mut stale)? == Turn::Stopped {
                return Ok(Turn::Stopped);
            }
        }
        Ok(Turn::Running)
    }

    /// Gives the thread an event of the host's: a deployment, the wish to stop.
    ///
    /// # Errors
    /// See [`Driver::turn`].
    pub fn send(&mut self, event: Event, observer: &mut dyn Observer) -> Result<Turn, TransportError> {
        self.run(event, observer, &mut Stale::default())
    }

    fn wait(&self, wait_max: Duration) -> Duration {
        let Some(deadline) = self.thread.deadline() else { return wait_max };
        let micros = deadline.micros_since(self.clock.now());
        wait_max.min(Duration::from_micros(micros.unsigned_abs()))
    }

    fn run(&mut self, event: Event, observer: &mut dyn Observer, stale: &mut Stale) -> Result<Turn, TransportError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let effects = self.thread.step(event, self.clock.now());
            let mut broken = false;
            for effect in effects {
                // What else was to be done for a broken transaction is void; what is said to the group or to people is not.
                if broken && effect.is_transactional() {
                    continue;
                }
                if matches!(effect, Effect::Stop) {
                    return Ok(Turn::Stopped);
                }
                stale.note(&effect);
                if let Some(answer) = self.perform(effect, observer)? {
                    let breaks = matches!(answer, Event::Broken(_));
                    if !(breaks && broken) {
                        events.push_back(answer);
                    }
                    broken |= breaks;
                }
            }
        }
        Ok(Turn::Running)
    }

    fn perform(&mut self, effect: Effect, observer: &mut dyn Observer) -> Answer {
        let done = match effect {
            Effect::Begin => self.transport.begin(),
            Effect::Produce(outgoing) => self.transport.produce(&outgoing),
            Effect::Commit(positions) => return Ok(Some(self.commit(&positions, observer))),
            Effect::Abort => self.transport.abort(),
            Effect::Recover => {
                self.recovering = true;
                return self.try_recover(observer);
            }
            Effect::Seek(to) => self.transport.seek(&to),
            Effect::Pause(partitions) => self.transport.pause(&partitions),
            Effect::Resume(partitions) => self.transport.resume(&partitions),
            Effect::Release(partitions) => self.transport.release(&partitions),
            Effect::Replay(from) => self.transport.replay(&from),
            Effect::StopReplay(partitions) => self.transport.stop_replay(&partitions),
            Effect::Purge(before) => self.transport.purge(&before),
            Effect::Report(report) => {
                observer.report(report);
                Ok(())
            }
            Effect::Stop => Ok(()),
        };
        match done {
            Ok(()) => Ok(None),
            Err(TransportError::Fatal(cause)) => Err(TransportError::Fatal(cause)),
            Err(error) => {
                observer.broken(&error);
                Ok(Some(Event::Broken(error.to_string())))
            }
        }
    }

    fn commit(&mut self, positions: &[crate::ports::Position], observer: &mut dyn Observer) -> Event {
        let since = self.clock.now();
        match self.transport.commit(positions) {
            Ok(committed) => {
                observer.committed(self.clock.now().micros_since(since));
                Event::Committed(committed)
            }
            Err(error) => {
                observer.commit_failed(&error);
                Event::CommitFailed(error)
            }
        }
    }

    fn recover(&mut self, observer: &mut dyn Observer) -> Result<Turn, TransportError> {
        match self.transport.recover() {
            Ok(positions) => {
                self.recovering = false;
                self.send(Event::Recovered(positions), observer)
            }
            Err(TransportError::Abortable(cause)) => Err(TransportError::Retriable(cause)),
            Err(error) => Err(error),
        }
    }

    /// The first try is made at once; if it does not succeed, each turn tries again and its caller backs off.
    fn try_recover(&mut self, observer: &mut dyn Observer) -> Answer {
        match self.transport.recover() {
            Ok(positions) => {
                self.recovering = false;
                Ok(Some(Event::Recovered(positions)))
            }
            Err(TransportError::Fatal(cause)) => Err(TransportError::Fatal(cause)),
            Err(error) => {
                observer.broken(&error);
                Ok(None)
            }
        }
    }
}

/// Partitions whose rows of this poll were fetched before a seek, or were read for a replay that has begun anew.
#[derive(Default)]
struct Stale {
    all: bool,
    partitions: Vec<TopicPartition>,
    replays: Vec<TopicPartition>,
}

impl Stale {
    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Recover => self.all = true,
            Effect::Seek(to) => self.partitions.extend(to.iter().map(|(partition, _)| partition.clone())),
            Effect::Replay(from) => self.replays.extend(from.iter().map(|replay| replay.partition.clone())),
            Effect::StopReplay(partitions) => self.replays.extend(partitions.iter().cloned()),
            _ => {}
        }
    }

    fn holds(&self, partition: &TopicPartition) -> bool {
        self.all || self.partitions.contains(partition)
    }
}
