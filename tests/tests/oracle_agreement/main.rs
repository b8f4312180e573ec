//! Weir emits what Kafka Streams emits, record by record: key, value, timestamp and order, on generated cases.
//!
//! `WEIR_ORACLE_CASES=5000` asks for so many, `WEIR_ORACLE_SEED=7` for others; a failure names the seed of its case.

mod driver;
mod plugin;
mod topology;

use std::env;

use anyhow::{Context, Result};
use weir_tests::Oracle;
use weir_tests::oracle::{Case, first_difference, generate, shrink, side_by_side};

use driver::Way;

/// Each commit's share; a run in full is 5,000 or more.
const CASES: u64 = 400;
/// Cases that have differed once. 4240: a session past its retention lay within a later one until the store dropped it.
const FOUND: [u64; 1] = [4240];
/// Cases asked for at once.
const CASES_AT_ONCE: usize = 200;
/// Differences told: they often have one cause.
const SHOWN_MAX: usize = 5;

fn number(name: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = env::var(name) else { return Ok(otherwise) };
    text.parse().with_context(|| format!("{name}={text} is no number"))
}

/// The least case that differs as that of `seed` does, with both answers.
fn explain(oracle: &mut Oracle, seed: u64, way: Way) -> Result<String> {
    let case = shrink(generate(seed), |cases| {
        let answers = oracle.ask(cases)?;
        let pairs = cases.iter().zip(&answers);
        Ok(pairs.map(|(case, streams)| first_difference(streams, &driver::answer(case, way)).is_some()).collect())
    })?;
    let answers = oracle.ask(std::slice::from_ref(&case))?;
    let shown = side_by_side(&answers[0], &driver::answer(&case, way));
    Ok(format!("WEIR_ORACLE_SEED={seed} WEIR_ORACLE_CASES=1, {way:?}\n{case}\n{shown}"))
}

#[test]
fn weir_emits_what_kafka_streams_emits() {
    let mut oracle = Oracle::from_env().unwrap();
    let (first, count) = (number("WEIR_ORACLE_SEED", 1).unwrap(), number("WEIR_ORACLE_CASES", CASES).unwrap());
    let seeds: Vec<u64> = FOUND.into_iter().chain(first..first + count).collect();
    let (mut records, mut differing) = (0, Vec::new());
    for seeds in seeds.chunks(CASES_AT_ONCE) {
        let cases: Vec<Case> = seeds.iter().map(|&seed| generate(seed)).collect();
        let answers = oracle.ask(&cases).unwrap();
        for ((&seed, case), streams) in seeds.iter().zip(&cases).zip(&answers) {
            records += streams.records.len();
            let differs = |way: &Way| first_difference(streams, &driver::answer(case, *way)).is_some();
            differing.extend(Way::ALL.into_iter().find(differs).map(|way| (seed, way)));
        }
    }
    let shown = differing.iter().take(SHOWN_MAX).map(|&(seed, way)| explain(&mut oracle, seed, way).unwrap());
    let shown: Vec<String> = shown.collect();
    assert!(differing.is_empty(), "{} of {count} cases differ:\n\n{}", differing.len(), shown.join("\n"));
    println!("{} cases, {records} records: no difference", seeds.len());
}
