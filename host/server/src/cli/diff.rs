use std::io::Read;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Out;
use super::client::{Client, HostArgs, escape};
use super::source::{KafkaArgs, patiently};
use crate::exit::Exit;
use crate::host::connect;
use crate::line;
use crate::problem::Problem;
use crate::records::compare::{At, By, Comparison, Differing, KEY_BYTES, Sequences};
use crate::records::whole::{OfClient, OfHost, Whole};

/// Values of a key, on either side, that are looked at for the first that differs.
const VALUES_MAX: usize = 1_000_000;

/// Compares the committed records of two topics, each to the end that it has at the start.
///
/// Differences go to stdout with their coordinates, TOPIC/PARTITION@OFFSET. JSON values are compared as JSON, others and keys
/// as bytes; timestamps and headers are not compared. Records without a key are compared as a whole, in no order.
///
/// It holds some 200 bytes in memory for each key, values as hashes; more keys than --keys-max are refused. Through the host at
/// --host, or straight from a Kafka or from the embedded log of a host that is stopped. Exit 0: equal. Exit 1: they differ.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The topic on the left
    left: String,
    /// The topic on the right
    right: String,
    /// What is compared of each key: its last value, or all of them in order
    #[arg(long, value_enum, default_value_t = By::Key)]
    by: By,
    /// Differences that are shown
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    max: usize,
    /// Keys that are held in memory
    #[arg(long, value_name = "COUNT", default_value_t = 5_000_000)]
    keys_max: usize,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Reads the embedded log in this state directory, whose host is stopped
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
}

/// What a comparison came to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    equal: bool,
    topics: [String; 2],
    /// Of either topic.
    records: [u64; 2],
    keys: usize,
    /// Keys that differ.
    differing: usize,
    /// How many records without a key each topic has, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_key: Option<[u64; 2]>,
    /// As many as are shown.
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    key: Box<RawValue>,
    /// By sequence: which value of the key is the first that differs, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    left: Option<Place>,
    right: Option<Place>,
}

#[derive(Serialize)]
struct Place {
    partition: i32,
    offset: i64,
    value: Box<RawValue>,
}

impl Diff {
    /// Compares.
    ///
    /// # Errors
    /// No such topic; more keys than may be held; the host or the broker does not answer.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let mut sides = self.sides()?;
        let mut comparison = Comparison::new(self.by, self.keys_max);
        let mut records = [0; 2];
        for (side, whole) in sides.iter_mut().enumerate() {
            records[side] = whole
                .each(&mut |at, key, value| comparison.take(side, at, key, value).map_err(|_| self.too_many_keys()))?;
        }
        let differing = comparison.differing();
        let shown = &differing[..differing.len().min(self.max)];
        let differences = self.differences(&mut sides, shown)?;
        let without_key = comparison.keyless();
        let compared = Compared {
            equal: differing.is_empty() && without_key.is_none(),
            topics: [self.left.clone(), self.right.clone()],
            records,
            keys: comparison.keys(),
            differing: differing.len(),
            without_key,
            differences,
        };
        out.data(&compared, text)?;
        Ok(if compared.equal { Exit::Ok } else { Exit::Failed })
    }

    fn too_many_keys(&self) -> Problem {
        let bytes = (self.keys_max * KEY_BYTES) >> 20;
        Problem::failed(format!(
            "`{}` and `{}` have more than {} keys: set --keys-max higher ({} bytes each, so that these take {bytes} MB)",
            self.left, self.right, self.keys_max, KEY_BYTES
        ))
    }

    /// Both topics, to the ends that they have now.
    fn sides(&self) -> Result<[Box<dyn Whole>; 2], Problem> {
        let client = match (&self.kafka.bootstrap, &self.state_dir) {
            (_, Some(state_dir)) => Some(connect::embedded_client(state_dir, "weir-shell")?),
            (Some(bootstrap), None) => Some(connect::kafka_client(bootstrap, &self.kafka.kafka_properties)?.client()),
            (None, None) => None,
        };
        let side = |topic: &str| -> Result<Box<dyn Whole>, Problem> {
            if let Some(client) = &client {
                return Ok(Box::new(patiently(|| OfClient::new(client.clone(), topic))?));
            }
            let (host, topic) = (Client::new(&self.host), escape(topic));
            let open = move |at: Option<At>| -> Result<Box<dyn Read>, Problem> {
                let from = match at {
                    None => "beginning".to_owned(),
                    Some(at) => format!("{}&partition={}", at.offset, at.partition),
                };
                Ok(Box::new(host.stream(&format!("topics/{topic}/records?untilEnd=true&from={from}"))?))
            };
            Ok(Box::new(OfHost::new(Box::new(open))?))
        };
        Ok([side(&self.left)?, side(&self.right)?])
    }

    fn differences(&self, sides: &mut [Box<dyn Whole>; 2], of: &[Differing]) -> Result<Vec<Difference>, Problem> {
        let mut sequences = Sequences::new(of, VALUES_MAX);
        if self.by == By::Sequence && !of.is_empty() {
            for (side, whole) in sides.iter_mut().enumerate() {
                whole.each(&mut |at, key, value| {
                    sequences.take(side, at, key, value);
                    Ok(())
                })?;
            }
        }
        let mut differences = Vec::new();
        for differing in of {
            let last = differing.sides.map(|seen| seen.map(|seen| seen.at));
            let (number, places) = match sequences.first(differing) {
                Some((number, places)) => (Some(number), places),
                None => (None, last),
            };
            let (mut key, mut shown) = (None, [None, None]);
            for (side, whole) in sides.iter_mut().enumerate() {
                let Some(at) = places[side] else { continue };
                let record = whole.at(at)?;
                let value = line::shown(record.value.as_deref());
                shown[side] = Some(Place { partition: at.partition, offset: at.offset, value });
                key.get_or_insert_with(|| line::shown(record.key.as_deref()));
            }
            let [left, right] = shown;
            differences.push(Difference { key: key.unwrap_or_default(), number, left, right });
        }
        Ok(differences)
    }
}

fn text(compared: &Compared) -> String {
    let mut text = String::new();
    let [left, right] = &compared.topics;
    let place = |topic: &str, place: &Option<Place>| match place {
        Some(Place { partition, offset, value }) => format!("  {topic}/{partition}@{offset}  {value}\n"),
        None => format!("  {topic}  nothing\n"),
    };
    for Difference { key, number, left: one, right: other } in &compared.differences {
        let number = number.map_or_else(String::new, |number| format!(", value {number}"));
        text.push_str(&format!("key {key}{number}\n{}{}", place(left, one), place(right, other)));
    }
    if let Some([one, other]) = compared.without_key {
        text.push_str(&format!("records without a key differ: {one} in {left}, {other} in {right}\n"));
    }
    let [one, other] = compared.records;
    let hidden = compared.differing - compared.differences.len();
    let more = if hidden == 0 { String::new() } else { format!("; {hidden} not shown: --max") };
    let verdict = if compared.equal { "equal".to_owned() } else { format!("{} differ", compared.differing) };
    text.push_str(&format!("{verdict}: {} keys, {one} records of {left}, {other} of {right}{more}\n", compared.keys));
    text
}
