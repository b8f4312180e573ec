//! Reads or writes as many keys of a store as its configuration says, one at a time or all at once, to show what the border
//! costs: `cargo test --release --workspace --test state -- --ignored --nocapture`.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "stateful-processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use exports::weir::plugin::timing::{Column, Guest as Timing, ProcessorBorrow};
use weir::plugin::state::{self, Entries, KeyValueStore};
use weir::plugin::{config, manifest};

/// As large as the values of the other measurements.
const VALUE: [u8; 100] = [b'x'; 100];

struct Keeper {
    store: KeyValueStore,
    how: String,
    keys: Vec<[u8; 8]>,
}

impl Description for Keeper {
    fn describe() {
        manifest::about("keeper", env!("CARGO_PKG_VERSION"), "none");
        manifest::reads(false, false, false);
        manifest::store("kept", "key-value", "", "");
    }
}

impl Guest for Keeper {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        let text = |pointer| config::get(pointer).unwrap_or_default();
        let keys = (0..text("/keys").parse().unwrap_or(0_u64)).map(u64::to_be_bytes).collect();
        Ok(Processor::new(Self { store: state::open_key_value("kept"), how: text("/how"), keys }))
    }
}

impl GuestProcessor for Keeper {
    fn process(&self, _: Batch) -> Output {
        match self.how.as_str() {
            "get" => self.keys.iter().for_each(|key| drop(self.store.get(key))),
            "get-many" => drop(self.store.get_many(&column(self.keys.iter().map(|key| &key[..])))),
            "put" => self.keys.iter().for_each(|key| self.store.put(key, &VALUE)),
            "put-many" => {
                let keys = column(self.keys.iter().map(|key| &key[..]));
                let values = column(self.keys.iter().map(|_| &VALUE[..]));
                self.store.put_many(&Entries { keys, values });
            }
            _ => {}
        }
        nothing()
    }
}

impl Timing for Keeper {
    fn on_timers(_: ProcessorBorrow<'_>, _: Column, _: i64) -> Output {
        nothing()
    }
}

fn column<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Column {
    let (mut data, mut ends) = (Vec::new(), Vec::new());
    for cell in cells {
        data.extend_from_slice(cell);
        ends.extend_from_slice(&(data.len() as u32).to_le_bytes());
    }
    Column { data, ends, validity: None }
}

fn nothing() -> Output {
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

export!(Keeper);
