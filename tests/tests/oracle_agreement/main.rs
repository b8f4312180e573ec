//! Weir emits what Kafka Streams emits, record by record: key, value, timestamp and order, on generated cases.
//!
//! `WEIR_ORACLE_CASES=5000` asks for so many, `WEIR_ORACLE_SEED=7` for others; a failure names the seed of its case.

mod driver;
mod file;
mod plugin;
mod topology;

use std::env;

use anyhow::{Context, Result};
use weir_tests::Oracle;
use weir_tests::oracle::{Case, first_difference, generate, shrink, side_by_side};

use driver::Way;

/// Each commit's share; a run in full is 5,000 or more.
const CASES: u64 = 400;
/// Cases asked for at once.
const CASES_AT_ONCE: usize = 200;
/// Differences told: they often have one cause.
const SHOWN_MAX: usize = 5;

fn number(name: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = env::var(name) else { return Ok(otherwise) };
    text.parse().with_context(|| format!("{name}={text} is no number"))
}

/// Cases of one kind.
struct Family {
    generate: fn(u64) -> Case,
    /// Cases that have differed once.
    found: &'static [u64],
}

/// A case as it is put to both: whoever takes several rows at once takes those of two topics in the order of their times.
fn as_taken(case: Case, way: Way) -> Case {
    if matches!(way, Way::RowByRow) { case } else { case.in_task_order() }
}

/// The least case that differs as that of `seed` does, with both answers.
fn explain(oracle: &mut Oracle, family: &Family, seed: u64, way: Way) -> Result<String> {
    let case = shrink(as_taken((family.generate)(seed), way), |cases| {
        let cases: Vec<Case> = cases.iter().cloned().map(|case| as_taken(case, way)).collect();
        let answers = oracle.ask(&cases)?;
        let pairs = cases.iter().zip(&answers);
        Ok(pairs.map(|(case, streams)| first_difference(streams, &driver::answer(case, way)).is_some()).collect())
    })?;
    let case = as_taken(case, way);
    let answers = oracle.ask(std::slice::from_ref(&case))?;
    let shown = side_by_side(&answers[0], &driver::answer(&case, way));
    Ok(format!("WEIR_ORACLE_SEED={seed} WEIR_ORACLE_CASES=1, {way:?}\n{case}\n{shown}"))
}

/// Those of `seeds` that differ in a way, and the number of records compared.
fn differing(oracle: &mut Oracle, family: &Family, seeds: &[u64], ways: &[Way]) -> Result<(usize, Vec<(u64, Way)>)> {
    let (mut records, mut differing) = (0, Vec::new());
    for seeds in seeds.chunks(CASES_AT_ONCE) {
        let cases = seeds.iter().map(|&seed| as_taken((family.generate)(seed), ways[0]));
        let cases: Vec<Case> = cases.collect();
        let answers = oracle.ask(&cases)?;
        for ((&seed, case), streams) in seeds.iter().zip(&cases).zip(&answers) {
            records += streams.records.len();
            let differs = |way: &Way| first_difference(streams, &driver::answer(case, *way)).is_some();
            differing.extend(ways.iter().find(|way| differs(way)).map(|way| (seed, *way)));
        }
    }
    Ok((records, differing))
}

fn assert_agreement(family: &Family) -> Result<()> {
    let mut oracle = Oracle::from_env()?;
    let (first, count) = (number("WEIR_ORACLE_SEED", 1)?, number("WEIR_ORACLE_CASES", CASES)?);
    let seeds: Vec<u64> = family.found.iter().copied().chain(first..first + count).collect();
    let is_had = |seed: &u64| driver::has(&(family.generate)(*seed).operation);
    let seeds: Vec<u64> = seeds.into_iter().filter(is_had).collect();
    let (records, mut found) = differing(&mut oracle, family, &seeds, &Way::ALL[..1])?;
    found.extend(differing(&mut oracle, family, &seeds, &Way::ALL[1..])?.1);
    let shown = found.iter().take(SHOWN_MAX).map(|&(seed, way)| explain(&mut oracle, family, seed, way));
    let shown: Vec<String> = shown.collect::<Result<_>>()?;
    assert!(found.is_empty(), "{} of {} cases differ:\n\n{}", found.len(), seeds.len(), shown.join("\n"));
    println!("{} cases, {records} records: no difference", seeds.len());
    assert!(seeds.len() as u64 > count / 20, "too few of the generated cases are of what Weir has");
    Ok(())
}

#[test]
fn weir_emits_what_kafka_streams_emits_of_aggregates() -> Result<()> {
    // A session past its retention lay within a later one until the store dropped it.
    assert_agreement(&Family { generate: generate::aggregates, found: &[4240] })
}

#[test]
fn weir_emits_what_kafka_streams_emits_of_tables() -> Result<()> {
    assert_agreement(&Family { generate: generate::tables, found: &[] })
}

#[test]
fn weir_emits_what_kafka_streams_emits_of_joins() -> Result<()> {
    assert_agreement(&Family { generate: generate::joins, found: &[] })
}
