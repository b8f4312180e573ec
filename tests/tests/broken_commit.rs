//! The checker against an engine that is broken on purpose: a transaction that leaves out input positions is found, and
//! the same run with an honest commit is not.
//!
//! The engine runs in this process on the real Kafka transport; only what it hands over to a commit is tampered with.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use weir_core::ports::{
    CommitError, Committed, Connector, CreateFault, Digest, Position, Processor, ProcessorSupplier, Transport,
    TransportError, TransportLayer,
};
use weir_core::task::TaskId;
use weir_core::thread::{Clock, Driver, Observer, Report, StreamThread, ThreadConfig, WallTime};
use weir_core::topology::{self, NodeName, Topology};
use weir_kafka::{KafkaConfig, KafkaConnector};
use weir_tests::checker::Violations;
use weir_tests::{ExactlyOnceChecker, Expected, Kafka, Output, Violation, orders};

const PARTITIONS: i32 = 2;
const ORDERS: u64 = 2_000;
const RUN_WAIT: Duration = Duration::from_secs(40);
const TURN_WAIT: Duration = Duration::from_millis(20);
/// The second life goes on for so long after its first rows could have come.
const QUIET: Duration = Duration::from_secs(2);

/// Which input positions a transaction is committed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    AllPositions,
    NoPositions,
    OnlyPartitionZero,
}

/// A transport whose commits leave out what [`Commits`] says.
struct Tampered {
    honest: Box<dyn Transport>,
    commits: Commits,
}

impl TransportLayer for Tampered {
    fn inner(&mut self) -> &mut dyn Transport {
        self.honest.as_mut()
    }

    fn commit(&mut self, positions: &[Position]) -> Result<Committed, CommitError> {
        let is_kept = |position: &&Position| match self.commits {
            Commits::AllPositions => true,
            Commits::NoPositions => false,
            Commits::OnlyPartitionZero => position.partition.partition == 0,
        };
        let kept: Vec<Position> = positions.iter().filter(is_kept).cloned().collect();
        self.honest.commit(&kept)
    }
}

/// There is no plugin in this topology.
struct NoPlugins;

impl ProcessorSupplier for NoPlugins {
    fn create(&mut self, node: &NodeName, version: &Digest, _: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        Err(CreateFault { node: node.clone(), digest: version.clone(), message: "there are no plugins here".into() })
    }
}

struct TimeOfDay;

impl Clock for TimeOfDay {
    fn now(&self) -> WallTime {
        WallTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64))
    }
}

struct Silent;

impl Observer for Silent {
    fn report(&mut self, _: Report) {}
    fn committed(&mut self, _: i64) {}
    fn commit_failed(&mut self, _: &CommitError) {}
    fn broken(&mut self, _: &TransportError) {}
}

/// An application that hands orders on as they are.
struct Application {
    kafka: Kafka,
    topology: Arc<Topology>,
    input: String,
    output: String,
}

impl Application {
    fn new() -> Result<Self> {
        let kafka = Kafka::from_env()?;
        let name = kafka.unique("tampered");
        let (input, output) = (format!("{name}-in"), format!("{name}-out"));
        kafka.create_topic(&input, PARTITIONS)?;
        kafka.create_topic(&output, PARTITIONS)?;
        let text = format!(
            "\
application: {name}
topics:
  {input}:  {{ key: string, value: json, partitions: {PARTITIONS} }}
  {output}: {{ key: string, value: json, partitions: {PARTITIONS} }}
nodes:
  orders: {{ source: {input} }}
  copies: {{ from: orders, sink: {output} }}
"
        );
        let topology = topology::parse("topology.yaml", &text).map_err(|errors| anyhow::anyhow!(errors.render()))?;
        Ok(Self { kafka, topology: Arc::new(topology), input, output })
    }

