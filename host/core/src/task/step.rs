//! One step: rows go through the nodes of a subtopology, and nothing of it leaves before its end.
//!
//! A step is a savepoint. What a row cannot pass with policy `fail` is a [`Poison`]: the step is undone, and run again up to
//! that row, so that a batch comes to the same end as its rows one by one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ports::{Outgoing, ProcessorSupplier, StoreError};
use crate::record::{Column, Rows, Taken, TopicName};
use crate::state::TaskState;
use crate::task::instances::Instances;
use crate::task::metrics::NodeMetrics;
use crate::task::sink::Sinks;
use crate::task::{TaskId, aggregate};
use crate::thread::{Report, ReportKind};
use crate::topology::{Aggregate, ErrorPolicy, NodeIndex, NodeKind, Topology};

/// What a step is run with; the same for every attempt.
pub(crate) struct Scope<'a> {
    pub(crate) task: TaskId,
    pub(crate) topology: &'a Topology,
    /// Partitions of every topic of the topology.
    pub(crate) partitions: &'a BTreeMap<TopicName, i32>,
    pub(crate) supplier: &'a mut dyn ProcessorSupplier,
    pub(crate) instances: &'a mut Instances,
    /// None: the subtopology has no stores.
    pub(crate) state: Option<Rc<RefCell<TaskState>>>,
    pub(crate) taken: &'a Taken,
    /// The host's clock, in milliseconds since 1970 UTC: for timers that go by it.
    pub(crate) now_ms: i64,
}

/// One attempt at a step.
pub(crate) struct Step<'a> {
    pub(crate) scope: Scope<'a>,
    /// Rows that wait for nodes, by the nodes' places: each with the input by which it comes.
    arrived: BTreeMap<usize, Arrived>,
    pub(super) sinks: Sinks,
    reports: Vec<Report>,
    metrics: BTreeMap<NodeIndex, NodeMetrics>,
}

/// Rows for a node, each part with the input by which it comes.
pub(crate) type Arrived = Vec<(usize, Rows)>;

/// What leaves at a step's end.
pub(crate) struct Done {
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) reports: Vec<Report>,
    pub(crate) metrics: BTreeMap<NodeIndex, NodeMetrics>,
}

/// A row that its node's policy does not let pass.
#[derive(Clone, Debug)]
pub(crate) struct Poison {
    pub(crate) origin: u32,
    pub(crate) node: NodeIndex,
    pub(crate) problem: Problem,
}

/// What is wrong with a row. The message names no payload: it goes to the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problem {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) backtrace: String,
}

impl Problem {
    pub(crate) fn of_store(error: &StoreError) -> Self {
        Self { reason: "weir.store".to_owned(), message: error.to_string(), backtrace: String::new() }
    }
}

impl<'a> Step<'a> {
    pub(crate) fn new(scope: Scope<'a>) -> Self {
        Self { scope, arrived: BTreeMap::new(), sinks: Sinks::default(), reports: Vec::new(), metrics: BTreeMap::new() }
    }

    /// What leaves.
    pub(crate) fn finish(self) -> Done {
        let Scope { topology, partitions, taken, .. } = self.scope;
        let describe = |topic| {
            let name = topology.topic(topic).name.clone();
            let count = partitions.get(&name).copied().unwrap_or(1);
            (name, count)
        };
        let outgoing = self.sinks.finish(taken, describe);
        Done { outgoing, reports: self.reports, metrics: self.metrics }
    }

    /// Hands `rows` to `index` by the input `input` of it.
    pub(crate) fn send(&mut self, index: NodeIndex, input: usize, rows: Rows) {
        // Time alone may move a node that has timers, or one behind it.
        if !rows.is_empty() || self.scope.topology.is_timed(index) {
            self.arrived.entry(self.scope.topology.node(index).place).or_default().push((input, rows));
        }
    }

