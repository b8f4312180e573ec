//! Runs a plugin natively, in a plain `cargo test`: no WebAssembly, no host.
//!
//! `run::<order_details>(r#"{..}"#)` takes the name of the function that `#[weir::processor]` stands over.

mod driver;
pub(crate) mod stores;

use std::borrow::Cow;

use crate::column::{i64_at, u32_at};
use crate::{Aggregator, AggregatorPlugin, Batch, Column, Declaration, Extractor, Output, Problem, Processor, Reject};

pub use driver::{Driver, all_emitted};

/// A record for a plugin. Text alone makes one with that value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A record with `value`, without key and headers, at time 0.
    #[must_use]
    pub fn new(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(value.as_ref().to_vec()), ..Self::default() }
    }

    /// A record whose value is null.
    #[must_use]
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// With `key`.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// At `millis` since 1970 UTC.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = millis;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), Some(value.as_ref().to_vec())));
        self
    }
}

impl From<&str> for Record {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

/// A record that a plugin emitted, with what it inherited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The number of the output port.
    pub port: u32,
    /// None: null.
    pub key: Option<Vec<u8>>,
    /// None: null.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// Name and value, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Emitted {
    /// The value as text; `null` where it is null.
    #[must_use]
    pub fn value_text(&self) -> Cow<'_, str> {
        self.value.as_deref().map_or(Cow::Borrowed("null"), String::from_utf8_lossy)
    }
}

/// What became of one record.
pub type Result<T = Vec<Emitted>, E = Reject> = std::result::Result<T, E>;

/// Runs `P`, without a configuration, on one record.
///
/// # Errors
/// The [`Reject`] of the record.
///
/// # Panics
/// Where the plugin does, or needs a configuration: see [`run_all`].
pub fn run<P: Processor>(record: impl Into<Record>) -> Result {
    let Ok(mut outcomes) = run_all::<P>("null", vec![record.into()]) else { needs_configuration() };
    outcomes.remove(0)
}

/// Runs `P`, configured by `config` (JSON), on a batch of records. One outcome for each.
///
/// # Errors
/// What `P` finds wrong with the configuration.
///
/// # Panics
/// Where the plugin does.
pub fn run_all<P: Processor>(config: &str, records: Vec<Record>) -> Result<Vec<Result>, Vec<Problem>> {
    Driver::<P>::new(config).map(|mut driver| driver.pipe(&records))
}

/// The time that `E`, without a configuration, finds in a record.
///
/// # Errors
/// The [`Reject`] of the record.
///
/// # Panics
/// Where the plugin does, or needs a configuration: see [`times`].
pub fn time<E: Extractor>(record: impl Into<Record>) -> Result<i64> {
    let Ok(mut times) = times::<E>("null", &[record.into()]) else { needs_configuration() };
    times.remove(0)
}

/// The times that `E`, configured by `config` (JSON), finds in a batch of records.
///
/// # Errors
/// What `E` finds wrong with the configuration.
///
/// # Panics
/// Where the plugin does.
pub fn times<E: Extractor>(config: &str, records: &[Record]) -> Result<Vec<Result<i64>>, Vec<Problem>> {
    host::configure(config);
    let config = E::configure(config)?;
    let extracted = host::with(records, || E::extract(&config, batch(&E::declaration(), records)));
    let cells = extracted.timestamps.as_deref();
    let own = |row: usize| cells.map_or(records[row].timestamp, |cells| i64_at(cells, row));
    let mut times: Vec<Result<i64>> = (0..records.len()).map(|row| Ok(own(row))).collect();
    for reject in extracted.rejects {
        times[reject.row as usize] = Err(Reject::new(reject.code, reject.message));
    }
    Ok(times)
}

/// Folds `values` into `before`, what was there already: what they come to, and the rows refused, by their number. Once in
/// one go and once row by row, as a host may do either.
///
/// # Panics
/// Where the aggregator does, finds its configuration wrong, or the two ways differ.
#[allow(clippy::panic)]
pub fn fold<A: AggregatorPlugin>(
    config: &str,
    before: Option<&[u8]>,
    values: &[&str],
) -> (Option<Vec<u8>>, Vec<(u32, Reject)>) {
    host::configure(config);
    let aggregator = A::configure(config).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (whole, rejects) = folded(&aggregator, before, values, false);
    let (mut by_row, rejects_by_row) = folded(&aggregator, before, values, true);
    let last = by_row.pop().unwrap_or_else(|| before.map(<[u8]>::to_vec));
    assert_eq!((&whole[0], &rejects), (&last, &rejects_by_row), "in one go, and row by row");
    (last, rejects)
}

/// A cell, or null, for each accumulator.
type Cells = Vec<Option<Vec<u8>>>;

fn folded<A: Aggregator>(
    aggregator: &A,
    before: Option<&[u8]>,
    values: &[&str],
    every_row: bool,
) -> (Cells, Vec<(u32, Reject)>) {
    let count = values.len() as u32;
    let work = crate::abi::aggregation::Groups {
        keys: None,
        starts: None,
        ends: None,
        accumulators: [before].into_iter().collect(),
        row_ends: count.to_le_bytes().to_vec(),
        rows: Batch {
            count,
            keys: None,
            values: Some(values.iter().map(|value| Some(value.as_bytes())).collect()),
            timestamps: None,
        },
        removals: None,
        every_row,
    };
    let folded = crate::aggregator::fold(aggregator, &work);
    let cells = &folded.accumulators;
    let accumulators = (0..cells.len()).map(|index| cells.get(index).map(<[u8]>::to_vec)).collect();
    let rejects = folded.rejects.into_iter().map(|reject| (reject.row, Reject::new(reject.code, reject.message)));
    (accumulators, rejects.collect())
}

