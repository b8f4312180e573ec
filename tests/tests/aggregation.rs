//! Aggregators in two languages: the same sums, in one go and row by row, and the same merges.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use weir_core::ports::{Aggregator, Groups, Reject};
use weir_core::record::{Column, RecordBatch, Rows, Taken, TopicPartition};
use weir_core::task::TaskId;
use weir_core::topology::NodeName;
use weir_wasm::{AggregatorInstance, Binding, HostConfig, PluginHost, Role};

const TASK: TaskId = TaskId { subtopology: 0, partition: 1 };

#[test]
fn a_rust_aggregator_sums_and_merges() {
    sums_and_merges("aggregate-rust");
}

#[test]
fn a_python_aggregator_sums_and_merges() {
    sums_and_merges("aggregate-python");
}

fn sums_and_merges(guest: &str) {
    let mut instance = instance(guest);
    let texts = |column: &Column| -> Vec<Option<String>> {
        column.iter().map(|cell| cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned())).collect()
    };
    let some = |all: &[&str]| -> Vec<Option<String>> { all.iter().map(|text| Some((*text).to_owned())).collect() };
    let reject = |row, text: &str| {
        let message = format!("`{text}` is no whole number");
        Reject { row, code: "sum.number".to_owned(), message }
    };
    let taken = taken(6);

    let folded = instance.fold(&groups(&taken, &["1", "2", "x", "4", "y", "-5"], false)).unwrap();
    assert_eq!(texts(&folded.accumulators), some(&["3", "14", "-5"]), "{guest}");
    assert_eq!(folded.rejects, [reject(2, "x"), reject(4, "y")], "{guest}");

    let folded = instance.fold(&groups(&taken, &["1", "2", "x", "4", "y", "-5"], true)).unwrap();
    let mut expected = some(&["1", "3", "10", "14", "", "-5"]);
    expected[4] = None;
    assert_eq!(texts(&folded.accumulators), expected, "{guest}: nothing was there, and nothing was added");
    assert_eq!(folded.rejects, [reject(2, "x"), reject(4, "y")], "{guest}");

    let (keys, left, right) = (column(&["a", "b"]), column(&["1", "2"]), column(&["10", "-2"]));
    assert_eq!(texts(&instance.merge(&keys, &left, &right).unwrap()), some(&["11", "0"]), "{guest}");
}

/// Three groups: two rows on nothing, two on 10, two on nothing.
fn groups<'a>(taken: &'a Taken, values: &[&str], every_row: bool) -> Groups<'a> {
    let mut batch = RecordBatch::default();
    values.iter().for_each(|value| batch.push(0, 5, Some(b"k"), Some(value.as_bytes()), &[]));
    Groups {
        keys: column(&["a", "b", "c"]),
        windows: Some(vec![(0, 10), (0, 10), (10, 20)]),
        accumulators: [None, Some(&b"10"[..]), None].into_iter().collect(),
        row_ends: vec![2, 4, 6],
        rows: Rows::from_batch(batch),
        taken,
        every_row,
    }
}

fn taken(rows: usize) -> Taken {
    Taken {
        partitions: vec![TopicPartition::new("input", 1)],
        partition: vec![0; rows],
        offsets: (0..rows as i64).collect(),
        stream_times: vec![5; rows],
    }
}

fn column(cells: &[&str]) -> Column {
    cells.iter().map(|cell| Some(cell.as_bytes())).collect()
}

fn instance(guest: &str) -> AggregatorInstance {
    let host = PluginHost::new(HostConfig { instances_max: 2, ..HostConfig::default() }).unwrap();
    let component = std::fs::read(weir_tests::host::plugin(guest).unwrap()).unwrap();
    let artifact = host.load(&component).unwrap_or_else(|error| panic!("{guest}: {error}"));
    let binding = Binding { role: Role::Aggregator, merges: true, ..Binding::default() };
    assert_eq!(binding.misfits(&artifact), [], "{guest}");
    let node = NodeName::from("sums");
    host.bound_plugin(&artifact, "null", "app", &node, binding).unwrap().instantiate_aggregator(TASK).unwrap()
}
