//! Streams joined with tables, as Kafka Streams does it.

use weir_testing::{Commits, Options, PerMille, Random, TestRecord, TopologyTestDriver};

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

/// A key, a value, a timestamp.
type Row = (Option<String>, String, i64);

fn pipe(driver: &TopologyTestDriver, (topic, key, value, timestamp): Line<'_>) {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    let record = TestRecord { key: bytes(key), value: bytes(value), timestamp, headers: Vec::new() };
    driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
}

fn read(driver: &TopologyTestDriver) -> Vec<Row> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let read = driver.create_output_topic("out").unwrap().read_records_to_list();
    read.into_iter().map(|row| (row.key.map(text), text(row.value.unwrap()), row.timestamp)).collect()
}

/// Row by row, each committed.
fn outputs(how: &str, lines: &[Line<'_>], restarts: bool) -> Vec<Row> {
    let driver = TopologyTestDriver::from_yaml(&TOPOLOGY.replace("HOW", how), Options::default()).unwrap();
    for line in lines {
        pipe(&driver, *line);
        if restarts {
            driver.restart().unwrap();
        }
    }
    read(&driver)
}

/// All rows at once, taken in batches of so many, with a commit or an abort now and then.
fn in_batches(topology: &str, lines: &[Line<'_>], rows: usize) -> Vec<Row> {
    let options = Options { batch_rows_max: rows, commits: Commits::Chosen, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(topology, options).unwrap();
    for lines in lines.chunks(40) {
        lines.iter().for_each(|line| pipe(&driver, *line));
        driver.commit().unwrap();
    }
    read(&driver)
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
    for restarts in [false, true] {
        assert_eq!(outputs("inner", &LINES, restarts), expected, "restarts: {restarts}");
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
    for restarts in [false, true] {
        assert_eq!(outputs("left", &LINES, restarts), expected, "restarts: {restarts}");
    }
}

/// Lines of few keys and times, in no order.
fn random_lines(random: &mut Random) -> Vec<Line<'static>> {
    const VALUES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let line = |random: &mut Random| {
        let topic = *random.choose(&["left", "right"]);
        let key = *random.choose(&[Some("k"), Some("k"), Some("l"), Some("m"), None]);
        let value = if random.chance(PerMille(200)) { None } else { Some(*random.choose(&VALUES)) };
        (topic, key, value, random.within(0, 30) as i64)
    };
    (0..random.within(1, 120)).map(|_| line(random)).collect()
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
        for seed in 0..60 {
            let lines = random_lines(&mut Random::new(seed));
            let alone = in_batches(&topology, &lines, 1);
            for rows in [2, 7, 1000] {
                assert_eq!(
                    in_batches(&topology, &lines, rows),
                    alone,
                    "seed {seed}, {rows} rows\n{topology}\n{lines:?}"
                );
            }
        }
    }
}

#[test]
fn a_row_finds_itself_in_a_table_that_comes_before_the_join() {
    let lines = [("left", Some("k"), Some("a"), 1), ("left", Some("k"), Some("b"), 2)];
    let values = |nodes| -> Vec<String> {
        let rows = in_batches(&joined_with_itself(nodes), &lines, 1000);
        rows.into_iter().map(|(_, value, _)| value).collect()
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