fn batch(declaration: &Declaration, records: &[Record]) -> Batch {
    let times = || records.iter().flat_map(|record| record.timestamp.to_le_bytes()).collect();
    Batch {
        count: records.len() as u32,
        keys: declaration.reads_keys.then(|| records.iter().map(|record| record.key.as_deref()).collect()),
        values: Some(records.iter().map(|record| record.value.as_deref()).collect()),
        timestamps: declaration.reads_timestamps.then(times),
    }
}

fn outcomes(records: &[Record], output: &Output) -> Vec<Result> {
    let mut outcomes: Vec<Result> = records.iter().map(|_| Ok(Vec::new())).collect();
    for index in 0..output.rows.len() / 4 {
        let row = u32_at(&output.rows, index) as usize;
        let input = &records[row];
        let cell = |column: &Option<Column>, inherited: &Option<Vec<u8>>| match column {
            Some(column) => column.get(index).map(<[u8]>::to_vec),
            None => inherited.clone(),
        };
        let emitted = Emitted {
            port: output.ports.as_ref().map_or(0, |ports| u32_at(ports, index)),
            key: cell(&output.keys, &input.key),
            value: cell(&output.values, &input.value),
            timestamp: output.timestamps.as_ref().map_or(input.timestamp, |cells| i64_at(cells, index)),
            headers: output
                .headers
                .as_ref()
                .map_or_else(|| input.headers.clone(), |headers| host::headers_of(headers, index)),
        };
        if let Ok(all) = &mut outcomes[row] {
            all.push(emitted);
        }
    }
    for reject in &output.rejects {
        outcomes[reject.row as usize] = Err(Reject::new(reject.code.clone(), reject.message.clone()));
    }
    outcomes
}

#[allow(clippy::panic)]
fn needs_configuration() -> ! {
    panic!("the plugin needs a configuration: use weir::test::run_all or weir::test::times")
}

/// The stand-in for what the host offers.
pub(crate) mod host {
    use std::cell::RefCell;

    use super::Record;
    use crate::abi::weir::plugin::context::Sources;
    use crate::abi::weir::plugin::types::Headers;
    use crate::column::u32_at;
    use crate::{Column, Level};

    thread_local! {
        /// The configuration of the call in progress, as JSON.
        static CONFIG: RefCell<serde_json::Value> = const { RefCell::new(serde_json::Value::Null) };
        /// The records of the call in progress.
        static CALL: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn configure(text: &str) {
        CONFIG.set(serde_json::from_str(text).unwrap_or_default());
    }

    pub(crate) fn config_get(pointer: &str) -> Option<String> {
        CONFIG.with_borrow(|config| {
            let found = config.pointer(pointer)?;
            Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
        })
    }

    pub(crate) fn with<T>(records: &[Record], call: impl FnOnce() -> T) -> T {
        CALL.set(records.to_vec());
        call()
    }

    pub(crate) fn headers_of(headers: &Headers, row: usize) -> Vec<(String, Option<Vec<u8>>)> {
        let start = if row == 0 { 0 } else { u32_at(&headers.row_ends, row - 1) as usize };
        let header = |index| {
            let name = String::from_utf8_lossy(headers.names.get(index).unwrap_or_default()).into_owned();
            (name, headers.values.get(index).map(<[u8]>::to_vec))
        };
        (start..u32_at(&headers.row_ends, row) as usize).map(header).collect()
    }

    pub(crate) fn row_headers() -> Headers {
        CALL.with_borrow(|records| {
            let (mut row_ends, mut names) = (Vec::new(), Column::with_capacity(0, 0));
            let mut values = Column::with_capacity(0, 0);
            for record in records {
                for (name, value) in &record.headers {
                    names.push(Some(name.as_bytes()));
                    values.push(value.as_deref());
                }
                row_ends.extend_from_slice(&(names.len() as u32).to_le_bytes());
            }
            Headers { row_ends, names, values }
        })
    }

    /// Records come from partition 0 of the topic `test`, with offsets from 0.
    pub(crate) fn row_sources() -> Sources {
        let rows = CALL.with_borrow(Vec::len);
        Sources {
            topics: vec!["test".to_owned()],
            topic: vec![0; rows * 4],
            partitions: vec![0; rows * 4],
            offsets: (0..rows as i64).flat_map(i64::to_le_bytes).collect(),
        }
    }

    pub(crate) fn stream_times() -> Vec<u8> {
        CALL.with_borrow(|records| {
            let highest = records.iter().scan(i64::MIN, |time, record| {
                *time = record.timestamp.max(*time);
                Some(*time)
            });
            highest.flat_map(i64::to_le_bytes).collect()
        })
    }

    /// Bytes that depend on the row alone, as the host's depend on its coordinates alone.
    pub(crate) fn random(row: u32, size: u32) -> Vec<u8> {
        let mut state = u64::from(row).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..size).map(|_| byte()).collect()
    }

    pub(crate) fn application() -> String {
        "test".to_owned()
    }

    pub(crate) fn node() -> String {
        "test".to_owned()
    }

    pub(crate) fn partition() -> u32 {
        0
    }

    pub(crate) fn log_enabled(_: Level) -> bool {
        true
    }

    pub(crate) fn log(level: Level, row: Option<u32>, message: &str) {
        let row = row.map_or(String::new(), |row| format!(" row={row}"));
        eprintln!("{level:?}{row} {message}");
    }

    pub(crate) fn count(_: &str, _: u64) {}
    pub(crate) fn gauge(_: &str, _: f64) {}
    pub(crate) fn observe(_: &str, _: f64) {}
}
