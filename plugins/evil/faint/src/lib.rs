//! Panics with last words, traps without, asks for what is not there, and refuses its configuration. Verdict: `panic`, with
//! its words, the row that it named and its frames by name.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use weir::plugin::{config, context, logging, manifest, metrics};

struct Faint;

impl Description for Faint {
    fn describe() {
        manifest::about("faint", env!("CARGO_PKG_VERSION"), "none");
        manifest::config_schema("{}");
        manifest::reads(true, false, false);
        manifest::input("string", "json");
        manifest::port("good", "string", "json");
        manifest::port("bad", "", "bytes");
    }
}

impl Guest for Faint {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        match config::get("/in-create").as_deref() {
            Some("refuse") => {
                let message = "must be positive".to_owned();
                Err(vec![Problem { pointer: "/max".to_owned(), message }])
            }
            Some("trap") => std::process::abort(),
            _ => Ok(Processor::new(Self)),
        }
    }
}

impl GuestProcessor for Faint {
    fn process(&self, batch: Batch) -> Output {
        metrics::count("calls", 1);
        assert!(batch.values.is_none() && batch.keys.is_some(), "only what the manifest reads crosses");
        match config::get("/what").unwrap_or_default().as_str() {
            "panic" => panics_on_purpose(batch.count - 1),
            "abort" => std::process::abort(),
            "bounds" => _ = context::random(batch.count, 8),
            "manifest" => manifest::about("", "", ""),
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

#[inline(never)]
fn panics_on_purpose(row: u32) {
    logging::fault(Some(row), "no order can have a negative quantity", "");
    std::process::abort();
}

export!(Faint);
