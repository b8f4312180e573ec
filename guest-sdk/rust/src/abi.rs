//! The contract as Rust: what `wit/` becomes, generated once, here, for every plugin. The only unsafe code of the SDK.
#![allow(unsafe_code, missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "processor",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_processor",
    default_bindings_module: "::weir::abi",
    runtime_path: "::weir::abi::runtime",
});

#[doc(hidden)]
pub use wit_bindgen::rt as runtime;
