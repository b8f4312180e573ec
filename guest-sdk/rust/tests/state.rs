//! Plugins with stores and timers, run natively.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests, and plugins for them")]

use std::ops::Bound::{Excluded, Included, Unbounded};

use weir::prelude::*;
use weir::test::{Driver, Record, all_emitted};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Seen {
    times: u32,
}

/// Commands of a record: put K V, reject-put K V, get K, del K, range, prefix P.
#[weir::processor(ports(out, late))]
fn notes(line: Str, notes: &mut KeyValue<Str, Json<Seen>>, out: &mut Out) -> Result<(), Reject> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["put", key, times] => notes.put(key, &Seen { times: times.parse().unwrap() })?,
        ["reject-put", key, times] => {
            notes.put(key, &Seen { times: times.parse().unwrap() })?;
            return Err(Reject::new("test.refused", "after a write"));
        }
        ["del", key] => notes.delete(key)?,
        ["get", key] => out.emit(format!("{:?}", notes.get(key)?.map(|seen| seen.times)))?,
        ["range"] => {
            let keys: Vec<String> = notes.range(Unbounded, Unbounded, 9)?.into_iter().map(|(key, _)| key).collect();
            let backward: Vec<String> =
                notes.range_backward(Excluded("a"), Included("c"), 9)?.into_iter().map(|(key, _)| key).collect();
            out.record(format!("{} {}", keys.join(","), backward.join(","))).port("late").emit()?;
        }
        ["prefix", head] => {
            let keys: Vec<String> = notes.prefix(head, Some("aa"), 9)?.into_iter().map(|(key, _)| key).collect();
            out.emit(keys.join(","))?;
        }
        _ => unreachable!("no such command: {line:?}"),
    }
    Ok(())
}

fn run(lines: &[&str]) -> Vec<String> {
    let mut whole = Driver::<notes>::new("null").unwrap();
    let records: Vec<Record> = lines.iter().map(Record::new).collect();
    let shown = |outcome: weir::test::Result| match outcome {
        Ok(emitted) => emitted.iter().map(|emitted| emitted.value_text().into_owned()).collect::<String>(),
        Err(reject) => reject.code().to_owned(),
    };
    let at_once: Vec<String> = whole.pipe(&records).into_iter().map(shown).collect();
    let mut one = Driver::<notes>::new("null").unwrap();
    let one_by_one: Vec<String> = records.into_iter().map(|record| shown(one.pipe_one(record))).collect();
    assert_eq!(at_once, one_by_one, "where a batch ends must not show");
    at_once
}

#[test]
fn a_row_reads_what_the_rows_before_it_wrote_and_nothing_of_a_refused_one() {
    let outcomes = run(&["put a 1", "get a", "reject-put a 2", "get a", "reject-put b 3", "get b", "del a", "get a"]);
    assert_eq!(outcomes, ["", "Some(1)", "test.refused", "Some(1)", "test.refused", "None", "", "None"]);
}

#[test]
fn ranges_see_the_writes_of_their_own_call() {
    let outcomes =
        run(&["put a 1", "put c 1", "put b 1", "range", "del b", "put aa 1", "put ab 1", "range", "prefix a"]);
    assert_eq!(outcomes, ["", "", "", "a,b,c c,b", "", "", "", "a,aa,ab,c c,ab,aa", "ab"]);
}

#[test]
fn what_another_wrote_is_refused_and_not_misread() {
    let mut driver = Driver::<notes>::new("null").unwrap();
    driver.store("notes", |notes: &mut KeyValue<Str, i64>| notes.put("a", &7)).unwrap();
    let reject = driver.pipe_one("get a").unwrap_err();
    assert_eq!(reject.code(), "weir.state");
    assert_eq!(driver.store("notes", |notes: &mut KeyValue<Str, i64>| notes.get("a")), Ok(Some(7)));
}

