use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use weir_core::ports::Client;
use weir_core::record::TopicPartition;

use super::append::find;
use crate::line;
use crate::problem::Problem;
use crate::units;

/// Rows of one read.
const ROWS_MAX: usize = 4096;

/// How long one round over all partitions waits for rows.
const ROUND_WAIT: Duration = Duration::from_millis(100);

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The first record there is.
    Beginning,
    /// What comes from now on.
    End,
    /// This offset, in every partition.
    Offset(i64),
    /// The first record of this time or later, in milliseconds since 1970 UTC.
    Time(i64),
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            _ => match text.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => units::time_ms(text).map(Self::Time).map_err(|_| {
                    format!("`{text}` is neither beginning, end, an offset nor a time such as 2026-01-31T12:00:00Z")
                }),
            },
        }
    }
}

/// What is to be read.
#[derive(Clone, Debug, clap::Args)]
pub struct TailArgs {
    /// Where to begin: beginning, end, an offset or a time such as 2026-01-31T12:00:00Z
    #[arg(long, default_value = "end", value_name = "WHERE")]
    pub from: Begin,
    /// Stop at what is the end now, instead of waiting for more
    #[arg(long)]
    pub until_end: bool,
    /// Only this partition
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<i32>,
}

/// Reads committed records of a topic, a line each.
pub struct Tail {
    client: Arc<dyn Client>,
    partitions: Vec<Cursor>,
    until_end: bool,
}

struct Cursor {
    partition: TopicPartition,
    next: i64,
    /// As it was at the start.
    end: i64,
}

impl Tail {
    /// Of `topic`.
    ///
    /// # Errors
    /// There is no such topic or partition; the log does not answer.
    pub fn new(client: Arc<dyn Client>, topic: &str, args: &TailArgs) -> Result<Self, Problem> {
        let (topic, count) = find(&*client, topic)?;
        let numbers = match args.partition {
            Some(number) if !(0..count).contains(&number) => {
                return Err(Problem::not_found(format!(
                    "topic `{topic}` has no partition {number}, but 0 to {}",
                    count - 1
                )));
            }
            Some(number) => number..number + 1,
            None => 0..count,
        };
        let mut partitions = Vec::new();
        for number in numbers {
            let partition = TopicPartition::new(&topic, number);
            let (begin, end) = client.offsets(&partition)?;
            let next = match args.from {
                Begin::Beginning => begin,
                Begin::End => end,
                Begin::Offset(offset) => offset.clamp(begin, end),
                Begin::Time(time) => client.offset_at(&partition, time)?,
            };
            partitions.push(Cursor { partition, next, end });
        }
        Ok(Self { client, partitions, until_end: args.until_end })
    }

    /// The next lines, at most of one read per partition; empty: none came. None: the end is reached.
    ///
    /// # Errors
    /// The log does not answer.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let mut lines = Vec::new();
        let waiting = self.partitions.iter().filter(|cursor| !self.until_end || cursor.next < cursor.end).count();
        if waiting == 0 {
            return Ok(None);
        }
        let wait = ROUND_WAIT / waiting as u32;
        for cursor in self.partitions.iter_mut().filter(|cursor| !self.until_end || cursor.next < cursor.end) {
            // Where rows have come already, the others are only looked at.
            let wait = if lines.is_empty() { wait } else { Duration::ZERO };
            let (rows, next) = self.client.read(&cursor.partition, cursor.next, ROWS_MAX, wait)?;
            for row in 0..rows.len() {
                if !self.until_end || rows.offsets[row] < cursor.end {
                    lines.extend_from_slice(line::encode(&cursor.partition, &rows, row).as_bytes());
                }
            }
            cursor.next = next.max(cursor.next);
        }
        Ok(Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_word_an_offset_or_a_time() {
        assert_eq!("beginning".parse(), Ok(Begin::Beginning));
        assert_eq!("17".parse(), Ok(Begin::Offset(17)));
        assert_eq!("1970-01-01T00:00:02Z".parse(), Ok(Begin::Time(2000)));
        assert!("-1".parse::<Begin>().unwrap_err().contains("neither beginning"));
    }
}
