use std::io::Read;

use super::Out;
use super::client::{Client, HostArgs, escape};
use super::source::{KafkaArgs, patiently};
use crate::exit::Exit;
use crate::host::connect;
use crate::problem::Problem;
use crate::records::{self, Begin, TailArgs};

/// Bytes that are handed to stdout at one time.
const CHUNK_BYTES: usize = 64 << 10;

/// Writes the committed records of a topic to stdout, a line of JSON each.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// The topic
    topic: String,
    #[command(flatten)]
    what: TailArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    host: HostArgs,
}

impl Tail {
    /// Writes until the end, or until nobody reads.
    ///
    /// # Errors
    /// No such topic; the host or the broker does not answer.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let Some(bootstrap) = &self.kafka.bootstrap else { return self.through_host(out) };
        let connector = connect::kafka_client(bootstrap, &self.kafka.kafka_properties)?;
        let mut tail = patiently(|| records::Tail::new(connector.client(), &self.topic, &self.what))?;
        while let Some(lines) = tail.next()? {
            if !out.raw(&lines)? {
                break;
            }
        }
        Ok(Exit::Ok)
    }

    fn through_host(&self, out: &Out) -> Result<Exit, Problem> {
        let from = match self.what.from {
            Begin::Beginning => "beginning".to_owned(),
            Begin::End => "end".to_owned(),
            Begin::Offset(offset) => offset.to_string(),
            Begin::Time(time) => format!("@{time}"),
        };
        let partition = self.what.partition.map_or_else(String::new, |partition| format!("&partition={partition}"));
        let (topic, until_end) = (escape(&self.topic), self.what.until_end);
        let path = format!("topics/{topic}/records?from={}&untilEnd={until_end}{partition}", escape(&from));
        let mut answer = Client::new(&self.host).stream(&path)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = answer.read(&mut chunk);
            let read = read.map_err(|error| Problem::unreachable(format!("the host broke off: {error}")))?;
            if read == 0 || !out.raw(&chunk[..read])? {
                return Ok(Exit::Ok);
            }
        }
    }
}
