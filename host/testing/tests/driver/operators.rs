//! The stateless operators: what comes out, at any batch size, after restarts and aborts.

use weir_core::thread::{Report, ReportKind};
use weir_testing::{Commits, DriverError, Options, TestRecord, TopologyTestDriver};

/// A row as a test reads it: key, value, timestamp.
pub type Row = (Option<String>, Option<String>, i64);

/// A key, a value, a timestamp.
pub fn row(key: Option<&str>, value: Option<&str>, timestamp: i64) -> Row {
    (key.map(str::to_owned), value.map(str::to_owned), timestamp)
}

pub fn shown(record: TestRecord) -> Row {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (record.key.map(text), record.value.map(text), record.timestamp)
}

/// What `topics` hold once `rows` went into `in`, and what was said of them.
pub fn run(
    yaml: &str,
    rows: &[TestRecord],
    topics: &[&str],
) -> Result<(Vec<Vec<TestRecord>>, Vec<Report>), DriverError> {
    let mut first = None;
    for batch_rows_max in [1, 2, usize::MAX] {
        for between in 0..3 {
            let options = Options { batch_rows_max, commits: Commits::Chosen, ..Options::default() };
            let driver = TopologyTestDriver::from_yaml(yaml, options)?;
            let input = driver.create_input_topic("in")?;
            for (at, row) in rows.iter().enumerate() {
                input.pipe_input(row.clone())?;
                match between {
                    1 if at % 2 == 1 => driver.restart()?,
                    2 if at % 2 == 1 => driver.abort()?,
                    _ => {}
                }
            }
            driver.commit()?;
            let read = |topic: &&str| Ok(driver.create_output_topic(topic)?.read_records_to_list());
            let read = topics.iter().map(read).collect::<Result<Vec<_>, DriverError>>()?;
            let reports = driver.reports();
            let (expected, _) = first.get_or_insert_with(|| (read.clone(), reports));
            assert_eq!(*expected, read, "batches of {batch_rows_max}, between rows: {between}");
        }
    }
    Ok(first.unwrap_or_default())
}

/// The rows that were skipped: where they stand, and why.
pub fn skipped(reports: &[Report]) -> Vec<String> {
    let skipped = reports.iter().filter_map(|report| match &report.kind {
        ReportKind::Skipped { reason, message, .. } => {
            let (partition, offset) = report.at.clone()?;
            Some(format!("{} {partition}@{offset} {reason}: {message}", report.node))
        }
        _ => None,
    });
    skipped.collect()
}

const LINES: &str = "
application: shop
topics:
  in:     { key: string, value: json }
  lines:  { key: string, value: json }
  counts: { key: string, value: json }
nodes:
  in:      { source: in }
  lines:   { from: in, flat-map: FLAT, on-error: POLICY }
  out:     { from: lines, sink: lines }
";

fn order(key: &str, value: &str, at: i64) -> TestRecord {
    let headers = vec![(b"h".to_vec(), Some(key.as_bytes().to_vec()))];
    TestRecord { headers, ..TestRecord::new(key, value, at) }
}

