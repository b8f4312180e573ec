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
//! Lives here: columns into rows and back, decoding, what a plugin declares of itself, its last words. Not here: what the host
//! allows and limits (`host/wasm`). Start at [`Processor`], what the macro implements; then [`Out`].

// What the macros write says `::weir`, here as well.
extern crate self as weir;

pub mod abi;
mod boundary;
mod column;
mod config;
mod context;
mod decode;
mod encode;
mod log;
pub mod metrics;
mod out;
mod processor;
mod reject;
mod rows;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;

pub use abi::weir::plugin::logging::Level;
pub use abi::weir::plugin::types::{Batch, Column, Output, Problem};
pub use config::{Config, configuration, no_configuration, value_of};
pub use context::{Context, Source};
pub use decode::{Bytes, Decode, Format, Json, Key, Part, Str, Text, Timestamp};
pub use encode::{Encode, Null};
pub use log::log;
pub use out::{Emit, Mode, Out, Records, Values};
pub use processor::{Declaration, Exported, Outcome, Port, Processor, each_row};
pub use reject::Reject;
pub use rows::{Headers, Row, Rows};
pub use weir_macros::{batch, processor};

/// What a plugin's manifest names as its SDK.
pub const SDK: &str = concat!("weir-rust ", env!("CARGO_PKG_VERSION"));

/// What nearly every plugin uses.
pub mod prelude {
    pub use crate::{
        Bytes, Config, Context, Encode, Headers, Json, Key, Level, Null, Out, Records, Reject, Str, Text, Timestamp,
        Values,
    };
    // Not glob-shadowed by the modules of the same purpose: `weir::metrics::count`, `weir::log`.
}

/// Exports processor `$name` from this component. The macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($name:ident) => {
        type Exported = ::weir::Exported<$name>;
        ::weir::abi::export_processor!(Exported with_types_in ::weir::abi);
    };
}
