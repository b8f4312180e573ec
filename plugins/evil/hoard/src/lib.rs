//! Abuses its stores and timers: pages without end, handles that it was never given, a gigabyte of writes. Verdict:
//! `host-calls` where it is too much, `panic` with the host's words where it is against the contract.

#![allow(unsafe_code, missing_docs, reason = "the generated border is unsafe and explains itself in wit/")]

wit_bindgen::generate!({ path: "../../../wit", world: "stateful-processor" });

use exports::weir::plugin::description::Guest as Description;
use exports::weir::plugin::processing::{Batch, Guest, GuestProcessor, Output, Problem, Processor};
use exports::weir::plugin::timing::{Column, Guest as Timing, ProcessorBorrow};
use weir::plugin::state::{self, Entries, KeyValueStore, WindowStore};
use weir::plugin::{config, manifest, timers};

struct Hoard {
    things: KeyValueStore,
    seen: WindowStore,
}

/// What a write carries; large enough that a thousand of them are a gigabyte.
const MEGABYTE: usize = 1 << 20;

// As the component's import, but with a handle of our own making.
#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "weir:plugin/state@0.1.2")]
unsafe extern "C" {
    #[link_name = "[method]key-value-store.delete"]
    fn delete_through(handle: i32, key: *const u8, bytes: usize);
}

#[cfg(target_arch = "wasm32")]
fn delete_by_handle(handle: u32) {
    // SAFETY: none. Whatever comes of it, it is the host that must bear it.
    unsafe { delete_through(handle as i32, [].as_ptr(), 0) }
}

#[cfg(not(target_arch = "wasm32"))]
fn delete_by_handle(_: u32) {}

impl Description for Hoard {
    fn describe() {
        manifest::about("hoard", env!("CARGO_PKG_VERSION"), "none");
        manifest::store("things", "key-value", "", "");
        manifest::store("seen", "window", "", "");
        manifest::timers();
    }
}

impl Guest for Hoard {
    type Processor = Self;

    fn create(_config: String) -> Result<Processor, Vec<Problem>> {
        match config::get("/in-create").as_deref() {
            Some("unknown") => drop(state::open_key_value("nobody's")),
            Some("kind") => drop(state::open_session("things")),
            Some("read") => drop(state::open_key_value("things").get(b"k")),
            Some("timer") => timers::cancel(b"t"),
            Some("mark") => _ = state::mark(),
            _ => {}
        }
        let (things, seen) = (state::open_key_value("things"), state::open_window("seen"));
        Ok(Processor::new(Self { things, seen }))
    }
}

impl GuestProcessor for Hoard {
    fn process(&self, batch: Batch) -> Output {
        match config::get("/what").unwrap_or_default().as_str() {
            "write" => {
                let value = vec![b'x'; MEGABYTE];
                (0..1_000_u32).for_each(|key| self.things.put(&key.to_le_bytes(), &value));
            }
            "write-many" => {
                let keys = column(&[b"a", b"b"]);
                let mut values = column(&[b"", b""]);
                values.data = vec![b'x'; 2 * MEGABYTE];
                values.ends = [MEGABYTE as u32, 2 * MEGABYTE as u32].iter().flat_map(|end| end.to_le_bytes()).collect();
                let changes = Entries { keys, values };
                (0..1_000).for_each(|_| self.things.put_many(&changes));
            }
            "page" => drop(self.things.range(None, None, u32::MAX, false)),
            "page-backward" => drop(self.things.range(None, None, u32::MAX, true)),
            "page-windows" => drop(self.seen.range(None, None, i64::MAX, i64::MAX, None, u32::MAX)),
            "many-keys" => {
                let ends = vec![0; MEGABYTE];
                drop(self.things.get_many(&Column { data: Vec::new(), ends, validity: None }));
            }
            "handles" => {
                let held: Vec<_> = (0..2_000).map(|_| state::open_key_value("things")).collect();
                held.into_iter().for_each(std::mem::forget);
            }
            "foreign-handle" => delete_by_handle(1_000_000),
            "other-kind" => delete_by_handle(self.seen.handle()),
            "null-key" => {
                let keys = Column { data: Vec::new(), ends: vec![0; 4], validity: Some(vec![0]) };
                drop(self.things.get_many(&keys));
            }
            "starts" => drop(self.seen.get_many(&column(&[b"a", b"b"]), &[0; 8])),
            "changes" => {
                let (keys, values) = (column(&[b"a", b"b"]), column(&[b"a"]));
                self.things.put_many(&Entries { keys, values });
            }
            "forged" => {
                let keys = Column { data: Vec::new(), ends: vec![255; 4], validity: None };
                drop(self.things.get_many(&keys));
            }
            "undo" => state::undo(7),
            "timer-row" => timers::schedule(batch.count, b"t", 0),
            "timers" => (0..u32::MAX).for_each(|timer| timers::schedule(0, &timer.to_le_bytes(), 0)),
            "timer-name" => timers::schedule_after(0, &vec![b'x'; 10 * MEGABYTE], u64::MAX),
            _ => {}
        }
        nothing()
    }
}

impl Timing for Hoard {
    fn on_timers(_: ProcessorBorrow<'_>, names: Column, at: i64) -> Output {
        if config::get("/what").as_deref() == Some("timer-again") {
            (0..names.ends.len() as u32 / 4 + 1).for_each(|row| timers::schedule(row, b"again", at));
        }
        nothing()
    }
}

fn column(cells: &[&[u8]]) -> Column {
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

export!(Hoard);
