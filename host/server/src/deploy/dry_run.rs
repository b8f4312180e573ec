//! A new version runs over recent records, in an engine that is thrown away: what it would write goes nowhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_core::ports::{Committed, Position, TrapKind};
use weir_core::record::{RecordBatch, TopicPartition};
use weir_core::thread::{Effect, Event, Report, ReportKind, StreamThread, ThreadConfig, WallTime};
use weir_core::topology::{NodeName, Topology};
use weir_wasm::{Plugin, Role};

use crate::host::Host;
use crate::host::plugins::plugin_nodes;
use crate::problem::{Mistake, Problem};

/// Records that a dry run takes, of all partitions together.
pub const ROWS_MAX: i64 = 1000;

/// How long it may wait for each partition's records.
const READ_WAIT: Duration = Duration::from_millis(500);

/// How long it may take in all; what is left of the records is then left out.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Kinds of trap: what a plugin is refused for. A rejected row is its business.
const TRAPS: [TrapKind; 7] = [
    TrapKind::Panic,
    TrapKind::Deadline,
    TrapKind::Memory,
    TrapKind::Stack,
    TrapKind::HostCalls,
    TrapKind::OutputSize,
    TrapKind::Malformed,
];

/// Runs `plugin` at its node, the live versions elsewhere. Returns how many records it took.
///
/// # Errors
/// It traps, with the record's coordinates and the backtrace; the log does not answer.
pub fn run(host: &Host, plugin: &Plugin) -> Result<usize, Problem> {
    let node = plugin.node();
    let Some(index) = host.topology.find(node.as_str()) else { return Ok(0) };
    if plugin.binding().role == Role::Aggregator {
        // Recent records fold into what the store holds, which a dry run does not have: from nothing, an aggregator would be
        // tried on accumulators that it never meets.
        tracing::info!(node = %node, "no dry run: what an aggregate node would fold into lies in its store");
        return Ok(0);
    }
    let mut partitions = host.partitions()?.clone();
    // Without the deployments' topic the engine records no swap.
    partitions.remove(&host.deployments_topic());
    let versions = weir_wasm::Plugins::default();
    let mut deployed = Vec::new();
    for (other, _) in plugin_nodes(&host.topology) {
        let version = if other == node { Some(plugin.clone()) } else { live(host, other) };
        let Some(version) = version else { continue };
        deployed.push((other.clone(), version.version().clone()));
        versions.insert(version);
    }
    let subtopology = host.topology.node(index).subtopology;
    let topology = match plugin.binding().role {
        Role::Extractor => sources_alone(&host.topology, subtopology),
        _ => host.topology.clone(),
    };
    // Its inputs are given one after the other: none is to wait for another.
    let config = ThreadConfig { task_idle_ms_max: -1, ..ThreadConfig::default() };
    let mut engine = StreamThread::new(topology, partitions.clone(), config, Box::new(versions));
    let mut trial = Trial { node, trap: None };
    for (node, version) in deployed {
        trial.step(&mut engine, Event::Deployed { node, version, revision: 1 });
    }
    let mut taken = 0;
    let until = Instant::now() + TIME_MAX;
    let topics = &host.topology.subtopologies[subtopology].topics;
    let inputs: Vec<TopicPartition> = topics
        .iter()
        .map(|topic| &host.topology.topic(*topic).name)
        .flat_map(|topic| {
            (0..partitions.get(topic).copied().unwrap_or(0)).map(move |number| TopicPartition::new(topic, number))
        })
        .collect();
    for input in &inputs {
        let rows = recent(host, input, (ROWS_MAX / inputs.len() as i64).max(1))?;
        if rows.is_empty() || Instant::now() > until {
            continue;
        }
        taken += rows.len();
        let position = Position { partition: input.clone(), offset: rows.offsets[0], metadata: None };
        trial.step(&mut engine, Event::Assigned(vec![position]));
        trial.step(&mut engine, Event::Fetched(input.clone(), rows));
        if let Some(problem) = trial.trap.take() {
            return Err(problem);
        }
    }
    Ok(taken)
}

/// The sources of a part of the topology with nothing behind them: it plays no part in the times that they find, and its stores
/// are not here.
fn sources_alone(topology: &Topology, subtopology: usize) -> Arc<Topology> {
    let mut topology = topology.clone();
    let part = &mut topology.subtopologies[subtopology];
    part.stores.clear();
    for source in &part.sources {
        topology.nodes[source.0].children.clear();
    }
    Arc::new(topology)
}

fn live(host: &Host, node: &NodeName) -> Option<Plugin> {
    let version = host.deployments.with(|fold| fold.live(node.as_str()).map(|live| live.intent.version.clone()))?;
    host.plugins.get(node, &version)
}

fn recent(host: &Host, partition: &TopicPartition, rows_max: i64) -> Result<RecordBatch, Problem> {
    let client = host.client()?;
    let (begin, end) = client.offsets(partition)?;
    let from = begin.max(end - rows_max);
    if from >= end {
        return Ok(RecordBatch::default());
    }
    Ok(client.read(partition, from, rows_max as usize, READ_WAIT)?.0)
}

struct Trial<'a> {
    node: &'a NodeName,
    trap: Option<Problem>,
}

impl Trial<'_> {
    /// What the engine asks for is dropped; a commit is done at once, so that it goes on.
    fn step(&mut self, engine: &mut StreamThread, event: Event) {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            for effect in engine.step(next, WallTime(0)) {
                match effect {
                    Effect::Commit(_) => event = Some(Event::Committed(Committed::default())),
                    Effect::Report(report) => self.hear(report),
                    _ => {}
                }
            }
        }
    }

    fn hear(&mut self, report: Report) {
        let (ReportKind::Failed { reason, message, backtrace } | ReportKind::Skipped { reason, message, backtrace }) =
            report.kind
        else {
            return;
        };
        if report.node != *self.node || self.trap.is_some() || !TRAPS.iter().any(|kind| kind.as_str() == reason) {
            return;
        }
        let at = report.at.map_or_else(String::new, |(partition, offset)| format!(" at {partition}@{offset}"));
        let mistake = Mistake {
            detail: format!("{reason}{at}: {message}\n{backtrace}").trim_end().to_owned(),
            help: Some("mend the plugin for this record; the version before goes on".to_owned()),
            ..Mistake::default()
        };
        let detail = format!("the plugin traps on a recent record{at}: {reason}: {message}");
        self.trap = Some(Problem::invalid(detail).with(vec![mistake]));
    }
}
