//! Streams joined with streams, as Kafka Streams does it: worked examples, and a model of it that random rows are given to.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's helper fails the test")]

mod examples;
mod model;

use std::time::Duration;

use weir_testing::{Commits, Options, PerMille, Random, TestRecord, TopologyTestDriver};

use model::Model;

/// What is joined, and how near rows must be, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    how: &'static str,
    before: i64,
    after: i64,
    grace: i64,
}

/// A topic, a key, a value, a timestamp.
type Line = (&'static str, Option<&'static str>, Option<&'static str>, i64);

/// A key, a value, a timestamp.
type Row = (Option<String>, String, i64);

const TOPICS: &str = "
application: joins
topics:
  left:  { key: string, value: string, partitions: 1 }
  right: { key: string, value: string, partitions: 1 }
  out:   { key: string, value: string, partitions: 1 }
nodes:
";

/// What is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// Two topics.
    Topics,
    /// Rows of one topic, so that a step has rows of both sides.
    Mixed,
    /// A stream and itself.
    Itself { right_first: bool },
}

/// The nodes, with JOIN for the join, and its two sides.
type Nodes = (Joined, &'static str, [&'static str; 2]);

const TWO: [Nodes; 2] = [
    (Joined::Topics, "  a: { source: left }\n  b: { source: right }\nJOIN", ["a", "b"]),
    (
        Joined::Mixed,
        "  in: { source: left }\n  a: { from: in, branch: { right: has(headers.right), left: default } }\nJOIN",
        ["a.left", "a.right"],
    ),
];

/// A row takes the way that comes first in the file.
const ITSELF: [Nodes; 5] = [
    (Joined::Itself { right_first: false }, "  a: { source: left }\nJOIN", ["a", "a"]),
    (Joined::Itself { right_first: true }, "  a: { source: left }\n  b: { from: a, filter: 'true' }\nJOIN", ["a", "b"]),
    (
        Joined::Itself { right_first: false },
        "  a: { source: left }\nJOIN  b: { from: a, filter: 'true' }\n",
        ["a", "b"],
    ),
    (
        Joined::Itself { right_first: false },
        "  a: { source: left }\n  b: { from: a, filter: 'true' }\nJOIN",
        ["b", "a"],
    ),
    (Joined::Itself { right_first: true }, "  a: { source: left }\nJOIN  b: { from: a, filter: 'true' }\n", ["b", "a"]),
];

fn topology((_, nodes, [left, right]): Nodes, Operation { how, before, after, grace }: Operation) -> String {
    let join = format!(
        "  joined: {{ from: {left}, join: {right}, within: {{ before: {before}ms, after: {after}ms }}, grace: {grace}ms, how: {how},
            value: '(left == null ? \"null\" : left) + \"|\" + (right == null ? \"null\" : right)' }}\n"
    );
    format!("{TOPICS}{}  out: {{ from: joined, sink: out }}\n", nodes.replace("JOIN", &join))
}

fn pipe(driver: &TopologyTestDriver, (topic, key, value, timestamp): Line) {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    // Of both sides, where there is but one topic.
    let (topic, headers) = match topic {
        "mixed" => ("left", vec![(b"right".to_vec(), None)]),
        topic => (topic, Vec::new()),
    };
    let record = TestRecord { key: bytes(key), value: bytes(value), timestamp, headers };
    driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
}

fn read(driver: &TopologyTestDriver) -> Vec<Row> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let read = driver.create_output_topic("out").unwrap().read_records_to_list();
    read.into_iter().map(|row| (row.key.map(text), text(row.value.unwrap()), row.timestamp)).collect()
}

/// Rows that are put in before a commit.
const CHUNK: usize = 40;

