//! Never comes back: loops in `create`, in `process` and when dropped, as its configuration says.
//! Verdict: `deadline`.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::{config, manifest};

struct Endless;

impl Description for Endless {
    fn describe() {
        manifest::about("endless", env!("CARGO_PKG_VERSION"), "none");
    }
}

impl Guest for Endless {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        spin_in("create");
        Ok(Processor::new(Self))
    }
}

impl GuestProcessor for Endless {
    fn process(&self, batch: Batch) -> Output {
        spin_in("process");
        Output {
            rows: (0..batch.count).flat_map(u32::to_le_bytes).collect(),
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

impl Drop for Endless {
    fn drop(&mut self) {
        spin_in("drop");
    }
}

fn spin_in(place: &str) {
    if config::get("/in").as_deref() == Some(place) {
        loop {
            std::hint::spin_loop();
        }
    }
}

export!(Endless);
