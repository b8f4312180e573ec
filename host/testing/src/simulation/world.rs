use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use weir_core::record::TopicPartition;
use weir_core::thread::ThreadConfig;
use weir_core::topology::NodeName;

use super::checkers::{self, Checker, Violation};
use super::disk::Disk;
use super::host::{Deployment, Host, Plan, SimClock};
use super::planted::{Bug, Trace};
use super::topologies::{self, APPLICATION, Generated};
use super::{Outcome, plugin};
use crate::broker::{BrokerConfig, Faults, Protocol, SimBroker, SimConnector};
use crate::random::{PerMille, Random};

/// Steps in which anything may go wrong.
const STEPS: usize = 160;
/// Rows that each input partition gets at most.
const ROWS_MAX: i64 = 60;
/// Rounds after the last fault within which all must be taken: far more than any run needs.
const DRAIN_ROUNDS_MAX: usize = 2000;

/// Longer than any transaction stays open.
const SETTLE_US: i64 = 1_000_000;

/// What a run did, for people who ask whether it did anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "counts of what their names say")]
pub struct Figures {
    pub rows: u64,
    pub commits: u64,
    pub commits_refused: u64,
    pub commits_unknown: u64,
    pub commits_fenced: u64,
    pub broken: u64,
    pub crashes: u64,
    pub zombies: u64,
    pub shutdowns: u64,
    pub deployments: u64,
    pub skipped: u64,
    pub failed: u64,
    pub retried: u64,
    pub swapped: u64,
    pub refused: u64,
    pub not_started: u64,
    pub restored: u64,
}

/// One run, from its seed.
pub struct World {
    random: Random,
    broker: SimBroker,
    generated: Generated,
    config: ThreadConfig,
    bug: Option<Bug>,
    /// A host that is down is none.
    hosts: Vec<Option<Host>>,
    /// Each host's; a replacement on another machine has a new one.
    disks: Vec<Disk>,
    /// Hosts that were given up for dead, and replaced, and live.
    zombies: Vec<Host>,
    lives: u64,
    deployments: Vec<Deployment>,
    fed: BTreeMap<TopicPartition, i64>,
    checkers: Vec<Box<dyn Checker>>,
    figures: Figures,
    trace: Trace,
}

fn faults(random: &mut Random) -> Faults {
    let mut often = |most: u64| {
        let some = random.chance(PerMille(500));
        PerMille(if some { random.next() % (most + 1) } else { 0 })
    };
    Faults {
        commit_refused: often(150),
        commit_lost: often(150),
        commit_unanswered: often(200),
        end_delayed: often(150),
        end_repeated: often(200),
        abort_failed: often(300),
        begin_failed: often(100),
        produce_broken: often(60),
        fetch_empty: often(300),
        poll_failed: often(100),
        poll_broken: often(60),
        recover_failed: often(900),
        expelled: often(60),
        end_delay_us_max: 1 + (random.next() % 150_000) as i64,
    }
}

