//! Rows of the topics `left` and `right` piped through a topology, and what comes out of `out`.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use weir_testing::{Commits, Options, PerMille, Random, TestRecord, TopologyTestDriver};

/// A topic, a key, a value, a timestamp.
pub type Line<'a> = (&'a str, Option<&'a str>, Option<&'a str>, i64);

/// A key, a value, a timestamp.
pub type Row = (Option<String>, Option<String>, i64);

pub fn pipe(driver: &TopologyTestDriver, (topic, key, value, timestamp): Line<'_>) {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    let record = TestRecord { key: bytes(key), value: bytes(value), timestamp, headers: Vec::new() };
    driver.create_input_topic(topic).unwrap().pipe_input(record).unwrap();
}

pub fn read(driver: &TopologyTestDriver) -> Vec<Row> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let read = driver.create_output_topic("out").unwrap().read_records_to_list();
    read.into_iter().map(|row| (row.key.map(text), row.value.map(text), row.timestamp)).collect()
}

/// Row by row, each committed.
pub fn outputs(topology: &str, lines: &[Line<'_>], restarts: bool) -> Vec<Row> {
    let driver = TopologyTestDriver::from_yaml(topology, Options::default()).unwrap();
    for line in lines {
        pipe(&driver, *line);
        if restarts {
            driver.restart().unwrap();
        }
    }
    read(&driver)
}

/// Forty rows at a time, taken in batches of so many.
pub fn in_batches(topology: &str, lines: &[Line<'_>], rows: usize) -> Vec<Row> {
    let options = Options { batch_rows_max: rows, commits: Commits::Chosen, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(topology, options).unwrap();
    for lines in lines.chunks(40) {
        lines.iter().for_each(|line| pipe(&driver, *line));
        driver.commit().unwrap();
    }
    read(&driver)
}

/// Lines of few keys and times, in no order.
pub fn random_lines(random: &mut Random) -> Vec<Line<'static>> {
    const VALUES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let line = |random: &mut Random| {
        let topic = *random.choose(&["left", "right"]);
        let key = *random.choose(&[Some("k"), Some("k"), Some("l"), Some("m"), None]);
        let value = if random.chance(PerMille(200)) { None } else { Some(*random.choose(&VALUES)) };
        (topic, key, value, random.within(0, 30) as i64)
    };
    (0..random.within(1, 120)).map(|_| line(random)).collect()
}

/// Rows alone, and all in batches of several sizes: the same comes out.
pub fn assert_batches_do_not_show(topology: &str, seeds: u64) {
    for seed in 0..seeds {
        let lines = random_lines(&mut Random::new(seed));
        let alone = in_batches(topology, &lines, 1);
        for rows in [2, 7, 1000] {
            assert_eq!(in_batches(topology, &lines, rows), alone, "seed {seed}, {rows} rows\n{topology}\n{lines:?}");
        }
    }
}
