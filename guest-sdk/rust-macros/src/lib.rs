//! The attribute macros of the Weir SDK: a function becomes a plugin by the types of its arguments.
//!
//! Lives here: reading signatures, and saying what is wrong with one. What the plugin does then is in the crate `weir`,
//! which reexports these macros; use them from there. Start at [`processor`](macro@processor).

mod aggregator;
mod batch;
mod extractor;
mod row;
mod shared;
mod state;

use proc_macro::TokenStream;

/// Makes a function the plugin of a `process` node: it is called with each record.
///
/// `#[weir::processor(ports(valid, invalid = "json"))]` declares output ports, with the format of their values.
///
/// `#[weir::processor(on_timer = expired)]` names the function for timers. It takes the `Timer` first, then the processor's
/// stores, `&mut Timers`, `&Config<T>` and `&mut Out` in the processor's order.
#[proc_macro_attribute]
pub fn processor(attribute: TokenStream, item: TokenStream) -> TokenStream {
    row::expand(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes the type of an `impl Aggregator for ..` the plugin of an `aggregate` node. An implementation with a `merge` may be
/// used for sessions.
///
/// Without a configuration an instance is the type's `Default`; with `#[weir::aggregator(config)]` the type is `Deserialize` and
/// is the node's configuration itself.
#[proc_macro_attribute]
pub fn aggregator(attribute: TokenStream, item: TokenStream) -> TokenStream {
    aggregator::expand(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a function the plugin of a `source`: it finds the event time of each record, in milliseconds since 1970 UTC.
#[proc_macro_attribute]
pub fn extractor(attribute: TokenStream, item: TokenStream) -> TokenStream {
    extractor::expand(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a function the plugin of a `process` node that sees the columns: `fn(Batch) -> Output`, or with `&Config<T>`.
#[proc_macro_attribute]
pub fn batch(attribute: TokenStream, item: TokenStream) -> TokenStream {
    batch::expand(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