    /// Takes what was sent through the nodes, each after all that it reads.
    pub(crate) fn run(&mut self) -> Result<(), Poison> {
        let nodes = &self.scope.topology.subtopologies[self.scope.task.subtopology].nodes;
        while let Some((place, arrived)) = self.arrived.pop_first() {
            let rows: usize = arrived.iter().map(|(_, rows)| rows.len()).sum();
            self.metrics(nodes[place]).rows_in += rows as u64;
            self.visit(nodes[place], arrived)?;
        }
        Ok(())
    }

    fn visit(&mut self, index: NodeIndex, arrived: Arrived) -> Result<(), Poison> {
        let topology = self.scope.topology;
        let kind = &topology.node(index).kind;
        let outputs = match kind {
            NodeKind::Join(join) => vec![(0, self.join(index, join, arrived)?)],
            NodeKind::JoinTables(join) => vec![(0, self.join_tables(index, join, arrived)?)],
            NodeKind::StreamJoin(join) => vec![(0, self.stream_join(index, join, arrived)?)],
            _ => {
                let rows = Rows::interleave(arrived.into_iter().map(|(_, rows)| rows).collect());
                self.outputs(index, kind, rows)?
            }
        };
        self.pass(index, outputs);
        Ok(())
    }

    /// What node `index` makes of `rows`, by output.
    fn outputs(&mut self, index: NodeIndex, kind: &NodeKind, rows: Rows) -> Result<Vec<(u32, Rows)>, Poison> {
        let one = |rows| Ok(vec![(0, rows)]);
        match kind {
            NodeKind::Source(source) => one(self.timed(index, source, rows)?),
            NodeKind::Filter(expression) => {
                let chosen = self.choose(index, &rows, |row| Ok(expression.matches(&rows, row)?.then_some(0)), 1)?;
                Ok(chosen_of(rows, &chosen))
            }
            NodeKind::Branch(cases) => {
                let first = |row| {
                    for (case, branch) in cases.iter().enumerate() {
                        if branch.when.as_ref().map_or(Ok(true), |when| when.matches(&rows, row))? {
                            return Ok(Some(case));
                        }
                    }
                    Ok(None)
                };
                let chosen = self.choose(index, &rows, first, cases.len())?;
                Ok(chosen_of(rows, &chosen))
            }
            NodeKind::Map(map) => one(self.map(index, map, &rows)?),
            NodeKind::FlatMap(flat_map) => one(self.flat_map(index, flat_map, &rows)?),
            NodeKind::Peek(shown) => {
                self.peek(index, shown.as_deref(), &rows);
                one(rows)
            }
            NodeKind::Aggregate(aggregate) => self.aggregate(index, aggregate, &rows),
            NodeKind::Suppress(suppress) => one(self.suppress(index, suppress, &rows)?),
            NodeKind::ToTable(table) => one(self.keep(index, *table, &rows)?),
            NodeKind::FilterTable(expression) => one(self.filter_table(index, expression.as_ref(), &rows)?),
            NodeKind::MapTable(map) => one(self.map_table(index, map, &rows)?),
            NodeKind::Process(plugin) => match plugin.timers {
                None => self.process(index, &rows),
                Some(timers) => self.process_timed(index, timers, &rows),
            },
            NodeKind::Sink(topic) => {
                self.metrics(index).rows_out += rows.len() as u64;
                self.sinks.push(*topic, rows);
                Ok(Vec::new())
            }
            NodeKind::DynamicSink(sink) => {
                self.write_apart(index, sink, &rows)?;
                Ok(Vec::new())
            }
            // Their sides are told apart before.
            NodeKind::Join(_) | NodeKind::JoinTables(_) | NodeKind::StreamJoin(_) => Ok(Vec::new()),
        }
    }

