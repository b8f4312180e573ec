//! Batching is an optimisation that no result may show.
#![allow(missing_docs, reason = "tests are named as sentences")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_core::ports::{Committed, Position};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};
use weir_core::thread::{Effect, Event, Report, ReportKind, StreamThread, ThreadConfig, WallTime};
use weir_core::topology::NodeKind;
use weir_testing::Random;
use weir_testing::broker::StoredRow;
use weir_testing::simulation::plugin::{SimSupplier, version};
use weir_testing::simulation::topologies::{Generated, generate, input_row};

/// A row as it leaves: where to, and all that is in it.
type Out = (String, Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// What tells a run from another: rows by output topic and task's partition, and what was said of rows and tasks.
#[derive(Debug, Default, PartialEq)]
struct Results {
    outputs: BTreeMap<(TopicName, i32), Vec<Out>>,
    reports: BTreeMap<String, Vec<String>>,
    positions: BTreeMap<TopicPartition, i64>,
}

impl Results {
    fn take(&mut self, task: i32, effects: Vec<Effect>) -> bool {
        let mut commits = false;
        for effect in effects {
            match effect {
                Effect::Produce(outgoing) => {
                    let all = self.outputs.entry((outgoing.topic.clone(), task)).or_default();
                    for row in 0..outgoing.rows.len() {
                        let headers = outgoing.rows.headers.iter().flat_map(|headers| headers.row(row));
                        all.push((
                            format!("{}/{}", outgoing.topic, outgoing.partitions[row]),
                            outgoing.rows.keys.get(row).map(<[u8]>::to_vec),
                            outgoing.rows.values.get(row).map(<[u8]>::to_vec),
                            outgoing.rows.timestamps[row],
                            headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
                        ));
                    }
                }
                Effect::Report(report) => self.report(report),
                Effect::Commit(positions) => {
                    commits = true;
                    self.positions.extend(positions.into_iter().map(|at| (at.partition, at.offset)));
                }
                _ => {}
            }
        }
        commits
    }

    fn report(&mut self, Report { task, node, at, kind, .. }: Report) {
        // Which call met a passing trap depends on the calls; what became of a row does not.
        let what = match kind {
            ReportKind::Skipped { reason, .. } => format!("{at:?} skipped: {reason}"),
            ReportKind::Failed { reason, .. } => format!("{at:?} failed: {reason}"),
            _ => return,
        };
        self.reports.entry(format!("{task} {node}")).or_default().push(what);
    }
}

/// The same events, one partition's task after the other, at a batch size.
fn results(generated: &Generated, input: &[(TopicPartition, Vec<StoredRow>)], rows_max: usize) -> Results {
    let config = ThreadConfig { batch_rows_max: rows_max, commit_interval_us: i64::MAX, ..ThreadConfig::default() };
    let supplier = Box::new(SimSupplier::default());
    let mut thread = StreamThread::new(generated.topology.clone(), generated.partitions.clone(), config, supplier);
    let mut results = Results::default();
    let mut now = 0;
    let mut step = |thread: &mut StreamThread, results: &mut Results, task: i32, event: Event| {
        now += 1;
        if results.take(task, thread.step(event, WallTime(now))) {
            let more = thread.step(Event::Committed(Committed::default()), WallTime(now));
            assert!(!results.take(task, more), "a commit follows a commit with nothing between");
        }
    };
    for (revision, node) in generated.topology.nodes.iter().enumerate() {
        if matches!(node.kind, NodeKind::Process(_)) {
            let (node, version, revision) = (node.name.clone(), version(1, false), revision as u64);
            step(&mut thread, &mut results, 0, Event::Deployed { node, version, revision });
        }
    }
    let start = |at: &TopicPartition| Position { partition: at.clone(), offset: 0, metadata: Some(String::new()) };
    let starts = input.iter().map(|(at, _)| start(at)).collect();
    step(&mut thread, &mut results, 0, Event::Assigned(starts));
    for (at, rows) in input {
        // Two fetches of each partition: a border that is the same at every batch size.
        let mut fetches = [RecordBatch::default(), RecordBatch::default()];
        for (offset, row) in rows.iter().enumerate() {
            let headers: Vec<(&[u8], Option<&[u8]>)> =
                row.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
            let fetch = &mut fetches[offset * 2 / rows.len()];
            fetch.push(offset as i64, row.timestamp, row.key.as_deref(), row.value.as_deref(), &headers);
        }
        for fetch in fetches.into_iter().filter(|fetch| !fetch.is_empty()) {
            step(&mut thread, &mut results, at.partition, Event::Fetched(at.clone(), fetch));
        }
    }
    step(&mut thread, &mut results, 0, Event::Shutdown);
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn results_do_not_show_batch_borders(seed in any::<u64>(), rows_max in 2..64_usize, rows in 1..80_i64) {
        let mut random = Random::new(seed);
        let generated = generate(&mut random);
        let mut input = Vec::new();
        for topic in &generated.inputs {
            for partition in 0..generated.partitions[topic] {
                let row = |offset| input_row(&mut random, topic, partition, offset);
                input.push((TopicPartition::new(topic, partition), (0..rows).map(row).collect()));
            }
        }
        // 1: the slow, plain oracle.
        prop_assert_eq!(results(&generated, &input, rows_max), results(&generated, &input, 1));
    }
}
