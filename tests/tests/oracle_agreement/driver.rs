//! Weir's answer to a case, by its TopologyTestDriver.

use std::time::Duration;

use anyhow::Result;
use weir_testing::{Commits, Options, TestRecord, TopologyTestDriver};
use weir_tests::oracle::{Case, Input, Operation, Record};

use super::file::file;
use super::plugin::TextsSupplier;
use super::topology::{OUTPUT, topology};

/// How the rows of a case are taken; it must not show.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Each in a transaction of its own.
    RowByRow,
    /// In steps of at most so many rows, all in one transaction.
    Batches(usize),
    /// With a restart, an abort or a commit after each row, in turn, and stores restored from their changelogs.
    Disturbed,
}

impl Way {
    /// All of them. In threes, borders of batches lie everywhere.
    pub const ALL: [Self; 4] = [Self::RowByRow, Self::Batches(3), Self::Batches(usize::MAX), Self::Disturbed];

    fn options(self) -> Options {
        let (commits, batch_rows_max) = match self {
            Self::RowByRow => (Commits::EachRecord, 1),
            Self::Batches(rows) => (Commits::Chosen, rows),
            Self::Disturbed => (Commits::Chosen, usize::MAX),
        };
        Options { batch_rows_max, commits, supplier: Box::new(TextsSupplier), ..Options::default() }
    }
}

/// Whether Weir has such an operation.
pub fn has(operation: &Operation) -> bool {
    match operation {
        Operation::Table(_) | Operation::Join(_) => file(operation).is_some(),
        Operation::Cogroup => false,
        _ => true,
    }
}

/// What Weir emits for `case`; a task that fails is a record of its own, so that it is shrunk and shown like any difference.
pub fn answer(case: &Case, way: Way) -> Vec<Record> {
    try_answer(case, way).unwrap_or_else(|error| vec![Record { key: None, value: Some(format!("{error:#}")), at: -1 }])
}

fn try_answer(case: &Case, way: Way) -> Result<Vec<Record>> {
    let driver = match file(&case.operation) {
        Some(file) => TopologyTestDriver::from_yaml(&file, way.options())?,
        None => TopologyTestDriver::new(topology(&case.operation), way.options())?,
    };
    let output = driver.create_output_topic(OUTPUT)?;
    for (number, one) in case.inputs.iter().enumerate() {
        match one {
            Input::Row { side, key, value, at } => {
                let input = driver.create_input_topic(side.topic())?;
                let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
                let headers = Vec::new();
                input.pipe_input(TestRecord { timestamp: *at, key: bytes(key), value: bytes(value), headers })?;
            }
            Input::Advance(ms) => driver.advance_wall_clock_time(Duration::from_millis(ms.unsigned_abs()))?,
        }
        match (way, number % 4) {
            (Way::Disturbed, 0) => driver.restart()?,
            (Way::Disturbed, 1) => driver.abort()?,
            (Way::Disturbed, 2) => driver.commit()?,
            _ => {}
        }
    }
    driver.commit()?;
    let text = |bytes: Option<Vec<u8>>| bytes.map(String::from_utf8).transpose();
    let rows = output.read_records_to_list().into_iter();
    rows.map(|row| Ok(Record { key: text(row.key)?, value: text(row.value)?, at: row.timestamp })).collect()
}
