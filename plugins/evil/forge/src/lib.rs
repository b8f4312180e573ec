//! Returns columns and rows that contradict themselves, a forgery for each name in its configuration. Verdict: `malformed
//! output`, before a byte of it is used; where each part is well formed but rows are not the batch's, the core tells.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

// A plugin of all kinds.
wit_bindgen::generate!({
    path: "../../../wit",
    inline: "package evil:forge; world all {
        include weir:plugin/processor@0.1.2;
        include weir:plugin/aggregator@0.1.2;
        include weir:plugin/extractor@0.1.2;
    }",
    generate_all,
});

use exports::weir::plugin::aggregation::{self, Aggregator, Folded, Groups, GuestAggregator};
use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::extraction::{self, Extracted, Extractor, GuestExtractor};
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::types::{Column, Headers, Reject};
use weir::plugin::{config, manifest};

struct Forge;

impl Description for Forge {
    fn describe() {
        manifest::about("forge", env!("CARGO_PKG_VERSION"), "none");
        manifest::aggregates(true, false);
    }
}

impl Guest for Forge {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        Ok(Processor::new(Self))
    }
}

impl GuestProcessor for Forge {
    fn process(&self, batch: Batch) -> Output {
        let mut output = Output {
            rows: numbers(&[0]),
            ports: None,
            keys: None,
            values: None,
            timestamps: None,
            headers: None,
            rejects: Vec::new(),
            taken: None,
        };
        match config::get("/what").unwrap_or_default().as_str() {
            "ends-backwards" => {
                output.rows = numbers(&[0, 0]);
                output.values = Some(column(b"abc", &[2, 1], None));
            }
            "ends-beyond" => output.values = Some(column(b"abc", &[4_000_000_000], None)),
            "ends-cut" => output.keys = Some(Column { data: vec![0; 3], ends: vec![3, 0, 0], validity: None }),
            "null-with-bytes" => output.values = Some(column(b"abc", &[3], Some(&[0]))),
            "validity-short" => output.values = Some(column(b"", &[0], Some(&[]))),
            "cells-missing" => output.values = Some(column(b"", &[], None)),
            "ports-too-many" => output.ports = Some(numbers(&[0, 0])),
            "timestamps-cut" => output.timestamps = Some(vec![0; 7]),
            "header-null-name" => {
                let (names, values) = (column(b"", &[0], Some(&[0])), column(b"", &[0], None));
                output.headers = Some(Headers { row_ends: numbers(&[1]), names, values });
            }
            "header-rows-backwards" => {
                output.rows = numbers(&[0, 0]);
                let (names, values) = (column(b"", &[0, 0], None), column(b"", &[0, 0], None));
                output.headers = Some(Headers { row_ends: numbers(&[2, 1]), names, values });
            }
            "rows-cut" => output.rows = vec![0; 5],
            "rows-beyond" => output.rows = numbers(&[batch.count]),
            "reject-beyond" => {
                output.rows.clear();
                output.rejects = vec![Reject { row: u32::MAX, code: "forged".to_owned(), message: String::new() }];
            }
            _ => {}
        }
        output
    }
}

impl aggregation::Guest for Forge {
    type Aggregator = Self;

    fn create(_config: String) -> Result<Aggregator, Vec<Problem>> {
        Ok(Aggregator::new(Self))
    }
}

impl GuestAggregator for Forge {
    fn fold(&self, work: Groups) -> Folded {
        let reject = |row| Reject { row, code: "forged".to_owned(), message: String::new() };
        let honest = if work.every_row { work.rows.count as usize } else { work.accumulators.ends.len() / 4 };
        let mut folded = Folded { accumulators: column(b"", &vec![0; honest], None), rejects: Vec::new() };
        match config::get("/what").unwrap_or_default().as_str() {
            "cells-missing" => folded.accumulators = column(b"", &[], None),
            "cells-too-many" => folded.accumulators = column(b"", &vec![0; honest + 1], None),
            "null-with-bytes" => folded.accumulators = column(b"abc", &vec![3; honest], Some(&[0])),
            "reject-beyond" => folded.rejects = vec![reject(work.rows.count)],
            "reject-twice" => folded.rejects = vec![reject(1), reject(1)],
            _ => {}
        }
        folded
    }

    fn merge(&self, _keys: Option<Column>, left: Column, _right: Column) -> Column {
        match config::get("/what").as_deref() {
            Some("cells-missing") => column(b"", &[], None),
            _ => left,
        }
    }
}

impl extraction::Guest for Forge {
    type Extractor = Self;

    fn create(_config: String) -> Result<Extractor, Vec<Problem>> {
        Ok(Extractor::new(Self))
    }
}

impl GuestExtractor for Forge {
    fn extract(&self, rows: Batch, _partition_count: u32) -> Extracted {
        let mut extracted =
            Extracted { keys: None, timestamps: None, partitions: None, topics: None, rejects: Vec::new() };
        let cells = rows.count as usize;
        match config::get("/what").unwrap_or_default().as_str() {
            "timestamps-cut" => extracted.timestamps = Some(vec![0; 7]),
            "timestamps-missing" => extracted.timestamps = Some(vec![0; 8]),
            "keys" => extracted.keys = Some(column(b"", &vec![0; cells], None)),
            "partitions" => extracted.partitions = Some(numbers(&vec![0; cells])),
            "topics" => extracted.topics = Some(column(b"", &vec![0; cells], None)),
            "reject-beyond" => {
                extracted.rejects = vec![Reject { row: rows.count, code: "forged".to_owned(), message: String::new() }];
            }
            _ => {}
        }
        extracted
    }
}

fn numbers(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_le_bytes()).collect()
}

fn column(data: &[u8], ends: &[u32], validity: Option<&[u8]>) -> Column {
    Column { data: data.to_vec(), ends: numbers(ends), validity: validity.map(<[u8]>::to_vec) }
}

export!(Forge);
