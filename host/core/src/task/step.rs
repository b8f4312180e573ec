//! One step: rows go through the nodes of a subtopology, and nothing of it leaves before its end.
//!
//! A step is a savepoint. What a row cannot pass with policy `fail` is a [`Poison`]: the step is undone, and run again up to
//! that row, so that a batch comes to the same end as its rows one by one.

use std::collections::BTreeMap;

use crate::ports::{Outgoing, ProcessorSupplier};
use crate::record::{Rows, Taken, TopicName};
use crate::task::TaskId;
use crate::task::instances::Instances;
use crate::task::metrics::NodeMetrics;
use crate::task::sink::Sinks;
use crate::thread::{Report, ReportKind};
use crate::topology::{ErrorPolicy, NodeIndex, NodeKind, Topology};

/// What a step is run with; the same for every attempt.
pub(crate) struct Scope<'a> {
    pub(crate) task: TaskId,
    pub(crate) topology: &'a Topology,
    /// Partitions of every topic of the topology.
    pub(crate) partitions: &'a BTreeMap<TopicName, i32>,
    pub(crate) supplier: &'a mut dyn ProcessorSupplier,
    pub(crate) instances: &'a mut Instances,
    pub(crate) taken: &'a Taken,
}

/// One attempt at a step.
pub(crate) struct Step<'a> {
    pub(crate) scope: Scope<'a>,
    sinks: Sinks,
    reports: Vec<Report>,
    metrics: BTreeMap<NodeIndex, NodeMetrics>,
}

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

impl<'a> Step<'a> {
    pub(crate) fn new(scope: Scope<'a>) -> Self {
        Self { scope, sinks: Sinks::default(), reports: Vec::new(), metrics: BTreeMap::new() }
    }

    /// Runs `rows` from `source` on, depth first in file order.
    pub(crate) fn run(mut self, source: NodeIndex, rows: Rows) -> Result<Done, Poison> {
        self.visit(source, rows)?;
        let Scope { topology, partitions, taken, .. } = self.scope;
        let describe = |topic| {
            let name = topology.topic(topic).name.clone();
            let count = partitions.get(&name).copied().unwrap_or(1);
            (name, count)
        };
        let outgoing = self.sinks.finish(taken, describe);
        Ok(Done { outgoing, reports: self.reports, metrics: self.metrics })
    }

    fn visit(&mut self, index: NodeIndex, rows: Rows) -> Result<(), Poison> {
        if rows.is_empty() {
            return Ok(());
        }
        self.metrics(index).rows_in += rows.len() as u64;
        let topology = self.scope.topology;
        match &topology.node(index).kind {
            NodeKind::Source(_) => self.pass(index, 0, rows),
            NodeKind::Filter(expression) => {
                let chosen = self.choose(index, &rows, |row| Ok(expression.matches(&rows, row)?.then_some(0)), 1)?;
                self.pass_chosen(index, rows, chosen)
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
                self.pass_chosen(index, rows, chosen)
            }
            NodeKind::Map(_) | NodeKind::Aggregate(_) | NodeKind::Suppress(_) => Ok(()),
            NodeKind::Process(_) => {
                for (port, rows) in self.process(index, &rows)? {
                    self.pass(index, port, rows)?;
                }
                Ok(())
            }
            NodeKind::Sink(topic) => {
                self.metrics(index).rows_out += rows.len() as u64;
                self.sinks.push(*topic, rows);
                Ok(())
            }
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
                Err(error) => {
                    let problem =
                        Problem { reason: error.code.to_owned(), message: error.message, ..Problem::default() };
                    self.refuse(index, rows.origins[row], problem)?;
                }
            }
        }
        Ok(chosen)
    }

    fn pass_chosen(&mut self, index: NodeIndex, rows: Rows, chosen: Vec<Vec<u32>>) -> Result<(), Poison> {
        if let [only] = chosen.as_slice()
            && only.len() == rows.len()
        {
            return self.pass(index, 0, rows);
        }
        for (port, chosen) in chosen.iter().enumerate() {
            self.pass(index, port as u32, rows.select(chosen))?;
        }
        Ok(())
    }

    /// Hands `rows` to the children that read output `port` of `index`.
    fn pass(&mut self, index: NodeIndex, port: u32, rows: Rows) -> Result<(), Poison> {
        self.metrics(index).rows_out += rows.len() as u64;
        let topology = self.scope.topology;
        let reads = |child: &&NodeIndex| topology.node(**child).input.as_ref().is_some_and(|input| input.port == port);
        let mut children = topology.node(index).children.iter().filter(reads).peekable();
        while let Some(&child) = children.next() {
            if children.peek().is_none() {
                return self.visit(child, rows);
            }
            self.visit(child, rows.clone())?;
        }
        Ok(())
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

impl Scope<'_> {
    pub(crate) fn report(&self, index: NodeIndex, origin: Option<u32>, kind: ReportKind) -> Report {
        let at = origin.map(|origin| {
            let (partition, offset) = self.taken.coordinates(origin);
            (partition.clone(), offset)
        });
        Report {
            task: self.task,
            node: self.topology.node(index).name.clone(),
            version: self.instances.version(index).cloned(),
            at,
            kind,
        }
    }
}
