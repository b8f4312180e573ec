//! Lines of words, numbered as orders are: the same number is always the same line, so that anybody can count the words.
//! A host counts them as the example word-count does, and tells every count.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::kafka::{Isolation, Kafka, Row, TopicReader};

/// How often each word is there.
pub type Counts = BTreeMap<String, i64>;

/// Different words that the lines have.
pub const WORDS: u64 = 307;
const WORDS_A_LINE: u64 = 3;
const READ_POLL: Duration = Duration::from_millis(20);

/// The changelog of the counts of application `application`.
pub fn changelog(application: &str) -> String {
    format!("{application}-counts-changelog")
}

/// A topology file that counts the words of topic `input` and tells each new count to topic `output`.
pub fn topology(application: &str, input: &str, output: &str, partitions: i32) -> String {
    format!(
        "\
application: {application}
topics:
  {input}: {{ key: string, value: string, partitions: {partitions} }}
  {output}: {{ key: string, value: json, partitions: {partitions} }}
stores:
  counts:  {{ kind: key-value }}
nodes:
  lines:   {{ source: {input} }}
  words:   {{ from: lines, process: {{ plugin: word-split, key: string, value: string }} }}
  by-word: {{ from: words, repartition: by-word }}
  counts:  {{ from: by-word, aggregate: count, store: counts, emit: update }}
  out:     {{ from: counts, sink: {output} }}
"
    )
}

/// The words of line `number`.
fn words(number: u64) -> impl Iterator<Item = String> {
    (0..WORDS_A_LINE).map(move |place| format!("word{}", (number * WORDS_A_LINE + place) * 7919 % WORDS))
}

/// Line `number`: its key has nothing to do with its words.
pub fn line(number: u64) -> (String, String) {
    (format!("line-{number}"), words(number).collect::<Vec<_>>().join(" "))
}

/// How often each word is in these lines.
pub fn count(numbers: Range<u64>) -> Counts {
    let mut counts = Counts::new();
    numbers.flat_map(words).for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

/// Puts lines in at `rate` per second.
pub fn produce(kafka: &Kafka, topic: &str, numbers: Range<u64>, rate: Option<u64>) -> Result<()> {
    let lines = numbers.map(line).map(|(key, value)| (Some(key), Some(value)));
    kafka.produce(topic, lines, rate)
}

/// The counts that were told and committed so far. Each must be greater by one than the one told before of its word.
pub struct Told {
    reader: TopicReader,
    last: Counts,
}

impl Told {
    /// Nothing is read yet of what is told in `topic`.
    pub fn new(kafka: &Kafka, topic: &str) -> Result<Self> {
        Ok(Self { reader: kafka.read(topic, Isolation::Committed)?, last: Counts::new() })
    }

    /// The last count of each word, from here on: as if all counts so far had been told.
    pub fn expect_after(&mut self, last: Counts) {
        self.last = last;
    }

    /// Reads on until the last count of each word is what `counts` says, at most for `wait`.
    pub fn wait(&mut self, counts: &Counts, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        while self.last != *counts {
            let rows = self.reader.poll(READ_POLL)?;
            rows.iter().try_for_each(|row| self.take_in(row))?;
            if rows.is_empty() && Instant::now() >= deadline {
                let differs = |word: &&String| self.last.get(*word) != counts.get(*word);
                let words = counts.keys().chain(self.last.keys()).filter(differs);
                let shown = |word: &String| format!("{word}: {:?} of {:?}", self.last.get(word), counts.get(word));
                let some: Vec<String> = words.take(5).map(shown).collect();
                ensure!(false, "counts are wrong after {wait:?}: {}", some.join("; "));
            }
        }
        Ok(())
    }

    fn take_in(&mut self, row: &Row) -> Result<()> {
        let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap_or_default());
        let (word, count) = (text(&row.key)?, text(&row.value)?);
        let count: i64 = count.parse().with_context(|| format!("`{count}` of `{word}` is no count"))?;
        let before = self.last.insert(word.clone(), count).unwrap_or_default();
        ensure!(count == before + 1, "the count of {word} goes from {before} to {count}, at {:?}", row.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_over_all_lines() {
        assert_eq!(line(0), ("line-0".into(), "word0 word244 word181".into()));
        let counts = count(0..WORDS);
        assert_eq!((counts.len() as u64, counts["word0"]), (WORDS, WORDS_A_LINE as i64));
    }
}
