//! One script of a counting topology, stopped at each operation of its disk: every write, sync, truncation, creation, rename
//! and removal of a commit, of a new segment, of a cleaning, of coming up again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_core::record::{TopicName, TopicPartition};
use weir_core::thread::ThreadConfig;
use weir_core::topology::parse;
use weir_testing::Random;
use weir_testing::broker::StoredRow;
use weir_testing::simulation::topologies::{DEPLOYMENTS, Generated, input_row};
use weir_testing::simulation::{Bug, Violation};

use super::Planted;
use super::machine::{Crash, FILLER, Machine};

const TOPOLOGY: &str = "
application: sim
topics:
  in0: { key: string, value: string }
  counts0: { key: string, value: string }
stores:
  totals: { kind: key-value }
nodes:
  in: { source: in0 }
  count: { from: in, aggregate: count, emit: update, store: totals }
  out: { from: count, sink: counts0 }
";
/// Commits of the script, each of rows of one partition.
const COMMITS: i64 = 6;
const ROWS_PER_COMMIT: usize = 5;
const PARTITIONS: i32 = 2;
/// So small that the script fills some.
const SEGMENT_BYTES: u64 = 1_800;
const FILLER_BYTES: usize = 700;
/// Power failures tried at each operation: each leaves other sectors.
const FAILURES: u64 = 6;
/// Turns that come to each commit: to be assigned, to restore, to take rows, to commit.
const TURNS_PER_COMMIT: usize = 4;
/// No script has as many operations.
const OPERATIONS_MAX: u64 = 1_000;
/// Nor does coming up.
const OPENING_OPERATIONS_MAX: u64 = 50;

fn machine(planted: Planted) -> Machine {
    let topology = parse("script.yaml", TOPOLOGY).unwrap_or_else(|mistakes| panic!("{}", mistakes.render()));
    let names = ["in0", "counts0", "sim-totals-changelog"].map(TopicName::from);
    let mut partitions: BTreeMap<_, _> = names.into_iter().map(|name| (name, PARTITIONS)).collect();
    partitions.insert(DEPLOYMENTS.into(), 1);
    let generated = Generated { topology: Arc::new(topology), partitions, inputs: vec!["in0".into()] };
    let config = ThreadConfig { commit_interval_us: 1_000, batch_rows_max: 4, ..ThreadConfig::default() };
    Machine::new(generated, config, (SEGMENT_BYTES, 1)).with(planted, false)
}

/// The script, until it is done or the disk is.
fn play(machine: &mut Machine) {
    let mut random = Random::new(1);
    for commit in 0..COMMITS {
        let at = TopicPartition::new("in0", commit as i32 % PARTITIONS);
        machine.append(&at, ROWS_PER_COMMIT, |offset| input_row(&mut random, &at.topic, at.partition, offset));
        let row = StoredRow { timestamp: 0, key: None, value: Some(vec![0; FILLER_BYTES]), headers: Vec::new() };
        machine.append(&TopicPartition::new(FILLER, 0), 1, |_| row.clone());
        for _ in 0..TURNS_PER_COMMIT {
            if machine.is_done_for() {
                return;
            }
            machine.advance(600);
            machine.turn(0);
        }
    }
}

/// Plays the script on a disk whose power goes at operation `operation`, and once more at operation `again` of coming up.
/// None: there are not so many.
fn stopped_at(
    operation: u64,
    again: Option<u64>,
    (how, luck): (Crash, u64),
    planted: Planted,
) -> Result<Option<Vec<&'static str>>, Violation> {
    let mut machine = machine(planted);
    assert!(machine.open()?);
    machine.disk.power_goes_after(operation);
    play(&mut machine);
    let Some(first) = machine.disk.died_in() else { return Ok(None) };
    let mut died_in = vec![first];
    let mut again = again;
    machine.crash(how, &mut Random::new(luck), &mut |disk| {
        if let Some(operation) = again.take() {
            disk.power_goes_after(operation);
        }
    })?;
    died_in.extend(&machine.died_again);
    // What was not taken yet, and some more.
    machine.disk.power_stays();
    play(&mut machine);
    machine.drain()?;
    Ok(Some(died_in))
}

/// What each stop was in, of all stops.
fn stopped_everywhere(planted: Planted) -> Result<BTreeMap<&'static str, usize>, Violation> {
    let mut stops = BTreeMap::new();
    let kinds = std::iter::once((Crash::Kill, 0)).chain((1..=FAILURES).map(|luck| (Crash::PowerFailure, luck)));
    let kinds: Vec<_> = kinds.collect();
    for operation in 1..OPERATIONS_MAX {
        for &kind in &kinds {
            let Some(died_in) = stopped_at(operation, None, kind, planted)? else { return Ok(stops) };
            died_in.into_iter().for_each(|what| *stops.entry(what).or_default() += 1);
            for again in 1..OPENING_OPERATIONS_MAX {
                let died_in = stopped_at(operation, Some(again), kind, planted)?.unwrap_or_default();
                if died_in.len() < 2 {
                    break;
                }
                died_in.into_iter().skip(1).for_each(|what| *stops.entry(what).or_default() += 1);
            }
        }
    }
    panic!("the script has no end");
}

#[test]
fn a_crash_at_any_operation_of_a_commit_leaves_it_whole_or_not_at_all() {
    let stops = stopped_everywhere(Planted::Nothing).unwrap_or_else(|violation| panic!("{violation}"));
    println!("stopped in {stops:?}");
    let all = ["create", "remove", "rename", "sync", "sync names", "truncate", "write"];
    assert_eq!(stops.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(all), "the script has them all");
}

#[test]
fn a_commit_in_two_is_found_by_a_crash_between_them() {
    let found = stopped_everywhere(Planted::InEngine(Bug::SplitsCommit)).err();
    println!("{}", found.expect("it was not found"));
}
