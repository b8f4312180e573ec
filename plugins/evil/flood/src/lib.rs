//! Floods the host with output, log lines, metric names and import calls, as its configuration says. Verdicts: `output-size`
//! and `host-calls`; lines and names beyond their bounds are counted and dropped, and the call goes on.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::logging::{self, Level};
use weir::plugin::types::{Column, Reject};
use weir::plugin::{config, context, manifest, metrics};

/// Beyond the bounds on log lines and metric names, within the one on import calls.
const BURST: u32 = 500;
const MEGABYTE: usize = 1 << 20;

struct Flood;

impl Description for Flood {
    fn describe() {
        manifest::about("flood", env!("CARGO_PKG_VERSION"), "none");
    }
}

impl Guest for Flood {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        Ok(Processor::new(Self))
    }
}

impl GuestProcessor for Flood {
    fn process(&self, _batch: Batch) -> Output {
        let mut output = Output {
            rows: vec![0; 4],
            ports: None,
            keys: None,
            values: None,
            timestamps: None,
            headers: None,
            rejects: Vec::new(),
            taken: None,
        };
        match config::get("/what").unwrap_or_default().as_str() {
            "output" => {
                let bytes = 3 * MEGABYTE;
                let ends = (bytes as u32).to_le_bytes().to_vec();
                output.values = Some(Column { data: vec![b'x'; bytes], ends, validity: None });
            }
            "rejects" => {
                // More than the host may lift at all: it stops in the middle of it.
                let reject = || Reject { row: 0, code: String::new(), message: "x".repeat(MEGABYTE) };
                output.rejects = (0..12).map(|_| reject()).collect();
            }
            "log" => (0..BURST).for_each(|line| logging::log(Level::Info, Some(0), &format!("line {line}"))),
            "log-long" => logging::log(Level::Info, None, &"x".repeat(MEGABYTE)),
            "metrics" => (0..BURST).for_each(|name| metrics::count(&format!("name-{name}"), 1)),
            "calls" => loop {
                metrics::count("calls", 1);
            },
            "bytes" => loop {
                drop(context::random(0, MEGABYTE as u32));
            },
            "random" => drop(context::random(0, u32::MAX)),
            _ => {}
        }
        output
    }
}

export!(Flood);
