//! The engine's state, time and windows under the test driver: batches, restarts and aborts that no result may show.
#![allow(missing_docs, reason = "tests are named as sentences")]

mod joins;
mod ledger;
mod lines;
mod operators;
mod plain;
mod stream_joins;
mod tables;
mod topologies;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use weir_core::state::StoreEntry;
use weir_core::thread::ReportKind;
use weir_core::topology::{StoreKind, parse};
use weir_testing::{Commits, DriverError, Options, Random, TestRecord, TopologyTestDriver};

use ledger::Ledgers;
use topologies::{Line, OUTPUTS, script, topology};

/// What is done between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    Restart(usize),
    Abort(usize),
    RestartEverywhere,
    AbortEverywhere,
}

/// All that a script leaves.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    outputs: BTreeMap<String, Vec<TestRecord>>,
    stores: BTreeMap<String, Vec<StoreEntry>>,
}

fn run(yaml: &str, script: &[Line], commits: Commits, rows: usize, between: Between) -> Result<Outcome, DriverError> {
    let options = Options { batch_rows_max: rows, commits, supplier: Box::new(Ledgers), ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(yaml, options)?;
    for (place, line) in script.iter().enumerate() {
        match between {
            Between::Restart(at) if at == place => driver.restart()?,
            Between::Abort(at) if at == place => driver.abort()?,
            Between::RestartEverywhere => driver.restart()?,
            Between::AbortEverywhere => driver.abort()?,
            _ => {}
        }
        match line {
            Line::Pipe(topic, record) => driver.create_input_topic(topic)?.pipe_input(record.clone())?,
            Line::Advance(ms) => driver.advance_wall_clock_time(Duration::from_millis(*ms))?,
            Line::Commit => driver.commit()?,
        }
    }
    let mut outputs = BTreeMap::new();
    for topic in OUTPUTS {
        outputs.insert(topic.to_owned(), driver.create_output_topic(topic)?.read_records_to_list());
    }
    let mut stores = BTreeMap::new();
    let topology = parse("t.yaml", yaml).map_err(|diagnostics| DriverError::File(Box::new(diagnostics)))?;
    for store in topology.stores {
        let entries = match store.kind {
            StoreKind::KeyValue { .. } => driver.get_key_value_store(&store.name)?.all()?,
            StoreKind::Window { .. } => driver.get_window_store(&store.name)?.all()?,
            StoreKind::Session { .. } => driver.get_session_store(&store.name)?.all()?,
            _ => continue,
        };
        stores.insert(store.name, entries);
    }
    for report in driver.reports() {
        assert!(!matches!(report.kind, ReportKind::Failed { .. }), "{report:?}");
    }
    Ok(Outcome { outputs, stores })
}

fn same(yaml: &str, script: &[Line], place: usize) -> Result<(), TestCaseError> {
    for commits in [Commits::EachRecord, Commits::Chosen] {
        let plain = run(yaml, script, commits, 1, Between::Nothing);
        let plain = plain.map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        for rows in [1, 3, usize::MAX] {
            let ways = [
                Between::Nothing,
                Between::Restart(place),
                Between::Abort(place),
                Between::RestartEverywhere,
                Between::AbortEverywhere,
            ];
            for between in ways {
                let other = run(yaml, script, commits, rows, between);
                let other = other.map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
                prop_assert_eq!(&plain, &other, "{:?}, batches of {}, {:?}\n{}", commits, rows, between, yaml);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn no_result_shows_batches_restarts_or_aborts(seed in any::<u64>(), lines in 1..40_usize, place in 0..40_usize) {
        let mut random = Random::new(seed);
        let yaml = topology(&mut random);
        let script = script(&mut random, lines);
        same(&yaml, &script, place % script.len())?;
    }
}
