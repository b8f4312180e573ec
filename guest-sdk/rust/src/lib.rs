//! Write Weir plugins in Rust: a function, its argument types, and [`processor`] over it.
//!
//! ```
//! use weir::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Order<'a> {
//!     #[serde(borrow)]
//!     id: Text<'a>,
//!     quantity: i64,
//! }
//!
//! #[weir::processor]
//! fn ids(order: Json<Order>, out: &mut Out) -> Result<(), Reject> {
//!     if order.quantity < 0 {
//!         return Err(Reject::new("order.quantity", "an order needs a quantity of at least 0"));
//!     }
//!     out.emit(Str(&order.id))
//! }
//!
//! let emitted = weir::test::run::<ids>(r#"{"id":"order-1","quantity":2}"#).unwrap();
//! assert_eq!(emitted[0].value_text(), "order-1");
//! ```
//!
//! The first argument is the record's value, decoded as its type says: [`Json`], [`Bytes`], [`Str`], or an `Option` of one where
//! null is welcome. What does not decode is refused as `weir.decode`. Further arguments by type: [`Key`], [`Timestamp`],
//! [`Headers`], `&`[`Context`], `&`[`Config`], and `&mut` [`Out`], where results go. `Err(`[`Reject`]`)` hands the record to the
//! node's error policy; a panic is a trap: the host names the record, and no result of it stays.
//!
//! Stores are arguments too, by their names: `counts: &mut `[`KeyValue`]`<Str, i64>`, `&mut `[`WindowStore`], `&mut
//! `[`SessionStore`]. What a record writes there is kept if it succeeds. `timers: &mut `[`Timers`] sets timers, for the function that
//! `#[weir::processor(on_timer = ..)]` names. [`aggregator`] makes the plugin of an aggregate node of an [`Aggregator`].
//!
//! ```
//! use weir::prelude::*;
//!
//! #[weir::processor(on_timer = silent)]
//! fn heard(_: Bytes, key: Key<Str>, at: Timestamp, heard: &mut KeyValue<Str, i64>, timers: &mut Timers, out: &mut Out)
//! -> Result<(), Reject> {
//!     let count = heard.get(&key)?.unwrap_or(0) + 1;
//!     heard.put(&key, &count)?;
//!     timers.schedule(&key, at.millis + 60_000);
//!     out.emit(count.to_string())
//! }
//!
//! fn silent(timer: Timer, heard: &mut KeyValue<Str, i64>, _: &mut Timers, out: &mut Out) -> Result<(), Reject> {
//!     heard.delete(&timer.name_text())?;
//!     out.emit("silent for a minute")
//! }
//!
//! let mut driver = weir::test::Driver::<heard>::new("null").unwrap();
//! let record = weir::test::Record::new("hello").key("ada");
//! assert_eq!(driver.pipe_one(record.clone()).unwrap()[0].value_text(), "1");
//! assert_eq!(driver.pipe_one(record.timestamp(5)).unwrap()[0].value_text(), "2");
//! assert_eq!(driver.timers(), [("ada".to_owned(), 60_005)]);
//! assert_eq!(driver.advance(60_005)[0].as_ref().unwrap()[0].value_text(), "silent for a minute");
//! assert_eq!(driver.store("heard", |heard: &mut KeyValue<Str, i64>| heard.get("ada")), Ok(None));
//! ```
//!
//! [`extractor`] makes the plugin of a source, which finds the event time of each record: milliseconds since 1970 UTC. Its
//! arguments are those of a processor, without `Out`, stores and timers. Stream time is not known yet when it is asked.
//!
//! ```
//! use weir::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     ordered_at_s: i64,
//! }
//!
//! #[weir::extractor]
//! fn order_time(order: Json<Order>) -> Result<i64, Reject> {
//!     order.ordered_at_s.checked_mul(1000).ok_or_else(|| Reject::new("order.time", "no order is that late"))
//! }
//!
//! assert_eq!(weir::test::time::<order_time>(r#"{"ordered_at_s":5}"#), Ok(5000));
//! assert_eq!(weir::test::time::<order_time>("never").unwrap_err().code(), "weir.decode");
//! ```
//!
//! Lives here: columns into rows and back, decoding, what a plugin declares of itself, its last words. Not here: what the host
//! allows and limits (`host/wasm`). Start at [`Processor`], what the macro implements; then [`Out`].

// What the macros write says `::weir`, here as well.
extern crate self as weir;

pub mod abi;
mod aggregator;
mod boundary;
mod column;
mod config;
mod context;
mod decode;
mod encode;
mod extractor;
mod log;
pub mod metrics;
mod out;
mod processor;
mod reject;
mod rows;
mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;

pub use abi::extraction::Extracted;
pub use abi::weir::plugin::logging::Level;
pub use abi::weir::plugin::types::{Batch, Column, Output, Problem};
pub use aggregator::{Aggregator, AggregatorPlugin, ExportedAggregator};
pub use config::{Config, configuration, no_configuration, value_of};
pub use context::{Context, Source};
pub use decode::{Bytes, Decode, Format, Json, Key, Part, Str, Text, Timestamp};
pub use encode::{Encode, Null};
pub use extractor::{EventTime, ExportedExtractor, Extractor, each_time};
pub use log::log;
pub use out::{Emit, Mode, Out, Records, Values};
pub use processor::{Declaration, Exported, Outcome, Port, Processor, each_row, each_row_with};
pub use reject::Reject;
pub use rows::{Headers, Row, Rows};
pub use state::{
    KeyValue, Pending, Session, SessionStore, State, Store, StoreDeclaration, Stored, Timer, Timers, WindowStore,
    Windowed, each_timer,
};
pub use weir_macros::{aggregator, batch, extractor, processor};

/// What a plugin's manifest names as its SDK.
pub const SDK: &str = concat!("weir-rust ", env!("CARGO_PKG_VERSION"));

/// What nearly every plugin uses.
pub mod prelude {
    pub use crate::{
        Aggregator, Bytes, Config, Context, Encode, Headers, Json, Key, KeyValue, Level, Null, Out, Records, Reject,
        SessionStore, Str, Text, Timer, Timers, Timestamp, Values, WindowStore,
    };
    // Not glob-shadowed by the modules of the same purpose: `weir::metrics::count`, `weir::log`.
}

/// Exports processor `$name` from this component. The macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($name:ident) => {
        type Exported = ::weir::Exported<$name>;
        ::weir::abi::export_description!(Exported with_types_in ::weir::abi);
        ::weir::abi::processing::export_processor!(Exported with_types_in ::weir::abi::processing);
    };
}

/// Exports aggregator `$type` from this component. The macro calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_aggregator {
    ($type:ty) => {
        type Exported = ::weir::ExportedAggregator<$type>;
        ::weir::abi::export_description!(Exported with_types_in ::weir::abi);
        ::weir::abi::aggregation::export_aggregator!(Exported with_types_in ::weir::abi::aggregation);
    };
}

/// Exports extractor `$name` from this component. The macro calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_extractor {
    ($name:ident) => {
        type Exported = ::weir::ExportedExtractor<$name>;
        ::weir::abi::export_description!(Exported with_types_in ::weir::abi);
        ::weir::abi::extraction::export_extractor!(Exported with_types_in ::weir::abi::extraction);
    };
}
