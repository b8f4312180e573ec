//! The only file that expands the WIT. What a call hands over is borrowed, so that a column is one copy into the guest.

#![allow(missing_docs, reason = "wit/ is where these are explained")]

// One world of all that any plugin imports or exports. Which exports a component has, `artifact.rs` looks up.
wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package weir:host;
        world every {
            include weir:plugin/stateful-processor@0.1.2;
            include weir:plugin/aggregator@0.1.2;
            include weir:plugin/extractor@0.1.2;
        }
    ",
    world: "weir:host/every",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});
