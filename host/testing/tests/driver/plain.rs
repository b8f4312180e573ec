//! What a test can do with a driver, one thing at a time.

use std::time::Duration;

use weir_testing::{Commits, DriverError, Options, TestRecord, TopologyTestDriver};

use crate::ledger::Ledgers;

const COUNTS: &str = "
application: t
topics:
  in:  { key: string, value: json }
  out: { key: string, value: json }
stores:
  totals:   { kind: key-value }
  windows:  { kind: window, retention: 1h }
  sessions: { kind: session, retention: 1h }
nodes:
  src:  { source: in }
  all:  { from: src, aggregate: count, emit: update, store: totals }
  out:  { from: all, sink: out }
  most: { from: src, window: { tumbling: 10ms }, aggregate: { max: value.n }, store: windows }
  gaps: { from: src, window: { session: 5ms }, aggregate: count, store: sessions }
";

const LEDGER: &str = "
application: t
topics:
  in:  { key: string, value: json }
  out: { key: string, value: json }
stores:
  seen: { kind: key-value, ttl: 30ms, changelog: false }
nodes:
  src: { source: in }
  led: { from: src, process: { plugin: ledger, stores: [seen], timers: true } }
  out: { from: led, sink: out }
";

fn options() -> Options {
    Options { supplier: Box::new(Ledgers), ..Options::default() }
}

fn value(record: Option<TestRecord>) -> String {
    String::from_utf8_lossy(&record.and_then(|record| record.value).unwrap_or_default()).into_owned()
}

#[test]
fn counts_windows_and_sessions_are_read_by_key_and_time() -> Result<(), DriverError> {
    let driver = TopologyTestDriver::from_yaml(COUNTS, options())?;
    let (input, output) = (driver.create_input_topic("in")?, driver.create_output_topic("out")?);
    let row = |n: i64, at| TestRecord::new("a", format!("{{\"n\":{n}}}"), at);
    input.pipe_record_list([row(3, 1), row(9, 4), row(1, 15)])?;
    assert_eq!(output.queue_size(), 3);
    assert_eq!(output.read_record(), Some(TestRecord::new("a", "1", 1)));
    assert_eq!(output.read_records_to_list().len(), 2);
    assert_eq!(driver.get_key_value_store("totals")?.get("a")?, Some(b"3".to_vec()));
    assert_eq!(driver.get_window_store("windows")?.fetch("a", 0)?, Some(b"9".to_vec()));
    assert_eq!(driver.get_window_store("windows")?.fetch("a", 10)?, Some(b"1".to_vec()));
    assert_eq!(driver.get_session_store("sessions")?.fetch_session("a", 1, 4)?, Some(b"2".to_vec()));
    assert!(matches!(driver.get_window_store("totals"), Err(DriverError::OtherKind(..))));
    assert!(matches!(driver.get_window_store("nothing"), Err(DriverError::NoSuchStore(..))));
    assert!(matches!(driver.create_input_topic("nothing"), Err(DriverError::NoSuchTopic(..))));
    driver.close()
}

#[test]
fn a_seeded_count_goes_on_from_there_after_restarts_too() -> Result<(), DriverError> {
    let driver = TopologyTestDriver::from_yaml(COUNTS, options())?;
    let (input, output) = (driver.create_input_topic("in")?, driver.create_output_topic("out")?);
    let totals = driver.get_key_value_store("totals")?;
    input.pipe_input(TestRecord::new("a", "{\"n\":1}", 1))?;
    totals.put("a", Some(b"41"), 1)?;
    input.pipe_input(TestRecord::new("a", "{\"n\":1}", 2))?;
    driver.restart()?;
    assert_eq!(totals.get("a")?, Some(b"42".to_vec()));
    assert_eq!(output.read_records_to_list().last().and_then(|row| row.value.clone()), Some(b"42".to_vec()));
    assert!(totals.put("a", Some(b"many"), 1).is_err_and(|error| error.to_string().contains("a whole number")));
    let windows = driver.get_window_store("windows")?;
    assert!(windows.put("a", 0, Some(b"1"), 1).is_err_and(|error| error.to_string().contains("pipe the rows in")));
    Ok(())
}

#[test]
fn timers_of_the_host_s_clock_fire_when_it_is_advanced() -> Result<(), DriverError> {
    let driver = TopologyTestDriver::from_yaml(LEDGER, options())?;
    let (input, output) = (driver.create_input_topic("in")?, driver.create_output_topic("out")?);
    input.pipe_input(TestRecord::new("a", "{}", 1))?; // sets one in 20 ms
    assert_eq!(value(output.read_record()), "{\"seen\":1,\"n\":1}");
    driver.advance_wall_clock_time(Duration::from_millis(19))?;
    assert!(output.is_empty());
    driver.restart()?;
    driver.advance_wall_clock_time(Duration::from_millis(1))?;
    assert_eq!(value(output.read_record()), "{\"timer\":1,\"n\":1}");
    assert!(output.is_empty());
    Ok(())
}

#[test]
fn entries_expire_by_stream_time_and_a_store_without_a_changelog_outlives_a_restart_in_peace() -> Result<(), DriverError>
{
    let driver = TopologyTestDriver::from_yaml(LEDGER, options())?;
    let (input, output) = (driver.create_input_topic("in")?, driver.create_output_topic("out")?);
    let seen = driver.get_key_value_store("seen")?;
    seen.put("b", Some(b"7"), 3)?;
    input.pipe_input(TestRecord::new("a", "{}", 3))?;
    driver.restart()?;
    input.pipe_input(TestRecord::new("b", "{}", 4))?;
    assert_eq!(seen.get("a")?, Some(b"1".to_vec()));
    assert_eq!(seen.get("b")?, Some(b"8".to_vec()));
    input.pipe_input(TestRecord::new("c", "{}", 33))?;
    assert_eq!((seen.get("a")?, seen.get("b")?), (None, Some(b"8".to_vec())));
    assert_eq!(output.queue_size(), 3);
    Ok(())
}

#[test]
fn rows_wait_for_a_chosen_commit_and_a_failed_task_says_where() -> Result<(), DriverError> {
    let options = Options { commits: Commits::Chosen, ..options() };
    let driver = TopologyTestDriver::from_yaml(LEDGER, options)?;
    let (input, output) = (driver.create_input_topic("in")?, driver.create_output_topic("out")?);
    input.pipe_record_list([TestRecord::new("a", "{}", 3), TestRecord::new("a", "{}", 4)])?;
    assert!(output.is_empty());
    driver.abort()?;
    driver.commit()?;
    assert_eq!(output.queue_size(), 2);
    input.pipe_input(TestRecord::new("a", "{\"n\":7}", 5))?;
    let error = driver.commit().map_or_else(|error| error.to_string(), |()| "no error".to_owned());
    assert_eq!(error, "task 0_0 stopped at node `led` at in/0@2: ledger.seven: it is a seven");
    Ok(())
}
