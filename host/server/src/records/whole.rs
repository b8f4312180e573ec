//! A topic read from its first record to what its end was at the start, more than once if need be, through any log's client
//! or through a host.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::Client;
use weir_core::record::TopicPartition;

use super::append::find;
use super::compare::At;
use crate::line::{self, Record};
use crate::problem::Problem;

/// Rows of one read.
const ROWS_MAX: usize = 4096;

/// How long one read waits for rows. Where but markers of transactions are left before the end, it waits in vain.
const READ_WAIT: Duration = Duration::from_millis(50);

/// How long a read waits for a record that is known to be there.
const RECORD_WAIT: Duration = Duration::from_secs(5);

/// Reads without a row or progress, after which a log is given up: half a minute of them.
const IDLE_READS_MAX: usize = 600;

/// A line of a host may not be longer, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What is done with a record.
pub type Take<'a> = dyn FnMut(At, Option<&[u8]>, Option<&[u8]>) -> Result<(), Problem> + 'a;

/// The records of a topic.
pub trait Whole {
    /// Hands each to `take`, a partition after the other or in turns, those of a partition in order. Returns how many.
    ///
    /// # Errors
    /// The log does not answer; those of `take`.
    fn each(&mut self, take: &mut Take<'_>) -> Result<u64, Problem>;

    /// The record at `at`.
    ///
    /// # Errors
    /// The log does not answer, or the record is gone.
    fn at(&mut self, at: At) -> Result<Record, Problem>;
}

/// Straight from a log.
pub struct OfClient {
    client: Arc<dyn Client>,
    /// Each with its first offset and its end.
    partitions: Vec<(TopicPartition, i64, i64)>,
}

impl OfClient {
    /// Of `topic`, to the ends that it has now.
    ///
    /// # Errors
    /// There is no such topic; the log does not answer.
    pub fn new(client: Arc<dyn Client>, topic: &str) -> Result<Self, Problem> {
        let (topic, count) = find(&*client, topic)?;
        let partitions = (0..count).map(|number| {
            let partition = TopicPartition::new(&topic, number);
            let (begin, end) = client.offsets(&partition)?;
            Ok((partition, begin, end))
        });
        let partitions = partitions.collect::<Result<_, Problem>>()?;
        Ok(Self { client, partitions })
    }
}

impl Whole for OfClient {
    fn each(&mut self, take: &mut Take<'_>) -> Result<u64, Problem> {
        let mut count = 0;
        for (partition, begin, end) in &self.partitions {
            let (mut next, mut idle) = (*begin, 0);
            while next < *end {
                let (rows, go_on) = self.client.read(partition, next, ROWS_MAX, READ_WAIT)?;
                idle = if rows.is_empty() && go_on <= next { idle + 1 } else { 0 };
                if idle > IDLE_READS_MAX {
                    return Err(Problem::unreachable(format!("the log gives no rows of {partition} from {next} on")));
                }
                for row in (0..rows.len()).filter(|row| rows.offsets[*row] < *end) {
                    let at = At { partition: partition.partition, offset: rows.offsets[row] };
                    take(at, rows.keys.get(row), rows.values.get(row))?;
                    count += 1;
                }
                next = go_on.max(next);
            }
        }
        Ok(count)
    }

    fn at(&mut self, at: At) -> Result<Record, Problem> {
        let of = self.partitions.iter().find(|(partition, ..)| partition.partition == at.partition);
        let (partition, ..) = of.ok_or_else(|| gone(at))?;
        let (rows, _) = self.client.read(partition, at.offset, 1, RECORD_WAIT)?;
        if rows.offsets.first() != Some(&at.offset) {
            return Err(gone(at));
        }
        let bytes = |cell: Option<&[u8]>| cell.map(<[u8]>::to_vec);
        let (key, value) = (bytes(rows.keys.get(0)), bytes(rows.values.get(0)));
        Ok(Record { key, value, timestamp: rows.timestamps[0], headers: Vec::new() })
    }
}

fn gone(at: At) -> Problem {
    Problem::failed(format!("the record {}@{} is not there any more; compare again", at.partition, at.offset))
}

/// Opens the lines of a topic: with a partition and an offset from there on, else from the beginning; to its end.
pub type Open = Box<dyn FnMut(Option<At>) -> Result<Box<dyn Read>, Problem>>;

/// Through a host.
pub struct OfHost {
    open: Open,
    /// Asked for at the start, so that its ends are of then.
    first: Option<Box<dyn Read>>,
    /// The last offset of each partition in the first reading.
    last: Option<BTreeMap<i32, i64>>,
}

impl OfHost {
    /// Of the topic whose lines `open` opens.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn new(mut open: Open) -> Result<Self, Problem> {
        let first = Some(open(None)?);
        Ok(Self { open, first, last: None })
    }
}

impl Whole for OfHost {
    fn each(&mut self, take: &mut Take<'_>) -> Result<u64, Problem> {
        let lines = match self.first.take() {
            Some(lines) => lines,
            None => (self.open)(None)?,
        };
        let (mut lines, mut count, mut last) = (BufReader::new(lines), 0, BTreeMap::new());
        while let Some((at, record)) = next_line(&mut lines)? {
            // What was written since the first reading is not compared.
            let is_new = |seen: &BTreeMap<i32, i64>| seen.get(&at.partition).is_none_or(|last| at.offset > *last);
            if self.last.as_ref().is_some_and(is_new) {
                continue;
            }
            last.insert(at.partition, at.offset);
            take(at, record.key.as_deref(), record.value.as_deref())?;
            count += 1;
        }
        self.last.get_or_insert(last);
        Ok(count)
    }

    fn at(&mut self, at: At) -> Result<Record, Problem> {
        let mut lines = BufReader::new((self.open)(Some(at))?);
        let found = next_line(&mut lines)?.filter(|(found, _)| *found == at);
        found.map(|(_, record)| record).ok_or_else(|| gone(at))
    }
}

fn next_line(lines: &mut impl BufRead) -> Result<Option<(At, Record)>, Problem> {
    let mut text = String::new();
    let read = lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut text);
    if read.map_err(|error| Problem::unreachable(format!("the host broke off: {error}")))? == 0 {
        return Ok(None);
    }
    let unknown = |error| Problem::failed(format!("the host answers what this shell does not understand: {error}"));
    let (partition, offset, record) = line::decode_with_place(&text).map_err(unknown)?;
    Ok(Some((At { partition, offset }, record)))
}