    /// A stream thread on a Kafka transport that tampers. Of the same name as the life before: as a restarted host.
    fn driver(&self, commits: Commits) -> Result<Driver> {
        let mut config = KafkaConfig::new(self.kafka.address(), &self.topology.application, "host");
        config.topics = self.topology.source_topics().cloned().collect();
        let honest = KafkaConnector::new(config)?.transport(0)?;
        let topics = self.topology.topics.iter().map(|topic| (topic.name.clone(), PARTITIONS)).collect();
        let thread = StreamThread::new(self.topology.clone(), topics, ThreadConfig::default(), Box::new(NoPlugins));
        Ok(Driver::new(thread, Box::new(Tampered { honest, commits }), Box::new(TimeOfDay)))
    }

    fn copies(&self) -> Result<usize> {
        Ok(self.kafka.read_committed(&self.output)?.len())
    }

    /// Two lives of one host, the first ended without a farewell when all orders are committed; then what the checker says.
    fn run(&self, commits: Commits) -> Result<Result<u64, Violations>> {
        self.kafka.produce_orders(&self.input, 0..ORDERS, None)?;
        let mut first = self.driver(commits)?;
        let begin = Instant::now();
        while self.copies()? < ORDERS as usize {
            turn(&mut first)?;
            ensure!(begin.elapsed() < RUN_WAIT, "{commits:?}: {} of {ORDERS} copies", self.copies()?);
        }
        drop(first);
        let mut second = self.driver(commits)?;
        let begin = Instant::now();
        while second.thread().tasks().count() < PARTITIONS as usize {
            turn(&mut second)?;
            ensure!(begin.elapsed() < RUN_WAIT, "{commits:?}: the second life was given no partitions");
        }
        let assigned = Instant::now();
        while assigned.elapsed() < QUIET {
            turn(&mut second)?;
        }
        self.judge()
    }

    fn judge(&self) -> Result<Result<u64, Violations>> {
        let expected = |number| Expected { number, key: orders::key(number), verdict: orders::value(number) };
        let mut checker = ExactlyOnceChecker::new((0..ORDERS).map(expected));
        for row in self.kafka.read_committed(&self.output)? {
            let value = String::from_utf8(row.value.context("a copy has a value")?)?;
            let order: serde_json::Value = serde_json::from_str(&value)?;
            let number = order["id"].as_str().and_then(|id| id.strip_prefix("order-")?.parse().ok());
            let key = String::from_utf8(row.key.context("a copy has a key")?)?;
            checker.observe(&Output { at: row.at, key, number, verdict: value });
        }
        Ok(checker.finish().map(|summary| summary.answered))
    }
}

/// A turn of the loop; what may pass, such as a coordinator that is not found yet, is tried again.
fn turn(driver: &mut Driver) -> Result<()> {
    match driver.turn(TURN_WAIT, &mut Silent) {
        Ok(_) => Ok(()),
        Err(TransportError::Retriable(_)) => {
            std::thread::sleep(TURN_WAIT);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn assert_twice(violations: &Violations, wanted: u64) {
    assert_eq!(violations.count, wanted, "{violations}");
    let is_twice = |violation: &Violation| matches!(violation, Violation::AnsweredTwice { .. });
    assert!(violations.first.iter().all(is_twice), "{violations}");
}

#[test]
fn an_honest_commit_passes_the_checker() -> Result<()> {
    assert_eq!(Application::new()?.run(Commits::AllPositions)??, ORDERS);
    Ok(())
}

#[test]
fn a_commit_without_input_positions_is_found_by_the_checker() -> Result<()> {
    let violations = Application::new()?.run(Commits::NoPositions)?.unwrap_err();
    assert_twice(&violations, ORDERS);
    Ok(())
}

#[test]
fn a_commit_that_leaves_out_one_partition_is_found_by_the_checker() -> Result<()> {
    let application = Application::new()?;
    let violations = application.run(Commits::OnlyPartitionZero)?.unwrap_err();
    let left_out =
        application.kafka.read_committed(&application.input)?.iter().filter(|row| row.at.partition == 1).count();
    assert_twice(&violations, left_out as u64);
    Ok(())
}
