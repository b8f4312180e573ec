//! A run from a seed: rows, deployments, threads that die and come back, power that goes at any operation of the disk.

use weir_core::record::TopicPartition;
use weir_core::thread::ThreadConfig;
use weir_testing::broker::StoredRow;
use weir_testing::simulation::{Violation, plugin, topologies};
use weir_testing::{PerMille, Random};

use super::Planted;
use super::machine::{Crash, FILLER, Machine};

/// Steps in which anything may go wrong.
const STEPS: usize = 200;
/// Rows that each input partition gets at most.
const ROWS_MAX: i64 = 60;
/// Operations of the disk within which the power goes, once that is decided.
const OPERATIONS_MAX: usize = 60;
/// The same while the machine comes up.
const OPENING_OPERATIONS_MAX: usize = 12;
/// Longer than a sealed segment.
const FILLER_BYTES: usize = 1_500;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub rows: u64,
    pub crashes: u64,
    pub power_failures: u64,
    pub commits: u64,
    pub restored: u64,
}

pub(super) struct World {
    random: Random,
    machine: Machine,
    /// Some runs fill segments with what is cleaned.
    cleaned: bool,
    rows: u64,
    crashes: u64,
    power_failures: u64,
}

impl World {
    pub fn new(seed: u64, planted: Planted, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let generated = topologies::generate(&mut random);
        let config = ThreadConfig {
            commit_interval_us: random.within(1_000, 10_000) as i64,
            batch_rows_max: random.within(1, 12),
            transaction_bytes_max: if random.chance(PerMille(200)) { 400 } else { 1 << 20 },
            // Off, only for rows that are there, and for some that are still to come.
            task_idle_ms_max: [-1, 0, 3][random.below(3)],
        };
        let segment_bytes = random.within(1_000, 12_000) as u64;
        let threads = random.within(1, 3);
        let machine = Machine::new(generated, config, (segment_bytes, threads)).with(planted, traced);
        let cleaned = random.chance(PerMille(500));
        Self { random, machine, cleaned, rows: 0, crashes: 0, power_failures: 0 }
    }

    /// Runs it to its end.
    pub fn run(mut self) -> (Result<(), Violation>, Figures, Vec<String>) {
        let done = self.live();
        let trace = self.machine.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default();
        let figures = Figures {
            rows: self.rows,
            crashes: self.crashes,
            power_failures: self.power_failures,
            commits: self.machine.figures.commits,
            restored: self.machine.figures.restored,
        };
        (done, figures, trace)
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.machine.open()?;
        for node in self.machine.plugins() {
            let revision = self.machine.deployments.len() as u64 + 1;
            self.machine.deploy(node, plugin::version(revision, false));
        }
        for _ in 0..STEPS {
            self.act()?;
            // Now and then the threads go on for a while without a disk.
            if self.machine.is_done_for() && self.random.chance(PerMille(500)) {
                self.crash(PerMille(300))?;
            }
        }
        // The power stays from now on.
        self.crash(PerMille(0))?;
        self.machine.drain()
    }

    fn act(&mut self) -> Result<(), Violation> {
        let index = self.random.below(self.machine.threads.len());
        match self.random.below(100) {
            0..63 => {
                self.machine.advance(self.random.below(3_000) as i64);
                self.machine.turn(index);
            }
            63..79 => self.feed(),
            79..83 => self.machine.advance(self.random.within(1, 20_000) as i64),
            83..86 => self.machine.disk.power_goes_after(1 + self.random.below(OPERATIONS_MAX) as u64),
            86 => self.machine.disk.full_after(Some(self.random.below(2_000) as u64)),
            87..89 => self.crash(PerMille(300))?,
            89 => self.machine.threads[index] = None,
            90 => self.replace(index),
            91..94 => self.deploy(),
            94..97 => self.machine.hear(index),
            97 => self.shut_down(index),
            _ => self.wake_zombie(),
        }
        Ok(())
    }

    fn feed(&mut self) {
        let Self { random, machine, .. } = self;
        if self.cleaned {
            let row = StoredRow { timestamp: 0, key: None, value: Some(vec![0; FILLER_BYTES]), headers: Vec::new() };
            machine.append(&TopicPartition::new(FILLER, 0), 1, |_| row.clone());
        }
        let topic = random.choose(&machine.generated.inputs).clone();
        let partition = random.below(machine.generated.partitions[&topic] as usize) as i32;
        let (at, count) = (TopicPartition::new(&topic, partition), random.within(1, 12));
        if machine.end(&at) + count as i64 <= ROWS_MAX {
            self.rows += count as u64;
            machine.append(&at, count, |offset| topologies::input_row(random, &topic, partition, offset));
        }
    }

    fn deploy(&mut self) {
        let nodes = self.machine.plugins();
        if nodes.is_empty() {
            return;
        }
        let node = self.random.choose(&nodes).clone();
        let mended = self.random.chance(PerMille(400));
        let revision = self.machine.deployments.len() as u64 + 1;
        self.machine.deploy(node, plugin::version(revision, mended));
    }

    fn replace(&mut self, index: usize) {
        let old = self.machine.threads[index].take();
        self.machine.zombies.extend(old);
    }

    fn wake_zombie(&mut self) {
        if self.machine.zombies.is_empty() {
            return;
        }
        let index = self.random.below(self.machine.zombies.len());
        let Machine { zombies, figures, .. } = &mut self.machine;
        if !zombies[index].turn(figures) {
            zombies.swap_remove(index);
        }
    }

    fn shut_down(&mut self, index: usize) {
        let Machine { threads, figures, .. } = &mut self.machine;
        let Some(thread) = &mut threads[index] else { return };
        if !thread.shut_down(figures) {
            threads[index] = None;
        }
    }

    /// `again`: how often the power goes once more while the machine comes up.
    fn crash(&mut self, again: PerMille) -> Result<(), Violation> {
        self.crashes += 1;
        self.power_failures += u64::from(self.machine.disk.died_in().is_some());
        let how = if self.random.chance(PerMille(250)) { Crash::Kill } else { Crash::PowerFailure };
        let mut luck = Random::new(self.random.next());
        self.machine.crash(how, &mut self.random, &mut |disk| {
            if luck.chance(again) {
                disk.power_goes_after(1 + luck.below(OPENING_OPERATIONS_MAX) as u64);
            }
        })
    }
}
