//! The contract as Rust: what `wit/` becomes, generated once, here, for every plugin. The only unsafe code of the SDK.
#![allow(unsafe_code, missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]

// A world for each set of exports: what a component does not import is dropped when it is made, what it would have to export
// is not. An interface may be exported by one of them only, as the macros that export it are named after it. So every
// processor exports `timing`, whether it sets timers or not.
wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package weir:sdk;
        world described {
            include weir:plugin/base@0.1.2;
            import weir:plugin/context@0.1.2;
            import weir:plugin/state@0.1.2;
            import weir:plugin/timers@0.1.2;
        }
    ",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_description",
    default_bindings_module: "::weir::abi",
    runtime_path: "::weir::abi::runtime",
});

/// What a processor exports.
pub mod processing {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world processing {
                export weir:plugin/processing@0.1.2;
                export weir:plugin/timing@0.1.2;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_processor",
        default_bindings_module: "::weir::abi::processing",
        runtime_path: "::weir::abi::runtime",
        with: {
            "weir:plugin/types@0.1.2": crate::abi::weir::plugin::types,
            "weir:plugin/processing@0.1.2": generate,
            "weir:plugin/timing@0.1.2": generate,
        },
    });
    pub use exports::weir::plugin::{processing, timing};
}

/// What an aggregator exports.
pub mod aggregation {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package weir:sdk; world aggregation { export weir:plugin/aggregation@0.1.2; }",
        pub_export_macro: true,
        export_macro_name: "export_aggregator",
        default_bindings_module: "::weir::abi::aggregation",
        runtime_path: "::weir::abi::runtime",
        with: {
            "weir:plugin/types@0.1.2": crate::abi::weir::plugin::types,
            "weir:plugin/aggregation@0.1.2": generate,
        },
    });
    pub use exports::weir::plugin::aggregation::*;
}

/// What an extractor exports.
pub mod extraction {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package weir:sdk; world extraction { export weir:plugin/extraction@0.1.2; }",
        pub_export_macro: true,
        export_macro_name: "export_extractor",
        default_bindings_module: "::weir::abi::extraction",
        runtime_path: "::weir::abi::runtime",
        with: {
            "weir:plugin/types@0.1.2": crate::abi::weir::plugin::types,
            "weir:plugin/extraction@0.1.2": generate,
        },
    });
    pub use exports::weir::plugin::extraction::*;
}

#[doc(hidden)]
pub use wit_bindgen::rt as runtime;
