//! Hands each value back as it came. It reads values alone and copies them, so that a call of it shows what the border
//! costs: `cargo bench -p weir-wasm`. Built against the first release of the contract: it shows that such a plugin still runs.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit/released/0.1.0", world: "processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::manifest;

struct Identity;

impl Description for Identity {
    fn describe() {
        manifest::about("identity", env!("CARGO_PKG_VERSION"), "none");
        manifest::reads(false, true, false);
    }
}

impl Guest for Identity {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        Ok(Processor::new(Self))
    }
}

impl GuestProcessor for Identity {
    fn process(&self, batch: Batch) -> Output {
        let rows = (0..batch.count).flat_map(u32::to_le_bytes).collect();
        Output {
            rows,
            ports: None,
            keys: None,
            values: batch.values,
            timestamps: None,
            headers: None,
            rejects: Vec::new(),
            taken: None,
        }
    }
}

export!(Identity);
