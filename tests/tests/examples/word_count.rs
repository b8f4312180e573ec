//! The example word-count: how often each word is in the generator's lines.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Stage, passes};

const NAME: &str = "word-count";
const LINES: u64 = 4_000;
const SEED: u64 = 7;
const TOPICS: [&str; 2] = ["lines", "word-counts"];

type Counts = BTreeMap<String, i64>;

/// Counted by going through the letters one by one.
fn reckon(lines: &[Value]) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in lines {
        let mut word = String::new();
        for letter in line["value"].as_str().context("a line is a string")?.chars().chain([' ']) {
            if letter == '_' || letter.is_alphanumeric() {
                word.extend(letter.to_lowercase());
            } else if !word.is_empty() {
                let word = std::mem::take(&mut word);
                if word != "the" {
                    *counts.entry(word).or_default() += 1;
                }
            }
        }
    }
    Ok(counts)
}

/// What is wrong with what was told, if anything.
fn object(stage: &Stage, counts: &Counts) -> Result<Option<String>> {
    let mut last = Counts::new();
    for row in stage.tail("word-counts")? {
        let pair = row["key"].as_str().zip(row["value"].as_i64());
        let (word, count) = pair.with_context(|| format!("no count: {row}"))?;
        let before = last.insert(word.to_owned(), count).unwrap_or_default();
        ensure!(count > before, "the count of {word} goes from {before} to {count}");
    }
    let words: BTreeSet<&String> = last.keys().chain(counts.keys()).collect();
    let differs = words.into_iter().find(|word| last.get(*word) != counts.get(*word));
    if let Some(word) = differs {
        return Ok(Some(format!("{word}: told {:?}, counted {:?}", last.get(word), counts.get(word))));
    }
    let mut stored = Counts::new();
    for host in &stage.hosts {
        for (word, count) in host.store("counts")? {
            ensure!(stored.insert(word.clone(), count).is_none(), "two hosts have {word}");
        }
    }
    Ok((stored != *counts).then(|| "the stores do not hold what was told".to_owned()))
}

fn counts(stage: Stage) -> Result<()> {
    let lines = stage.generate("lines", LINES, SEED)?;
    ensure!(lines.len() as u64 == LINES);
    let counts = reckon(&lines)?;
    ensure!(counts.len() > 1_000 && !counts.contains_key("the") && counts.contains_key("weir"), "no natural language");
    stage.wait(|stage| object(stage, &counts))?;
    let shares: Vec<usize> =
        stage.hosts.iter().map(|host| Ok(host.store("counts")?.len())).collect::<Result<Vec<_>>>()?;
    ensure!(shares.iter().all(|share| *share > 0), "a host has nothing to do: {shares:?}");
    println!("{} words in {LINES} lines; words of each host: {shares:?}", counts.len());
    stage.end()
}

#[test]
fn word_count_counts_the_words_of_its_case() -> Result<()> {
    passes(NAME)
}

#[test]
fn word_count_counts_generated_lines_on_the_embedded_log() -> Result<()> {
    counts(Stage::embedded(NAME)?)
}

#[test]
fn word_count_counts_generated_lines_on_kafka_with_two_hosts() -> Result<()> {
    counts(Stage::kafka(NAME, &TOPICS, 2)?)
}
