//! Takes memory, table entries or stack without end, as its configuration says. Verdicts: `memory`, `memory`, `stack`.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::{config, manifest};

struct Swell;

impl Description for Swell {
    fn describe() {
        manifest::about("swell", env!("CARGO_PKG_VERSION"), "none");
    }
}

impl Guest for Swell {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        Ok(Processor::new(Self))
    }
}

impl GuestProcessor for Swell {
    fn process(&self, batch: Batch) -> Output {
        match config::get("/what").as_deref() {
            Some("memory") => swell_memory(),
            Some("stack") => _ = recurse(u64::from(batch.count)),
            _ => {}
        }
        Output {
            rows: Vec::new(),
            ports: None,
            keys: None,
            values: None,
            timestamps: None,
            headers: None,
            rejects: Vec::new(),
            taken: None,
        }
    }
}

fn swell_memory() {
    const MEGABYTE: usize = 1 << 20;
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; MEGABYTE]));
    }
}

/// Frames that take little of the guest's own stack in linear memory: the one on the host's side is to run out first.
#[allow(unconditional_recursion, reason = "that is the attack")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(depth + 1)) + depth
}

export!(Swell);
