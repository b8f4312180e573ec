use std::io::BufRead;
use std::time::Duration;

use super::Out;
use super::client::{Client, HostArgs, Request, escape};
use super::source::{KafkaArgs, patiently};
use crate::exit::Exit;
use crate::host::connect;
use crate::problem::Problem;
use crate::records::{Appended, Appender, Lines};
use crate::units::now_ms;

/// Records that are written at one time.
const RECORDS_MAX: usize = 10_000;

/// Bytes of lines that are written at one time.
const BYTES_MAX: usize = 4 << 20;

/// A line may not be longer.
const LINE_BYTES_MAX: usize = 16 << 20;

/// How long lines are gathered before they are written, where they come slowly.
const GATHER_MAX: Duration = Duration::from_millis(50);

/// Writes the lines of stdin to a topic: {"key": .., "value": .., "ts": .., "headers": {..}}.
///
/// A JSON string stands for its bytes, other JSON for its text, {"base64": ".."} for bytes that are no text. A line that is
/// none ends it with exit 6 and its number; the lines before it have been written.
#[derive(Debug, clap::Args)]
pub struct Produce {
    /// The topic
    topic: String,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    host: HostArgs,
}

impl Produce {
    /// Writes until stdin ends.
    ///
    /// # Errors
    /// A bad line; the host or the broker does not answer.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let mut to: Box<dyn Destination> = match &self.kafka.bootstrap {
            Some(bootstrap) => {
                let connector = connect::kafka_client(bootstrap, &self.kafka.kafka_properties)?;
                let appender = patiently(|| Appender::new(connector.client(), &self.topic))?;
                Box::new(Direct { appender })
            }
            None => {
                let path = format!("topics/{}/records", escape(&self.topic));
                Box::new(ThroughHost { client: Client::new(&self.host), path, appended: Appended::default() })
            }
        };
        let ended = pump(&mut *to);
        let appended = to.appended();
        let count = appended.written;
        out.data(appended, |_| format!("{count} written"))?;
        ended.map(|()| Exit::Ok)
    }
}

fn pump(to: &mut dyn Destination) -> Result<(), Problem> {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Result<Vec<u8>, Problem>>(RECORDS_MAX);
    // Reads beside, so that slow lines are written when they come and not when many have.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let line = read_line(&mut stdin).transpose();
            let Some(line) = line else { return };
            let failed = line.is_err();
            if sender.send(line).is_err() || failed {
                return;
            }
        }
    });
    let mut lines = Lines::default();
    while let Ok(first) = receiver.recv() {
        let mut chunk = Chunk::default();
        let mut ended = chunk.add(&mut lines, first);
        let until = std::time::Instant::now() + GATHER_MAX;
        while ended.is_ok() && chunk.records.len() < RECORDS_MAX && chunk.text.len() < BYTES_MAX {
            let wait = until.saturating_duration_since(std::time::Instant::now());
            let Ok(line) = receiver.recv_timeout(wait) else { break };
            ended = chunk.add(&mut lines, line);
        }
        // What came before a bad line is written.
        if !chunk.records.is_empty() {
            to.write(&chunk)?;
        }
        ended?;
    }
    Ok(())
}

fn read_line(from: &mut impl BufRead) -> Result<Option<Vec<u8>>, Problem> {
    use std::io::Read;
    let mut line = Vec::new();
    let read = from.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line);
    let read = read.map_err(|error| Problem::failed(format!("cannot read stdin: {error}")))?;
    if read == LINE_BYTES_MAX {
        return Err(Problem::invalid(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
    }
    Ok((read > 0).then_some(line))
}

#[derive(Default)]
struct Chunk {
    records: Vec<crate::line::Record>,
    text: Vec<u8>,
}

impl Chunk {
    fn add(&mut self, lines: &mut Lines, line: Result<Vec<u8>, Problem>) -> Result<(), Problem> {
        let line = line?;
        if let Some(record) = lines.record(&line, now_ms())? {
            self.records.push(record);
            self.text.extend_from_slice(line.trim_ascii_end());
            self.text.push(b'\n');
        }
        Ok(())
    }
}

trait Destination {
    fn write(&mut self, chunk: &Chunk) -> Result<(), Problem>;
    fn appended(&self) -> &Appended;
}

struct Direct {
    appender: Appender,
}

impl Destination for Direct {
    fn write(&mut self, chunk: &Chunk) -> Result<(), Problem> {
        self.appender.append(&chunk.records)
    }

    fn appended(&self) -> &Appended {
        &self.appender.appended
    }
}

struct ThroughHost {
    client: Client,
    path: String,
    appended: Appended,
}

impl Destination for ThroughHost {
    fn write(&mut self, chunk: &Chunk) -> Result<(), Problem> {
        let headers = [("content-type", "application/jsonl")];
        let request = Request { path: &self.path, headers: &headers, body: &chunk.text };
        let appended: Appended = self.client.post(&request)?;
        self.appended.written += appended.written;
        self.appended.offsets.extend(appended.offsets);
        Ok(())
    }

    fn appended(&self) -> &Appended {
        &self.appended
    }
}
