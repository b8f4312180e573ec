//! One run of a case.

use weir_core::state::StoreEntry;
use weir_core::topology::{StoreKind, Topology};
use weir_testing::{Commits, DriverError, Options, TestRecord, TopologyTestDriver};

use super::files::Line;
use super::plugins::Loaded;

/// How a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Rows of a batch at most.
    pub batch_rows_max: usize,
    /// What is done before line so and so, or after the last.
    pub disturbance: Option<(Disturbance, usize)>,
}

/// What no result may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The host is killed and started again.
    Restart,
    /// The transaction breaks.
    Abort,
}

impl Way {
    /// A row at a time, undisturbed: what the others are held against.
    pub const PLAIN: Self = Self { batch_rows_max: 1, disturbance: None };

    /// For people; `lines` are the numbers of the case's lines.
    pub fn describe(&self, lines: &[(usize, Line)]) -> String {
        let batch = if self.batch_rows_max == 1 { "in batches of one row" } else { "in batches of all rows" };
        let Some((what, at)) = self.disturbance else { return batch.to_owned() };
        let what = match what {
            Disturbance::Restart => "a restart",
            Disturbance::Abort => "an abort",
        };
        match lines.get(at) {
            Some((number, _)) => format!("{batch}, with {what} before line {number}"),
            None => format!("{batch}, with {what} at the end"),
        }
    }
}

/// What a run leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rows of each topic that the topology writes, in the file's order.
    pub topics: Vec<(String, Vec<TestRecord>)>,
    /// The entries of each store that the file names, in its order.
    pub stores: Vec<(String, Vec<StoreEntry>)>,
}

/// Where a run ended before its end.
pub struct Stopped {
    /// The line's number; none: at the start or the end.
    pub line: Option<usize>,
    /// Why.
    pub error: DriverError,
}

/// Runs a case.
///
/// # Errors
/// A task stopped, a topic does not exist.
pub fn play(topology: &Topology, plugins: &Loaded, lines: &[(usize, Line)], way: Way) -> Result<Outcome, Box<Stopped>> {
    let at = |line: Option<usize>| move |error| Box::new(Stopped { line, error });
    let options = Options {
        batch_rows_max: way.batch_rows_max,
        commits: Commits::Chosen,
        versions: plugins.versions.clone(),
        supplier: Box::new(plugins.plugins.clone()),
        ..Options::default()
    };
    let driver = TopologyTestDriver::new(topology.clone(), options).map_err(at(None))?;
    for (index, (number, line)) in lines.iter().enumerate() {
        disturb(&driver, way, index).and_then(|()| take(&driver, line)).map_err(at(Some(*number)))?;
    }
    disturb(&driver, way, lines.len()).and_then(|()| driver.commit()).map_err(at(None))?;
    outcome(topology, &driver).map_err(at(None))
}

fn disturb(driver: &TopologyTestDriver, way: Way, index: usize) -> Result<(), DriverError> {
    match way.disturbance {
        Some((Disturbance::Restart, at)) if at == index => driver.restart(),
        Some((Disturbance::Abort, at)) if at == index => driver.abort(),
        _ => Ok(()),
    }
}

fn take(driver: &TopologyTestDriver, line: &Line) -> Result<(), DriverError> {
    match line {
        Line::Pipe(topic, record) => driver.create_input_topic(topic)?.pipe_input(record.clone()),
        Line::Advance(by) => driver.advance_wall_clock_time(*by),
        Line::Commit => driver.commit(),
        Line::Restart => driver.restart(),
        Line::Abort => driver.abort(),
    }
}

fn outcome(topology: &Topology, driver: &TopologyTestDriver) -> Result<Outcome, DriverError> {
    let mut outcome = Outcome::default();
    let is_written = |name: &str| {
        let mut written = topology.nodes.iter().flat_map(|node| node.kind.writes());
        written.any(|topic| topology.topic(*topic).name.as_str() == name)
    };
    for topic in topology.topics.iter().filter(|topic| topic.internal.is_none()) {
        let name = topic.name.as_str();
        if is_written(name) {
            let rows = driver.create_output_topic(name)?.read_records_to_list();
            outcome.topics.push((name.to_owned(), rows));
        }
    }
    for store in &topology.stores {
        let entries = match store.kind {
            StoreKind::KeyValue { .. } => driver.get_key_value_store(&store.name)?.all()?,
            StoreKind::Window { .. } => driver.get_window_store(&store.name)?.all()?,
            StoreKind::Session { .. } => driver.get_session_store(&store.name)?.all()?,
            StoreKind::Timers | StoreKind::Suppressed | StoreKind::Joined { .. } | StoreKind::Waiting => continue,
        };
        outcome.stores.push((store.name.clone(), entries));
    }
    Ok(outcome)
}