#[weir::processor(on_timer = closed)]
fn windows(
    value: Str,
    key: Key<Str>,
    at: Timestamp,
    #[store(prefetch = key)] totals: &mut KeyValue<Str, i64>,
    per_minute: &mut WindowStore<Str, i64>,
    visits: &mut SessionStore<Str, i32>,
    timers: &mut Timers,
    out: &mut Out,
) -> Result<(), Reject> {
    let start = at.millis - at.millis % 60_000;
    let count = per_minute.get(&key, start)?.unwrap_or(0) + 1;
    per_minute.put(&key, start, &count)?;
    let total = totals.get(&key)?.unwrap_or(0) + 1;
    totals.put(&key, &total)?;
    let (mut begin, mut end, mut visited) = (at.millis, at.millis, 1);
    for session in visits.fetch(&key, at.millis - 1_000, at.millis + 1_000, None, 10)? {
        visits.delete(&key, session.start, session.end)?;
        (begin, end) = (begin.min(session.start), end.max(session.end));
        visited += session.value;
    }
    visits.put(&key, begin, end, &visited)?;
    timers.schedule(key, start + 60_000);
    if *value == *"bad" {
        return Err(Reject::new("test.bad", "a bad one"));
    }
    out.emit(format!("{count} {total} {visited}"))
}

fn closed(
    timer: Timer,
    _: &mut KeyValue<Str, i64>,
    per_minute: &mut WindowStore<Str, i64>,
    _: &mut SessionStore<Str, i32>,
    timers: &mut Timers,
    out: &mut Out,
) -> Result<(), Reject> {
    let start = timer.at - 60_000;
    let Some(count) = per_minute.get(&timer.name_text(), start)? else { return Ok(()) };
    per_minute.delete(&timer.name_text(), start)?;
    timers.schedule_after("rest", 5);
    out.emit(format!("{} had {count}", timer.name_text()))
}

#[test]
fn windows_sessions_and_timers_keep_what_succeeded() {
    let mut driver = Driver::<windows>::new("null").unwrap();
    let record = |value: &str, key: &str, at| Record::new(value).key(key).timestamp(at);
    let batch = [
        record("x", "a", 10),
        record("bad", "a", 20),
        record("x", "a", 500),
        record("x", "b", 70_000),
        record("x", "a", 5_000),
    ];
    let outcomes = driver.pipe(&batch);
    let texts: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().map_or("refused".to_owned(), |emitted| emitted[0].value_text().into_owned()))
        .collect();
    assert_eq!(texts, ["1 1 1", "refused", "2 2 2", "1 1 1", "3 3 1"]);
    assert_eq!(driver.timers(), [("a".to_owned(), 60_000), ("b".to_owned(), 120_000)]);
    let fired = all_emitted(driver.advance(120_000));
    let fired: Vec<_> = fired.iter().map(|emitted| (emitted.value_text().into_owned(), emitted.timestamp)).collect();
    assert_eq!(fired, [("a had 3".to_owned(), 60_000), ("b had 1".to_owned(), 120_000)]);
    assert_eq!(driver.timers(), [("rest".to_owned(), 120_005)]);
    let sessions = driver.store("visits", |visits: &mut SessionStore<Str, i32>| visits.fetch("a", 0, 9_999, None, 9));
    let sessions: Vec<_> = sessions.unwrap().into_iter().map(|visit| (visit.start, visit.end, visit.value)).collect();
    assert_eq!(sessions, [(10, 500, 2), (5_000, 5_000, 1)]);
    let left = driver.store("per-minute", |windows: &mut WindowStore<Str, i64>| windows.all(0, 99_999, None, 9));
    assert_eq!(left, Ok(vec![]));
}

#[derive(Default, serde::Deserialize)]
struct Least {
    #[serde(default)]
    floor: i64,
}

#[weir::aggregator(config)]
impl Aggregator for Least {
    type Row<'a> = Str<'a>;
    type Value = i64;

    fn initial(&self) -> i64 {
        i64::MAX
    }

    fn add(&self, least: &mut i64, row: Str<'_>) -> Result<(), Reject> {
        let number = row.parse::<i64>();
        *least = i64::MIN; // what a refused row did is undone
        let number = number.map_err(|error| Reject::new("test.number", error.to_string()))?;
        *least = number.max(self.floor);
        Ok(())
    }

    fn merge(&self, left: i64, right: i64) -> i64 {
        left.min(right)
    }
}

#[test]
fn a_refused_row_leaves_an_aggregate_as_it_was() {
    let (value, rejects) = weir::test::fold::<Least>(r#"{"floor":3}"#, None, &["7", "x", "5", "", "1", "y"]);
    assert_eq!(value, Some(3_i64.to_be_bytes().to_vec()));
    assert_eq!(rejects.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3, 5]);
    let (value, _) = weir::test::fold::<Least>("null", Some(&9_i64.to_be_bytes()), &["x"]);
    assert_eq!(value, Some(9_i64.to_be_bytes().to_vec()));
    let (value, _) = weir::test::fold::<Least>("null", None, &["x"]);
    assert_eq!(value, None, "nothing was ever added");
}
