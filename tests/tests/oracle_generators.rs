//! The generated tables and joins reach what is hard: told by what Kafka Streams answers to them.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use weir_tests::Oracle;
use weir_tests::oracle::{Answer, Case, Input, Join, Operation, Record, Side, TableStep, generate};

/// Enough for a few of each kind.
const CASES: u64 = 350;

/// Asked once for all that is counted.
static TABLES: LazyLock<Vec<(Case, Answer)>> = LazyLock::new(|| answered(generate::tables));
static JOINS: LazyLock<Vec<(Case, Answer)>> = LazyLock::new(|| answered(generate::joins));

/// The number of cases that show something, for each kind.
type Counts = BTreeMap<String, usize>;

fn kind(case: &Case) -> String {
    match case.operation {
        Operation::Join(join) => format!("{} {:?}", join.name(), join.how()),
        Operation::Table(table) => match table.step {
            TableStep::GroupBy(_) => "GroupBy".to_owned(),
            step => format!("{step:?}"),
        },
        _ => "Cogroup".to_owned(),
    }
}

fn answered(generator: fn(u64) -> Case) -> Vec<(Case, Answer)> {
    let cases: Vec<Case> = (0..CASES).map(generator).collect();
    let answers = Oracle::from_env().unwrap().ask(&cases).unwrap();
    cases.into_iter().zip(answers).collect()
}

fn count(answered: &[(Case, Answer)], shows: impl Fn(&Case, &Answer) -> bool) -> Counts {
    let mut counts = Counts::new();
    for (case, answer) in answered {
        *counts.entry(kind(case)).or_default() += usize::from(shows(case, answer));
    }
    counts
}

fn sides(record: &Record) -> Option<(&str, &str)> {
    record.value.as_deref()?.split_once('|')
}

/// For how many cases the answer would be another without the last row that `is_such`.
///
/// The function is given the rows before it, and it.
fn count_mattering(answered: &[(Case, Answer)], is_such: fn(&[Input], &Input) -> bool) -> Counts {
    let without = |case: &Case| {
        let found = (0..case.inputs.len()).rev().find(|&at| is_such(&case.inputs[..at], &case.inputs[at]))?;
        let mut case = case.clone();
        case.inputs.remove(found);
        Some(case)
    };
    let asked: Vec<(&Answer, Case)> = answered.iter().filter_map(|it| Some((&it.1, without(&it.0)?))).collect();
    let cases: Vec<Case> = asked.iter().map(|it| it.1.clone()).collect();
    let answers = Oracle::from_env().unwrap().ask(&cases).unwrap();
    let mut counts: Counts = answered.iter().map(|it| (kind(&it.0), 0)).collect();
    for ((whole, case), answer) in asked.into_iter().zip(answers) {
        *counts.entry(kind(&case)).or_default() += usize::from(*whole != answer);
    }
    counts
}

fn at(input: &Input) -> i64 {
    match input {
        Input::Row { at, .. } => *at,
        Input::Advance(_) => 0,
    }
}

fn is_late(before: &[Input], row: &Input) -> bool {
    before.iter().any(|it| at(it) > at(row))
}

fn is_tombstone(_: &[Input], row: &Input) -> bool {
    matches!(row, Input::Row { value: None, key: Some(_), .. })
}

fn is_tombstone_right(before: &[Input], row: &Input) -> bool {
    is_tombstone(before, row) && matches!(row, Input::Row { side: Side::Right, .. })
}

/// A row of the other side has the same time and key.
fn is_equal_in_time(before: &[Input], row: &Input) -> bool {
    let Input::Row { side, key, at, .. } = row else { return false };
    before.iter().any(|it| matches!(it, Input::Row { side: s, key: k, at: a, .. } if s != side && k == key && a == at))
}

/// Kinds of which fewer than `least` cases show it.
fn assert_each(what: &str, counts: &Counts, least: usize, except: &[&str]) {
    println!("{what}: {counts:?}");
    let few: Vec<_> = counts.iter().filter(|(kind, n)| **n < least && !except.contains(&kind.as_str())).collect();
    assert!(few.is_empty(), "too few cases with {what}: {few:?}");
}