    /// The rows of each output, by what `output` says of a row; none: it is dropped.
    fn choose(
        &mut self,
        index: NodeIndex,
        rows: &Rows,
        output: impl Fn(usize) -> Result<Option<usize>, crate::expression::ExpressionError>,
        outputs: usize,
    ) -> Result<Vec<Vec<u32>>, Poison> {
        let mut chosen = vec![Vec::new(); outputs];
        for row in 0..rows.len() {
            match output(row) {
                Ok(Some(output)) => chosen[output].push(row as u32),
                Ok(None) => {}
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        Ok(chosen)
    }

    /// Sends the rows of each output of `index` to the nodes that read it.
    pub(crate) fn pass(&mut self, index: NodeIndex, mut outputs: Vec<(u32, Rows)>) {
        let rows_out: usize = outputs.iter().map(|(_, rows)| rows.len()).sum();
        self.metrics(index).rows_out += rows_out as u64;
        let children = &self.scope.topology.node(index).children;
        for (at, child) in children.iter().enumerate() {
            let wanted_again = children.get(at + 1).is_some_and(|next| next.port == child.port);
            let rows = match outputs.iter_mut().find(|(output, _)| *output == child.port) {
                None => Rows::default(),
                Some((_, rows)) if wanted_again => rows.clone(),
                Some((_, rows)) => std::mem::take(rows),
            };
            self.send(child.node, child.input, rows);
        }
    }

    /// `rows` with the values that `make` makes of them; those of which it makes none are refused.
    pub(crate) fn with_values(
        &mut self,
        index: NodeIndex,
        rows: &Rows,
        make: impl Fn(usize) -> Result<Option<Vec<u8>>, crate::expression::ExpressionError>,
    ) -> Result<Rows, Poison> {
        let (mut chosen, mut values) = (Vec::with_capacity(rows.len()), Column::default());
        for row in 0..rows.len() {
            match make(row) {
                Ok(value) => {
                    values.push(value.as_deref());
                    chosen.push(row as u32);
                }
                Err(error) => self.refuse(index, rows.origins[row], error.into())?,
            }
        }
        let made = if chosen.len() == rows.len() { rows.clone() } else { rows.select(&chosen) };
        Ok(Rows { values: values.into(), olds: None, ..made })
    }

    /// A row that `index` cannot map: its policy decides.
    pub(crate) fn refuse(&mut self, index: NodeIndex, origin: u32, problem: Problem) -> Result<(), Poison> {
        match self.scope.topology.node(index).on_error {
            ErrorPolicy::Fail => Err(Poison { origin, node: index, problem }),
            ErrorPolicy::Skip => {
                self.metrics(index).drop_row(&problem.reason);
                let Problem { reason, message, backtrace } = problem;
                self.report(index, Some(origin), ReportKind::Skipped { reason, message, backtrace });
                Ok(())
            }
        }
    }

    pub(crate) fn report(&mut self, index: NodeIndex, origin: Option<u32>, kind: ReportKind) {
        self.reports.push(self.scope.report(index, origin, kind));
    }

    pub(crate) fn metrics(&mut self, index: NodeIndex) -> &mut NodeMetrics {
        self.metrics.entry(index).or_default()
    }
}

/// The rows of each output that were chosen for it.
fn chosen_of(rows: Rows, chosen: &[Vec<u32>]) -> Vec<(u32, Rows)> {
    match chosen {
        [only] if only.len() == rows.len() => vec![(0, rows)],
        _ => chosen.iter().enumerate().map(|(port, chosen)| (port as u32, rows.select(chosen))).collect(),
    }
}

impl Scope<'_> {
    /// How long the store of `aggregate` keeps windows, in milliseconds of stream time.
    pub(crate) fn retention(&self, aggregate: &Aggregate) -> i64 {
        aggregate::retention(self.topology.store(aggregate.store).kind)
    }

    pub(crate) fn report(&self, index: NodeIndex, origin: Option<u32>, kind: ReportKind) -> Report {
        let at = origin.map(|origin| self.taken.coordinates(origin)).filter(|(_, offset)| *offset >= 0);
        let at = at.map(|(partition, offset)| (partition.clone(), offset));
        Report {
            task: self.task,
            node: self.topology.node(index).name.clone(),
            version: self.instances.version(index).cloned(),
            at,
            kind,
        }
    }
}