/// All rows, in batches of so many; `disturbed`: with restarts and aborts anywhere.
fn in_batches(yaml: &str, lines: &[Line], rows: usize, disturbed: Option<u64>) -> Vec<Row> {
    let options = Options { batch_rows_max: rows, commits: Commits::Chosen, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(yaml, options).unwrap();
    let mut random = Random::new(disturbed.unwrap_or_default());
    for lines in lines.chunks(CHUNK) {
        for line in lines {
            pipe(&driver, *line);
            if disturbed.is_some() && random.chance(PerMille(30)) {
                driver.abort().unwrap();
            }
        }
        driver.commit().unwrap();
        if disturbed.is_some() && random.chance(PerMille(500)) {
            driver.restart().unwrap();
        }
    }
    read(&driver)
}

/// Row by row, each committed; `disturbed`: with restarts, aborts and purges between many of them.
fn one_by_one(yaml: &str, lines: &[Line], disturbed: Option<u64>) -> Vec<Row> {
    let driver = TopologyTestDriver::from_yaml(yaml, Options::default()).unwrap();
    let mut random = Random::new(disturbed.unwrap_or_default());
    for line in lines {
        match disturbed.map(|_| random.below(5)) {
            Some(0) => driver.restart().unwrap(),
            Some(1) => driver.abort().unwrap(),
            // Long enough for changelogs to be purged.
            Some(2) => driver.advance_wall_clock_time(Duration::from_secs(31)).unwrap(),
            _ => {}
        }
        pipe(&driver, *line);
    }
    read(&driver)
}

/// Few keys and times: repeats, steps back, and jumps beyond all windows.
fn random_lines(random: &mut Random, topics: &[&'static str]) -> Vec<Line> {
    const VALUES: [&str; 7] = ["a", "b", "c", "d", "e", "f", ""];
    let mut now = 0;
    let mut line = |random: &mut Random| {
        let key = *random.choose(&[Some("k"), Some("k"), Some("l"), Some("m"), None]);
        let value = if random.chance(PerMille(100)) { None } else { Some(*random.choose(&VALUES)) };
        now += match random.below(20) {
            0 => 30,
            1..=8 => 1,
            9 => 4,
            _ => 0,
        };
        let back = *random.choose(&[0, 0, 0, 1, 2, 5, 12]);
        (*random.choose(topics), key, value, (now - back).max(0))
    };
    (0..random.within(1, 120)).map(|_| line(random)).collect()
}

fn random_operation(random: &mut Random) -> Operation {
    let how = *random.choose(&["inner", "left", "outer"]);
    let (before, after) = *random.choose(&[(5, 5), (0, 5), (5, 0), (3, 1), (0, 0), (-2, 5), (6, -3), (2, 9)]);
    Operation { how, before, after, grace: *random.choose(&[0, 0, 1, 4]) }
}

fn modelled((joined, ..): Nodes, operation: Operation, lines: &[Line]) -> Vec<Row> {
    let mut model = Model::new(operation);
    for &(topic, key, value, at) in lines {
        let sides: &[usize] = match (joined, topic) {
            (Joined::Itself { right_first: false }, _) => &[0, 1],
            (Joined::Itself { right_first: true }, _) => &[1, 0],
            (_, "left") => &[0],
            _ => &[1],
        };
        sides.iter().for_each(|&side| model.process(side, key, value, at));
    }
    model.out
}

/// Two streams, or a stream and itself, with rows for them.
fn random_case(seed: u64) -> (Nodes, Operation, Vec<Line>) {
    let mut random = Random::new(seed);
    let itself = random.chance(PerMille(300));
    let nodes = *random.choose(if itself { &ITSELF[..] } else { &TWO[..] });
    let topics: &[&str] = match nodes.0 {
        Joined::Topics => &["left", "right"],
        Joined::Mixed => &["left", "mixed"],
        Joined::Itself { .. } => &["left"],
    };
    (nodes, random_operation(&mut random), random_lines(&mut random, topics))
}

#[test]
fn the_worked_examples_come_out_as_written_with_and_without_restarts() {
    let examples = examples::all();
    assert_eq!(examples.len(), 9);
    for (operation, lines) in examples {
        for restarts in [false, true] {
            let driver = TopologyTestDriver::from_yaml(&topology(TWO[0], operation), Options::default()).unwrap();
            for (line, expected) in &lines {
                pipe(&driver, *line);
                assert_eq!(read(&driver), *expected, "{operation:?}, restarts: {restarts}, at {line:?}");
                if restarts {
                    driver.restart().unwrap();
                }
            }
        }
    }
}

#[test]
fn rows_are_joined_as_kafka_streams_joins_them() {
    let mut joined = 0;
    for seed in 0..1_500 {
        let (nodes, operation, lines) = random_case(seed);
        let yaml = topology(nodes, operation);
        let expected = modelled(nodes, operation, &lines);
        joined += expected.len();
        let disturbed = (seed % 3 == 0).then_some(seed);
        assert_eq!(one_by_one(&yaml, &lines, disturbed), expected, "seed {seed}\n{yaml}\n{lines:?}");
    }
    assert!(joined > 10_000, "{joined} results do not say much");
}

#[test]
fn neither_batches_nor_restarts_nor_aborts_show_in_a_join_of_streams() {
    for seed in 0..400 {
        let (nodes, operation, lines) = random_case(seed);
        let yaml = topology(nodes, operation);
        // Which of two topics comes first is for the task to say.
        let expected = match nodes.0 {
            Joined::Topics => in_batches(&yaml, &lines, 1, None),
            _ => modelled(nodes, operation, &lines),
        };
        for rows in [1, 2, 7, 1000] {
            for disturbed in [None, Some(seed)] {
                let found = in_batches(&yaml, &lines, rows, disturbed);
                assert_eq!(found, expected, "seed {seed}, {rows} rows, {disturbed:?}\n{yaml}\n{lines:?}");
            }
        }
    }
}

/// Sums of numbers, which other texts are not.
fn sums(policy: &str) -> String {
    format!(
        "{TOPICS}  a: {{ source: left }}
  b: {{ source: right }}
  joined: {{ from: a, join: b, within: 10ms, value: int(left) + int(right), on-error: {policy} }}
  out: {{ from: joined, sink: out }}\n"
    )
}

const SUMMANDS: [Line; 6] = [
    ("left", Some("k"), Some("1"), 1),
    ("right", Some("k"), Some("2"), 2),
    ("left", Some("k"), Some("x"), 3),
    ("right", Some("k"), Some("4"), 4),
    ("right", Some("l"), Some("y"), 5),
    ("left", Some("k"), Some("8"), 6),
];

#[test]
fn a_pair_that_has_no_value_is_dropped_alone_where_the_node_skips() {
    let driver = TopologyTestDriver::from_yaml(&sums("skip"), Options::default()).unwrap();
    SUMMANDS.iter().for_each(|line| pipe(&driver, *line));
    let values: Vec<String> = read(&driver).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, ["3", "5", "10", "12"]);
    let at: Vec<String> =
        driver.reports().iter().filter_map(|report| Some(format!("{:?}", report.at.as_ref()?))).collect();
    assert_eq!(at.len(), 2, "{at:?}");
    assert!(at[0].contains("left") && at[1].contains("right"), "{at:?}");
}

#[test]
fn what_comes_before_a_pair_without_a_value_is_done_once_where_the_node_fails() {
    for rows in [1, 1000] {
        let options = Options { batch_rows_max: rows, commits: Commits::Chosen, ..Options::default() };
        let yaml = sums("fail").replace("{ source: right }", "{ from: a, filter: 'true' }");
        let driver = TopologyTestDriver::from_yaml(&yaml, options).unwrap();
        SUMMANDS.iter().for_each(|&(_, key, value, at)| pipe(&driver, ("left", key, value, at)));
        assert!(driver.commit().is_err());
        driver.commit().unwrap(); // what was done before is not lost
        let values: Vec<String> = read(&driver).into_iter().map(|(_, value, _)| value).collect();
        assert_eq!(values, ["2", "3", "3", "4"], "{rows} rows");
    }
}

#[test]
fn a_result_has_the_headers_of_the_row_that_causes_it() {
    let operation = Operation { how: "left", before: 5, after: 5, grace: 0 };
    let driver = TopologyTestDriver::from_yaml(&topology(TWO[0], operation), Options::default()).unwrap();
    for (topic, key, at) in [("left", "k", 1), ("left", "l", 2), ("right", "k", 3), ("left", "m", 20)] {
        let header = format!("{topic}-{key}").into_bytes();
        let record = TestRecord { headers: vec![(header, None)], ..TestRecord::new(key, "v", at) };
        driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
    }
    let out = driver.create_output_topic("out").unwrap().read_records_to_list();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let found: Vec<(String, String)> =
        out.iter().map(|row| (text(row.key.as_deref().unwrap()), text(&row.headers[0].0))).collect();
    assert_eq!(found, [("k".into(), "right-k".into()), ("l".into(), "left-m".into())]);
}

#[test]
fn sides_of_new_keys_meet_by_way_of_topics() {
    let yaml = format!(
        "{TOPICS}  a: {{ source: left }}
  b: {{ source: right }}
  a-keyed: {{ from: a, key-by: value }}
  b-keyed: {{ from: b, key-by: value }}
  b-there: {{ from: b-keyed, repartition: rights }}
  joined: {{ from: a-keyed, join: b-there, within: 5ms, repartition: lefts }}
  out: {{ from: joined, sink: out }}\n"
    );
    let driver = TopologyTestDriver::from_yaml(&yaml, Options::default()).unwrap();
    for line in [("left", Some("x"), Some("k"), 1), ("right", Some("y"), Some("k"), 2), ("right", None, Some("l"), 3)] {
        pipe(&driver, line);
    }
    assert_eq!(read(&driver), [(Some("k".to_owned()), r#"{"left":"k","right":"k"}"#.to_owned(), 2)]);
}

#[test]
#[ignore = "a measurement"]
fn a_row_costs() {
    for how in ["inner", "left"] {
        let operation = Operation { how, before: 60_000, after: 60_000, grace: 0 };
        let options = Options { batch_rows_max: 4096, commits: Commits::Chosen, ..Options::default() };
        let driver = TopologyTestDriver::from_yaml(&topology(TWO[0], operation), options).unwrap();
        let mut random = Random::new(1);
        let mut spent = Duration::ZERO;
        for round in 0..40_i64 {
            for row in 0..10_000 {
                let key = format!("k{}", random.below(10_000)).into_bytes();
                let at = round * 10_000 + row;
                let value = vec![b'v'; 100];
                let record = TestRecord { key: Some(key), value: Some(value), timestamp: at, headers: Vec::new() };
                let topic = if row % 2 == 0 { "left" } else { "right" };
                driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
            }
            let start = std::time::Instant::now();
            driver.commit().unwrap();
            spent += start.elapsed();
        }
        let out = driver.create_output_topic("out").unwrap().queue_size();
        eprintln!("{how}: {:?} a row, {out} results", spent / 400_000);
    }
}