#[test]
fn kafka_streams_takes_every_generated_case() {
    for (case, answer) in TABLES.iter().chain(JOINS.iter()) {
        assert_eq!(answer.fails, None, "{case}");
    }
}

#[test]
fn joins_match_and_fail_to_match() {
    let answered = &JOINS;
    assert_eq!(count(answered, |_, _| true).len(), 12, "kinds of joins");
    let matches = |record: &Record| sides(record).is_some_and(|(left, right)| left != "null" && right != "null");
    let matched = count(answered, |_, answer| answer.records.iter().any(matches));
    assert_each("matches", &matched, 3, &[]);
    let alone = |record: &Record| sides(record).is_some_and(|(left, right)| (left == "null") != (right == "null"));
    let unmatched = count(answered, |_, answer| answer.records.iter().any(alone));
    for (kind, cases) in unmatched {
        assert_eq!(kind.ends_with("Inner"), cases == 0, "{kind}: {cases} cases with someone alone");
    }
}

#[test]
fn late_rows_matter() {
    assert_each("late rows", &count_mattering(&TABLES, is_late), 3, &[]);
    assert_each("late rows", &count_mattering(&JOINS, is_late), 3, &[]);
}

#[test]
fn late_rows_matter_to_a_task_that_has_all_rows_as_well() {
    let in_order = answered(|seed| generate::joins(seed).in_task_order());
    assert_each("late rows", &count_mattering(&in_order, is_late), 2, &[]);
    let differing = JOINS.iter().zip(&in_order).filter(|(one, other)| one.1 != other.1).count();
    assert!(differing as u64 > CASES / 2, "{differing} cases that are answered in another way");
}

#[test]
fn tombstones_matter() {
    assert_each("tombstones", &count_mattering(&TABLES, is_tombstone), 3, &["Cogroup"]);
    let streams = ["stream-stream Inner", "stream-stream Left", "stream-stream Outer"];
    assert_each("tombstones", &count_mattering(&JOINS, is_tombstone_right), 2, &streams);
}

#[test]
fn rows_of_both_sides_at_one_time_matter() {
    let keyed_otherwise = ["foreign-key Inner", "foreign-key Left", "stream-global Inner", "stream-global Left"];
    let counts = count_mattering(&JOINS, is_equal_in_time);
    assert_each("equal times", &counts, 3, &keyed_otherwise);
}

#[test]
fn rows_wait_for_their_table_and_changes_of_one_row_overtake_its_join() {
    let answered = &JOINS;
    // Released in the order of their times, which is not that in which they came.
    let is_reordered = |case: &Case, answer: &Answer| {
        let values: Vec<&str> = answer.records.iter().filter_map(|it| Some(sides(it)?.0)).collect();
        let came = case.inputs.iter().filter_map(|input| match input {
            Input::Row { side: Side::Left, value: Some(value), .. } => Some(value.as_str()),
            _ => None,
        });
        let mut came = came.filter(|value| values.contains(value));
        !values.iter().all(|value| came.any(|it| it == *value))
    };
    let has_grace =
        |case: &Case| matches!(case.operation, Operation::Join(Join::StreamTable { grace_ms: Some(1..), .. }));
    let reordered = answered.iter().filter(|(case, answer)| has_grace(case) && is_reordered(case, answer)).count();
    assert!(reordered >= 3, "{reordered} cases with a grace that changes the order");

    // The first change of a row that is split is never joined.
    let is_overtaken = |case: &Case, answer: &Answer| {
        case.inputs.iter().any(|input| {
            let Input::Row { side: Side::Left, value: Some(value), .. } = input else { return false };
            let Some((first, second)) = value.split_once(',') else { return false };
            let joined = |part: &str| answer.records.iter().any(|it| sides(it).is_some_and(|it| it.0 == part));
            joined(second) && !joined(first)
        })
    };
    let is_split = |case: &Case| matches!(case.operation, Operation::Join(Join::ForeignKey { split: true, .. }));
    let overtaken = answered.iter().filter(|(case, answer)| is_split(case) && is_overtaken(case, answer)).count();
    assert!(overtaken >= 3, "{overtaken} cases with an answer that nobody waits for");
}
