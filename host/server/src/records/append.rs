use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_core::ports::Client;
use weir_core::record::{RecordBatch, TopicName, TopicPartition, partition};

use crate::line::{self, Record};
use crate::problem::{Mistake, Problem};

/// What an append came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Records written.
    pub written: u64,
    /// The offset of the last one written to each partition.
    pub offsets: BTreeMap<i32, i64>,
}

/// Writes records to a topic, each to the partition that the engine would choose.
pub struct Appender {
    client: Arc<dyn Client>,
    topic: TopicName,
    partitions: i32,
    /// Counts records without a key: they go round.
    round: u64,
    /// All together.
    pub appended: Appended,
}

impl Appender {
    /// To `topic`.
    ///
    /// # Errors
    /// There is no such topic; the log does not answer.
    pub fn new(client: Arc<dyn Client>, topic: &str) -> Result<Self, Problem> {
        let (topic, partitions) = find(&*client, topic)?;
        Ok(Self { client, topic, partitions, round: 0, appended: Appended::default() })
    }

    /// Writes `records`; returns once all are durable.
    ///
    /// # Errors
    /// The log does not answer; some may have been written.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Problem> {
        let mut batches: BTreeMap<i32, RecordBatch> = BTreeMap::new();
        for record in records {
            let to = partition(record.key.as_deref(), self.round, self.partitions);
            self.round += u64::from(record.key.is_none());
            record.push_to(batches.entry(to).or_default());
        }
        for (number, batch) in batches {
            let offsets = self.client.append(&TopicPartition::new(&self.topic, number), &batch)?;
            self.appended.written += offsets.len() as u64;
            if let Some(last) = offsets.last() {
                self.appended.offsets.insert(number, *last);
            }
        }
        Ok(())
    }
}

/// A topic and its partitions.
///
/// # Errors
/// There is no such topic; the log does not answer.
pub fn find(client: &dyn Client, topic: &str) -> Result<(TopicName, i32), Problem> {
    let topic = TopicName::from(topic);
    let partitions = client.partitions(std::slice::from_ref(&topic))?.get(&topic).copied();
    partitions.map(|partitions| (topic.clone(), partitions)).ok_or_else(|| {
        Problem::not_found(format!("there is no topic `{topic}`; `weir run` makes those of its topology"))
    })
}

/// Reads lines as records, counting them.
#[derive(Debug, Default)]
pub struct Lines {
    line: usize,
}

impl Lines {
    /// The record of the next line; none: the line is empty.
    ///
    /// # Errors
    /// What is wrong with it, with its number.
    pub fn record(&mut self, line: &[u8], now_ms: i64) -> Result<Option<Record>, Problem> {
        self.line += 1;
        let wrong = |detail: String| {
            let mistake = Mistake { line: Some(self.line), detail, ..Mistake::default() };
            Problem::invalid(format!("line {} is no record", self.line)).with(vec![mistake])
        };
        let text = std::str::from_utf8(line).map_err(|error| wrong(format!("not UTF-8 text: {error}")))?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        line::decode(text, now_ms).map(Some).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_told_by_its_number_and_empty_ones_are_passed_over() {
        let mut lines = Lines::default();
        assert!(lines.record(b"{}\n", 0).unwrap().is_some());
        assert_eq!(lines.record(b"  \n", 0).unwrap(), None);
        let problem = lines.record(b"oops", 0).unwrap_err();
        assert_eq!((problem.errors[0].line, problem.exit()), (Some(3), crate::exit::Exit::Invalid));
        assert!(lines.record(b"\xff", 0).unwrap_err().render().contains("line 4: not UTF-8"));
    }
}
