//! Streams joined with tables, as Kafka Streams does it.

use weir_testing::{Commits, Options, TestRecord, TopologyTestDriver};

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

/// A topic, a key, a value, a timestamp.
type Line<'a> = (&'a str, Option<&'a str>, Option<&'a str>, i64);

fn outputs(how: &str, lines: &[Line<'_>], rows: usize, restarts: bool) -> Vec<(Option<String>, String, i64)> {
    let options = Options { batch_rows_max: rows, commits: Commits::EachRecord, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(&TOPOLOGY.replace("HOW", how), options).unwrap();
    for (topic, key, value, at) in lines {
        let bytes = |text: &Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let record = TestRecord { key: bytes(key), value: bytes(value), timestamp: *at, headers: Vec::new() };
        driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
        if restarts {
            driver.restart().unwrap();
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let read = driver.create_output_topic("out").unwrap().read_records_to_list();
    read.into_iter().map(|row| (row.key.map(text), text(row.value.unwrap()), row.timestamp)).collect()
}

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
    let row = |key: &str, value: &str, at| (Some(key.to_owned()), value.to_owned(), at);
    let expected = [row("k", "a|x", 10), row("k", "b|y", 200)];
    for (rows, restarts) in [(1, false), (1000, false), (1, true)] {
        assert_eq!(outputs("inner", &LINES, rows, restarts), expected, "{rows} rows, restarts: {restarts}");
    }
}

#[test]
fn a_row_that_finds_nothing_is_joined_with_null_if_all_are_wanted() {
    let row = |key: Option<&str>, value: &str, at| (key.map(str::to_owned), value.to_owned(), at);
    let expected = [
        row(Some("k"), "a|x", 10),
        row(Some("k"), "b|y", 200),
        row(None, "c|null", 201),
        row(Some("k"), "d|null", 203),
    ];
    for (rows, restarts) in [(1, false), (1000, false), (1, true)] {
        assert_eq!(outputs("left", &LINES, rows, restarts), expected, "{rows} rows, restarts: {restarts}");
    }
}