fn orders() -> [TestRecord; 5] {
    [
        order("1", r#"{"lines":[{"sku":"a","n":2},{"sku":"b","n":1}]}"#, 10),
        order("2", r#"{"lines":[]}"#, 11),
        order("3", r#"{"lines":[{"sku":"a","n":5},null]}"#, 5),
        order("4", r#"{"lines":null}"#, 12),
        order("5", r#"{"lines":[{"sku":"c","n":1}]}"#, 13),
    ]
}

#[test]
fn a_flat_map_makes_a_row_of_each_item_with_time_headers_and_key_of_its_row() -> Result<(), DriverError> {
    let yaml = LINES.replace("FLAT", "value.lines").replace("POLICY", "skip");
    let (read, reports) = run(&yaml, &orders(), &["lines"])?;
    let expected = [
        row(Some("1"), Some(r#"{"n":2,"sku":"a"}"#), 10),
        row(Some("1"), Some(r#"{"n":1,"sku":"b"}"#), 10),
        row(Some("3"), Some(r#"{"n":5,"sku":"a"}"#), 5),
        row(Some("3"), None, 5),
        row(Some("5"), Some(r#"{"n":1,"sku":"c"}"#), 13),
    ];
    assert!(read[0].iter().all(|row| row.headers == [(b"h".to_vec(), row.key.clone())]));
    assert_eq!(read[0].iter().cloned().map(shown).collect::<Vec<_>>(), expected);
    let message = "`value.lines` is null, not a list: an empty list, `[]`, makes no rows";
    assert_eq!(skipped(&reports), [format!("lines in/0@3 weir.expression: {message}")]);
    Ok(())
}

#[test]
fn a_row_with_an_item_that_fails_makes_no_row_at_all() -> Result<(), DriverError> {
    let flat = "{ each: value.lines, key: item.sku, value: '{\"order\": key, \"n\": item.n}' }";
    let yaml = LINES.replace("FLAT", flat).replace("POLICY", "skip");
    let (read, reports) = run(&yaml, &orders(), &["lines"])?;
    let expected = [
        row(Some("a"), Some(r#"{"order":"1","n":2}"#), 10),
        row(Some("b"), Some(r#"{"order":"1","n":1}"#), 10),
        row(Some("c"), Some(r#"{"order":"5","n":1}"#), 13),
    ];
    assert_eq!(read[0].iter().cloned().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(skipped(&reports).len(), 2);
    let failed = run(&yaml.replace("on-error: skip", "on-error: fail"), &orders(), &["lines"]);
    let message = failed.map_or_else(|error| error.to_string(), |_| "no error".to_owned());
    assert!(
        message.starts_with("task 0_0 stopped at node `lines` at in/0@2: weir.expression: `item.sku`"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_row_is_not_blown_up_beyond_a_bound() -> Result<(), DriverError> {
    let yaml = LINES.replace("FLAT", "{ each: value.lines, value: value }").replace("POLICY", "skip");
    let items = vec!["1"; 10_000].join(",");
    let rows = [order("1", &format!("{{\"lines\":[{items}]}}"), 10), order("2", "{\"lines\":[1]}", 11)];
    let (read, reports) = run(&yaml, &rows, &["lines"])?;
    assert_eq!(read[0].len(), 1);
    assert_eq!(skipped(&reports), ["lines in/0@0 weir.too-large: its items make rows of more than 16777216 bytes"]);
    Ok(())
}

#[test]
fn items_with_new_keys_are_counted_once_they_are_repartitioned() -> Result<(), DriverError> {
    let flat = "{ each: value.lines, key: item.sku }";
    let yaml = LINES.replace("FLAT", flat).replace("POLICY", "skip")
        + "  counted: { from: lines, aggregate: { sum: value.n }, emit: update, repartition: by-sku }\n  \
           counts: { from: counted, sink: counts }\n";
    let (read, _) = run(&yaml, &orders(), &["counts"])?;
    let expected = [row(Some("a"), Some("2"), 10), row(Some("b"), Some("1"), 10), row(Some("c"), Some("1"), 13)];
    assert_eq!(read[0].iter().cloned().map(shown).collect::<Vec<_>>(), expected);
    Ok(())
}

const HEADERS: &str = "
application: shop
topics:
  in:  { key: string, value: json }
  out: { key: string, value: json }
nodes:
  in:     { source: in }
  marked:
    from: in
    map:
      headers: { h: value.name, n: value.n, list: value.list, was: headers.h, gone: null, key: key, at: 'bytes(key)' }
    on-error: skip
  out:    { from: marked, sink: out }
";

/// The headers of a row, as text; null values are `-`.
fn headers(row: &TestRecord) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
        format!("{}={}", text(name), value.as_deref().map_or_else(|| "-".to_owned(), text))
    };
    row.headers.iter().map(header).collect::<Vec<_>>().join(" ")
}

#[test]
fn headers_are_written_in_the_place_of_all_of_their_name_and_the_others_stay() -> Result<(), DriverError> {
    let header =
        |name: &str, value: Option<&str>| (name.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
    let record = |value: &str, headers: &[(Vec<u8>, Option<Vec<u8>>)]| TestRecord {
        headers: headers.to_vec(),
        ..TestRecord::new("k", value, 7)
    };
    let (h, null, gone) = (header("h", Some("one")), header("null", None), header("gone", Some("x")));
    let rows = [
        record(r#"{"name":"x","n":1.5,"list":[1,"a"]}"#, &[h.clone(), null.clone(), gone.clone(), h.clone()]),
        record(r#"{"name":null,"n":null,"list":true}"#, &[null, gone, h.clone()]),
        record(r#"{"name":"x","n":1,"list":[]}"#, &[]),
        record(r#"{"name":"x","list":[]}"#, std::slice::from_ref(&h)),
        record("{\"name\":\"\u{e9}\",\"n\":2,\"list\":{}}", &[h]),
    ];
    let (read, reports) = run(HEADERS, &rows, &["out"])?;
    let expected = [
        r#"null=- h=x n=1.5 list=[1,"a"] was=one key=k at=k"#,
        "null=- list=true was=one key=k at=k",
        "h=\u{e9} n=2 list={} was=one key=k at=k",
    ];
    assert_eq!(read[0].iter().map(headers).collect::<Vec<_>>(), expected);
    assert_eq!(read[0][1].value, rows[1].value);
    let why = |offset, field| format!("marked in/0@{offset} weir.expression: `{field}`: there is no field");
    let skipped = skipped(&reports);
    assert!(skipped.len() == 2 && skipped[0].starts_with(&why(2, "headers.h")), "{skipped:?}");
    assert!(skipped[1].starts_with(&why(3, "value.n")), "{skipped:?}");
    Ok(())
}

const APART: &str = "
application: shop
topics:
  in:      { key: string, value: json }
  orders:  { key: string, value: json }
  returns: { key: string, value: json }
  other:   { key: string, value: string }
nodes:
  in:     { source: in }
  apart:  { from: in, sink: { topic: value.kind, of: [orders, returns] }, on-error: skip }
  some:   { from: in, filter: 'has(value.also)' }
  also:   { from: some, sink: orders }
";

#[test]
fn a_row_goes_to_the_topic_that_its_expression_names_if_the_sink_may_write_it() -> Result<(), DriverError> {
    let long = "x".repeat(300);
    let rows: Vec<TestRecord> = [
        r#"{"kind":"returns"}"#,
        r#"{"kind":"orders","also":1}"#,
        r#"{"kind":"other"}"#,
        r#"{"kind":"orders"}"#,
        r#"{"kind":null}"#,
        r#"{"kind":3}"#,
        r#"{"kind":["orders"]}"#,
        "{}",
        &format!("{{\"kind\":\"\\n{long}\"}}"),
        r#"{"kind":"orders","also":2}"#,
    ]
    .into_iter()
    .enumerate()
    .map(|(at, value)| TestRecord::new("k", value, at as i64))
    .collect();
    let (read, reports) = run(APART, &rows, &["orders", "returns", "other"])?;
    let values = |topic: usize| read[topic].iter().map(|row| row.timestamp).collect::<Vec<_>>();
    // A row's way through the nodes decides the order of what it writes.
    assert_eq!((values(0), values(1), values(2)), (vec![1, 1, 3, 9, 9], vec![0], vec![]));
    let yields = |offset: u8, what: &str| {
        format!(
            "apart in/0@{offset} weir.topic: `value.kind` yields {what}: the topics of this sink are orders, returns"
        )
    };
    let skipped = skipped(&reports);
    assert_eq!(skipped[0], yields(2, "`other`"));
    assert_eq!(skipped[1..3], [yields(4, "null, no text"), yields(5, "3, no text")]);
    assert_eq!(skipped[3], yields(6, "[\"orders\"], no text"));
    assert!(skipped[4].starts_with("apart in/0@7 weir.expression: `value.kind`"), "{}", skipped[4]);
    assert_eq!(skipped[5], yields(8, &format!("`\\n{}…`", &long[..248])));
    let failed = run(&APART.replace("on-error: skip", "on-error: fail"), &rows, &["orders"]);
    let message = failed.map_or_else(|error| error.to_string(), |_| "no error".to_owned());
    assert!(message.starts_with("task 0_0 stopped at node `apart` at in/0@2: weir.topic"), "{message}");
    Ok(())
}

const PEEK: &str = "
application: shop
topics:
  in:  { key: string, value: json }
  out: { key: string, value: json }
nodes:
  in:    { source: in }
  seen:  { from: in, peek: SHOWN }
  out:   { from: seen, sink: out }
";

fn peeked(reports: &[Report]) -> Vec<(String, u64)> {
    let peeked = reports.iter().filter_map(|report| match &report.kind {
        ReportKind::Peeked { shown, unshown } => {
            let (partition, offset) = report.at.clone()?;
            Some((format!("{} {partition}@{offset} {shown}", report.node), *unshown))
        }
        _ => None,
    });
    peeked.collect()
}

#[test]
fn a_peek_shows_rows_on_one_short_line_each_and_passes_all_on() -> Result<(), DriverError> {
    let long = format!("\"{}\"", "é".repeat(600));
    let null = TestRecord { key: None, value: None, ..TestRecord::new("", "", 8) };
    let broken = TestRecord { key: Some(vec![0xff, b'k']), ..TestRecord::new("", "{\n", 9) };
    let rows = [TestRecord::new("a", r#"{"n":1}"#, 7), null, broken, TestRecord::new("b", &long, 10)];
    let (read, reports) = run(&PEEK.replace("SHOWN", "true"), &rows, &["out"])?;
    assert_eq!(read[0], rows);
    let expected = [
        r#"seen in/0@0 key=a value={"n":1} timestamp=7"#.to_owned(),
        "seen in/0@1 key=null value=null timestamp=8".to_owned(),
        r"seen in/0@2 key=\xffk value={\n timestamp=9".to_owned(),
        format!("seen in/0@3 key=b value=\"{}… timestamp=10", "é".repeat(499)),
    ];
    assert_eq!(peeked(&reports), expected.map(|shown| (shown, 0)));
    // What an expression has no answer to is shown, and passes on.
    let (read, reports) = run(&PEEK.replace("SHOWN", "'{\"n\": value.n}'"), &rows, &["out"])?;
    assert_eq!(read[0], rows);
    let shown = peeked(&reports);
    assert_eq!(shown[0].0, r#"seen in/0@0 {"n":1}"#);
    assert!(shown[1].0.starts_with("seen in/0@1 (weir.expression: "), "{shown:?}");
    assert!(shown[2].0.starts_with("seen in/0@2 (weir.decode: "), "{shown:?}");
    Ok(())
}

#[test]
fn a_peek_counts_what_it_does_not_show_of_a_step() -> Result<(), DriverError> {
    let options = Options { commits: Commits::Chosen, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(&PEEK.replace("SHOWN", "value"), options)?;
    let input = driver.create_input_topic("in")?;
    input.pipe_record_list((0..25).map(|n| TestRecord::new("k", n.to_string(), n)))?;
    driver.commit()?;
    let shown = peeked(&driver.reports());
    assert_eq!(shown.len(), 10);
    assert_eq!((shown[8].1, shown[9].1), (0, 15));
    assert_eq!(driver.create_output_topic("out")?.queue_size(), 25);
    Ok(())
}

#[test]
fn a_step_takes_no_more_rows_once_a_flat_map_has_made_enough() -> Result<(), DriverError> {
    let yaml = LINES.replace("FLAT", "{ each: value.lines, value: value.pad }").replace("POLICY", "fail");
    let yaml = yaml.replace("from: in,", "from: seen,") + "  seen: { from: in, peek: key }\n";
    let options = Options { commits: Commits::Chosen, ..Options::default() };
    let driver = TopologyTestDriver::from_yaml(&yaml, options)?;
    let (items, pad) = (vec!["1"; 100].join(","), "x".repeat(80_000));
    let order = |n: i64| TestRecord::new("k", format!("{{\"lines\":[{items}],\"pad\":\"{pad}\"}}"), n);
    driver.create_input_topic("in")?.pipe_record_list((0..12).map(order))?;
    driver.commit()?;
    // In one step two of twelve would not be shown.
    assert_eq!(peeked(&driver.reports()).iter().map(|(_, unshown)| unshown).collect::<Vec<_>>(), [&0; 12]);
    let lines = driver.create_output_topic("lines")?.read_records_to_list();
    assert_eq!(
        lines.iter().map(|row| row.timestamp).collect::<Vec<_>>(),
        (0..1200).map(|n| n / 100).collect::<Vec<_>>()
    );
    Ok(())
}