impl World {
    /// The world of `seed`, at its beginning.
    #[must_use]
    pub fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let generated = topologies::generate(&mut random);
        let mut config = BrokerConfig {
            seed: random.next(),
            protocol: if random.chance(PerMille(500)) { Protocol::Eager } else { Protocol::Cooperative },
            rotates: random.chance(PerMille(500)),
            session_timeout_us: random.within(15_000, 60_000) as i64,
            transaction_timeout_us: random.within(40_000, 400_000) as i64,
            aborts_expelled: random.chance(PerMille(500)),
            fetch_rows_max: random.within(1, 20),
            poll_us: 0,
            ..BrokerConfig::default()
        };
        if let Some(bug) = bug {
            bug.configure(&mut config);
        }
        let broker = SimBroker::new(config);
        for (topic, partitions) in &generated.partitions {
            broker.create_topic(topic, *partitions);
        }
        broker.set_faults(faults(&mut random));
        let config = ThreadConfig {
            commit_interval_us: random.within(1000, 20_000) as i64,
            batch_rows_max: random.within(1, 12),
            transaction_bytes_max: if random.chance(PerMille(200)) { 400 } else { 1 << 20 },
            // Off, only for rows that are there, and for some that are still to come.
            task_idle_ms_max: [-1, 0, 3][random.below(3)],
        };
        let mut world = Self {
            hosts: (0..random.within(2, 3)).map(|_| None).collect(),
            disks: Vec::new(),
            checkers: checkers::all(&generated),
            trace: traced.then(|| Rc::new(RefCell::new(Vec::new()))),
            fed: BTreeMap::new(),
            deployments: Vec::new(),
            zombies: Vec::new(),
            lives: 0,
            figures: Figures::default(),
            random,
            broker,
            generated,
            config,
            bug,
        };
        world.disks = world.hosts.iter().map(|_| Disk::new(bug)).collect();
        for node in world.plugins() {
            world.deploy(node, false);
        }
        world
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        self.tell(|| format!("{:#?}", self.generated.topology));
        let violation = self.live().err();
        let trace = self.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default();
        Outcome { figures: self.figures, violation, trace }
    }

    fn live(&mut self) -> Result<(), Violation> {
        for _ in 0..STEPS {
            self.act();
            self.check()?;
        }
        self.drain()?;
        for checker in &mut self.checkers {
            checker.at_end(&self.broker)?;
        }
        Ok(())
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{} us: {}", self.broker.now_us(), what()));
        }
    }

    fn act(&mut self) {
        let index = self.random.below(self.hosts.len());
        match self.random.below(100) {
            0..60 => self.turn(index),
            60..76 => self.feed(),
            76..82 => self.broker.advance(self.random.within(1, 20_000) as i64),
            82..86 => self.crash(index),
            86..90 => self.put_to_sleep(index),
            90..94 => {
                let nodes = self.plugins();
                if !nodes.is_empty() {
                    let node = self.random.choose(&nodes).clone();
                    let mended = self.random.chance(PerMille(400));
                    self.deploy(node, mended);
                }
            }
            94..98 => self.hear(index),
            98 => self.shut_down(index),
            _ => self.wake_zombie(),
        }
    }

    fn plugins(&self) -> Vec<NodeName> {
        let nodes = self.generated.topology.nodes.iter();
        nodes.filter(|node| node.plugin().is_some()).map(|node| node.name.clone()).collect()
    }

    fn deploy(&mut self, node: NodeName, mended: bool) {
        self.figures.deployments += 1;
        let revision = self.deployments.len() as u64 + 1;
        let before = self.deployments.iter().rev().find(|deployment| deployment.node == node);
        // Sometimes a version comes back.
        let version = match before {
            Some(before) if !mended && self.random.chance(PerMille(200)) => before.version.clone(),
            _ => plugin::version(revision, mended),
        };
        self.tell(|| format!("deploy {version} at {node}, revision {revision}"));
        self.deployments.push(Deployment { node, version, revision });
    }

    fn start(&mut self, index: usize) {
        self.lives += 1;
        let topics: Vec<_> = self.generated.topology.source_topics().cloned().collect();
        let connector = SimConnector::new(&self.broker, index, APPLICATION, &topics);
        let plan = Plan {
            generated: &self.generated,
            config: self.config,
            bug: self.bug,
            trace: &self.trace,
            disk: self.disks[index].clone(),
            transport: Box::new(connector.sim_transport(0)),
            clock: Box::new(SimClock(self.broker.clone())),
        };
        let host = Host::start(format!("host{index}.{}", self.lives), plan, &self.deployments);
        self.tell(|| format!("{} starts", host.name));
        self.hosts[index] = Some(host);
    }

    fn turn(&mut self, index: usize) {
        self.broker.advance(self.random.below(3000) as i64);
        let now_us = self.broker.now_us();
        let Some(host) = &mut self.hosts[index] else { return self.start(index) };
        if host.asleep_until_us > now_us {
            return;
        }
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{now_us} us: {} turns", host.name));
        }
        if !host.turn(&mut self.figures) {
            self.hosts[index] = None;
        }
    }

    fn feed(&mut self) {
        let topic = self.random.choose(&self.generated.inputs).clone();
        let partition = self.random.below(self.generated.partitions[&topic] as usize) as i32;
        let at = TopicPartition::new(&topic, partition);
        for _ in 0..self.random.within(1, 12) {
            let next = self.fed.entry(at.clone()).or_insert(0);
            if *next == ROWS_MAX {
                return;
            }
            let row = topologies::input_row(&mut self.random, &topic, partition, *next);
            *next += 1;
            self.figures.rows += 1;
            self.broker.append(&at, row);
        }
    }

    fn crash(&mut self, index: usize) {
        let Some(host) = self.hosts[index].take() else { return };
        if self.random.chance(PerMille(300)) {
            self.figures.zombies += 1;
            self.tell(|| format!("{} is given up for dead", host.name));
            self.zombies.push(host);
            self.disks[index] = Disk::new(self.bug);
        } else {
            self.figures.crashes += 1;
            self.tell(|| format!("{} crashes", host.name));
            drop(host);
            self.disks[index].crash(&mut self.random);
        }
    }

    fn put_to_sleep(&mut self, index: usize) {
        let until_us = self.broker.now_us() + self.random.within(5000, 120_000) as i64;
        if let Some(host) = &mut self.hosts[index] {
            host.asleep_until_us = until_us;
        }
        self.tell(|| format!("host{index} stalls until {until_us}"));
    }

    fn hear(&mut self, index: usize) {
        let Some(host) = &mut self.hosts[index] else { return };
        if !host.hear(&self.deployments, &mut self.figures) {
            self.hosts[index] = None;
        }
    }

    fn shut_down(&mut self, index: usize) {
        self.tell(|| format!("host{index} is asked to stop"));
        let Some(host) = &mut self.hosts[index] else { return };
        self.figures.shutdowns += 1;
        if !host.shut_down(&mut self.figures) {
            self.hosts[index] = None;
        }
    }

    fn wake_zombie(&mut self) {
        if self.zombies.is_empty() {
            return;
        }
        let index = self.random.below(self.zombies.len());
        self.tell(|| format!("{} wakes", self.zombies[index].name));
        if !self.zombies[index].turn(&mut self.figures) {
            self.zombies.swap_remove(index);
        }
    }

    fn check(&mut self) -> Result<(), Violation> {
        if let Some(rule) = self.broker.take_broken_rules().into_iter().next() {
            return Err(Violation { law: "callers keep the rules of the ports", what: rule });
        }
        if self.figures.not_started > 0 {
            let what = "a task stopped though every deployed version starts".to_owned();
            return Err(Violation { law: "a task runs what is deployed", what });
        }
        for committed in self.broker.take_commits() {
            self.tell(|| format!("committed {:?} by {}", committed.positions, committed.producer));
            for checker in &mut self.checkers {
                checker.on_committed(&committed, &self.broker)?;
            }
        }
        Ok(())
    }

    /// The faults stop, every plugin is mended, every host is up: now all must be taken.
    fn drain(&mut self) -> Result<(), Violation> {
        self.tell(|| "no more faults".to_owned());
        self.broker.set_faults(Faults::default());
        for node in self.plugins() {
            self.deploy(node, true);
        }
        for round in 0..DRAIN_ROUNDS_MAX {
            for index in 0..self.hosts.len() {
                self.hear(index);
                self.turn(index);
                self.check()?;
            }
            self.wake_zombie();
            self.check()?;
            if round % 8 == 7 && checkers::undrained(&self.generated, &self.broker).is_none() {
                // What dead hosts left open hides what lies behind it: only once that is aborted is all to be seen.
                self.broker.advance(SETTLE_US);
                self.check()?;
                if checkers::undrained(&self.generated, &self.broker).is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}
