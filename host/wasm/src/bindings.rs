//! The only file that expands the WIT. What a call hands over is borrowed, so that a column is one copy into the guest.

#![allow(missing_docs, reason = "wit/ is where these are explained")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "weir:plugin/processor",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});
