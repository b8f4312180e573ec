//! Streams joined with tables, as Kafka Streams does it.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use weir_testing::{Options, TopologyTestDriver};

use crate::lines::{Line, Row, assert_batches_do_not_show, in_batches, outputs, pipe};

const TOPOLOGY: &str = "
application: joins
topics:
  left:  { key: string, value: string, partitions: 1 }
  right: { key: string, value: string, partitions: 1 }
  out:   { key: string, value: string, partitions: 1 }
nodes:
  table:  { table: right }
  stream: { source: left }
  joined: { from: stream, join: table, how: HOW, value: 'left + \"|\" + (right == null ? \"null\" : right)' }
  out:    { from: joined, sink: out }
";

const LINES: [Line<'static>; 9] = [
    ("right", Some("k"), Some("x"), 100),
    ("left", Some("k"), Some("a"), 10),
    ("right", Some("k"), Some("y"), 5),
    ("left", Some("k"), Some("b"), 200),
    ("left", None, Some("c"), 201),
    ("left", Some("k"), None, 202),
    ("right", Some("k"), None, 1),
    ("left", Some("k"), Some("d"), 203),
    ("right", None, Some("z"), 204),
];

#[test]
fn a_row_is_joined_with_what_the_table_holds_when_it_comes() {
    let row = |key: &str, value: &str, at| -> Row { (Some(key.to_owned()), Some(value.to_owned()), at) };
    let expected = [row("k", "a|x", 10), row("k", "b|y", 200)];
    for restarts in [false, true] {
        assert_eq!(outputs(&TOPOLOGY.replace("HOW", "inner"), &LINES, restarts), expected, "restarts: {restarts}");
    }
}

#[test]
fn a_row_that_finds_nothing_is_joined_with_null_if_all_are_wanted() {
    let row = |key: Option<&str>, value: &str, at| -> Row { (key.map(str::to_owned), Some(value.to_owned()), at) };
    let expected = [
        row(Some("k"), "a|x", 10),
        row(Some("k"), "b|y", 200),
        row(None, "c|null", 201),
        row(Some("k"), "d|null", 203),
    ];
    for restarts in [false, true] {
        assert_eq!(outputs(&TOPOLOGY.replace("HOW", "left"), &LINES, restarts), expected, "restarts: {restarts}");
    }
}

/// What is joined with itself, the table before the join and behind it.
const ITSELF: [&str; 2] = [
    "  table:  { from: stream, to-table: kept }
  joined: { from: stream, join: table, how: left, value: 'left + \"|\" + (right == null ? \"null\" : right)' }
",
    "  joined: { from: stream, join: table, how: left, value: 'left + \"|\" + (right == null ? \"null\" : right)' }
  table:  { from: stream, to-table: kept }
",
];

fn joined_with_itself(nodes: &str) -> String {
    let start = TOPOLOGY.find("  table:").unwrap();
    format!("{}  stream: {{ source: left }}\n{nodes}  out:    {{ from: joined, sink: out }}\n", &TOPOLOGY[..start])
}

#[test]
fn how_many_rows_are_taken_at_once_does_not_show_in_a_join() {
    let topologies = [TOPOLOGY.replace("HOW", "inner"), TOPOLOGY.replace("HOW", "left")];
    for topology in topologies.into_iter().chain(ITSELF.map(joined_with_itself)) {
        assert_batches_do_not_show(&topology, 60);
    }
}

#[test]
fn a_row_finds_itself_in_a_table_that_comes_before_the_join() {
    let lines = [("left", Some("k"), Some("a"), 1), ("left", Some("k"), Some("b"), 2)];
    let values = |nodes| -> Vec<String> {
        let rows = in_batches(&joined_with_itself(nodes), &lines, 1000);
        rows.into_iter().filter_map(|(_, value, _)| value).collect()
    };
    assert_eq!(values(ITSELF[0]), ["a|a", "b|b"]);
    assert_eq!(values(ITSELF[1]), ["a|null", "b|a"]);
}

#[test]
fn a_table_is_read_with_the_timestamps_of_its_rows() {
    let driver = TopologyTestDriver::from_yaml(&TOPOLOGY.replace("HOW", "inner"), Options::default()).unwrap();
    for line in [("right", Some("k"), Some("x"), 7), ("right", Some("l"), Some("y"), 8), ("right", Some("l"), None, 9)]
    {
        pipe(&driver, line);
    }
    let entries = driver.get_key_value_store("table").unwrap().all().unwrap();
    let entries: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.value.unwrap(), entry.timestamp)).collect();
    assert_eq!(entries, [(b"k".to_vec(), b"x".to_vec(), Some(7))]);
}
