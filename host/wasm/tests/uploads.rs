//! What may be uploaded, and what a digest is worth.

#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod guests;

use guests::{TASK, bytes, call, host, plugin};
use weir_core::ports::ProcessorSupplier;
use weir_core::topology::NodeName;
use weir_wasm::{HostConfig, LoadError, PluginHost, Plugins};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A core module of the world `processor` of `wit`, with `describe` as given and `imports` besides.
fn module(wit: &str, imports: &str, describe: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {imports}
            (memory (export "memory") 1)
            (table $table 1 funcref)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "weir:plugin/description@0.1.2#describe") {describe})
            (func (export "weir:plugin/processing@0.1.2#create") (param i32 i32) (result i32) unreachable)
            (func (export "weir:plugin/processing@0.1.2#[method]processor.process") (param i32) (result i32) unreachable))"#
    );
    let mut module = wat::parse_str(text).expect("a module");
    let mut resolve = Resolve::default();
    let package = resolve.push_path(wit).expect("a package").0;
    let world = resolve.select_world(&[package], Some("processor")).expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("metadata");
    module
}

const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");

#[test]
fn a_core_module_and_the_component_made_of_it_are_the_same_plugin() {
    let module = bytes("identity");
    let component = ComponentEncoder::default().module(&module).expect("a module").encode().expect("a component");
    let host = host();
    let (from_module, from_component) = (host.load(&module).expect("loads"), host.load(&component).expect("loads"));
    assert_eq!(from_module.manifest(), from_component.manifest());
    assert_ne!(from_module.digest(), from_component.digest(), "a digest is over the bytes as they were uploaded");
    assert_eq!(from_module.size(), module.len());
}

#[test]
fn a_table_bomb_meets_its_limit_in_describe() {
    let bomb = "(loop (drop (table.grow $table (ref.null func) (i32.const 1000))) (br 0))";
    let error = host().load(&module(WIT, "", bomb)).expect_err("refused");
    assert!(error.to_string().contains("`describe` trapped: memory: table_elements_max"), "{error}");
}

#[test]
fn an_endless_describe_meets_its_deadline() {
    let error = host().load(&module(WIT, "", "(loop (br 0))")).expect_err("refused");
    assert!(error.to_string().contains("`describe` trapped: deadline"), "{error}");
}

#[test]
fn what_no_plugin_may_reach_is_named() {
    let wasi = r#"(import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))"#;
    let error = host().load(&module(WIT, wasi, "")).expect_err("refused");
    assert!(
        matches!(&error, LoadError::ForbiddenImport { import, .. } if import.contains("clock_time_get")),
        "{error}"
    );
    let clock =
        r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64))))))"#;
    let error = host().load(&wat::parse_str(clock).expect("a component")).expect_err("refused");
    assert!(error.to_string().starts_with("it imports `wasi:clocks/monotonic-clock@0.2.0`"), "{error}");
    let error = host().load(&wat::parse_str("(component)").expect("a component")).expect_err("refused");
    assert!(error.to_string().starts_with("no export `weir:plugin/processing`"), "{error}");
}

#[test]
fn a_plugin_of_a_later_contract_is_told_what_it_needs() {
    let later = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(WIT).expect("wit/").map(|entry| entry.expect("an entry").path()) {
        let Some(name) = file.file_name().filter(|_| file.extension().is_some_and(|wit| wit == "wit")) else {
            continue;
        };
        let text = std::fs::read_to_string(&file).expect("WIT").replace("@0.1.2", "@0.1.3");
        let text = text.replace("  observe: func", "  forget: func(name: string);\n  observe: func");
        std::fs::write(later.path().join(name), text).expect("written");
    }
    let import = r#"(import "weir:plugin/metrics@0.1.3" "forget" (func (param i32 i32)))"#;
    let module = module(later.path().to_str().expect("UTF-8"), import, "");
    let module = replace(&module, b"n@0.1.2#", b"n@0.1.3#");
    let module = replace(&module, b"g@0.1.2#", b"g@0.1.3#");
    let error = host().load(&module).expect_err("refused");
    assert!(
        error.to_string().starts_with("needs weir:plugin 0.1.3 (metrics.forget); this host serves 0.1.2"),
        "{error}"
    );
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, at)| *at == from).map(|(at, _)| at).collect();
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn precompiled_code_is_refused() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_module(b"\0asm\x01\0\0\0").expect("compiles");
    assert_eq!(host().load(&code).expect_err("refused"), LoadError::Precompiled);
}

#[test]
fn compiled_code_outlives_its_host_in_the_cache() {
    let cache = tempfile::tempdir().expect("a directory");
    let config = HostConfig { cache_dir: Some(cache.path().to_owned()), instances_max: 2, ..HostConfig::default() };
    for _ in 0..2 {
        PluginHost::new(config.clone()).expect("a host").load(&bytes("identity")).expect("loads");
    }
    assert!(std::fs::read_dir(cache.path()).expect("a directory").next().is_some(), "something is kept");
}

#[test]
fn a_version_is_its_artifact_with_its_configuration() {
    let host = host();
    let version = |config: &str| plugin(&host, "identity", config).version().clone();
    assert_eq!(version(r#"{"a": 1}"#), version(r#"{"a":1}"#), "blanks mean nothing");
    assert_ne!(version(r#"{"a":1}"#), version(r#"{"a":2}"#));
    assert_eq!(version(""), version("null"));
    let artifact = host.load(&bytes("identity")).expect("loads");
    let error = host.plugin(&artifact, "{", "app", &NodeName::from("node")).expect_err("refused");
    assert!(error.to_string().starts_with("the configuration of node `node` is not JSON: EOF"), "{error}");
}

#[test]
fn a_supplier_makes_what_is_deployed_and_names_what_is_not() {
    let host = host();
    let plugin = plugin(&host, "identity", "");
    let (node, version) = (plugin.node().clone(), plugin.version().clone());
    let plugins = Plugins::default();
    let mut supplier = plugins.clone();
    let Err(fault) = supplier.create(&node, &version, TASK) else { panic!("it is not there yet") };
    assert!(fault.message.starts_with("this host does not have it"), "{fault}");
    plugins.insert(plugin);
    supplier.create(&node, &version, TASK).expect("an instance");
}

#[test]
fn values_nulls_and_emptiness_cross_both_ways_unchanged() {
    let mut instance = plugin(&host(), "identity", "").instantiate(TASK).expect("an instance");
    let large = vec![b'x'; 1 << 20];
    let values = [Some(&b"a"[..]), None, Some(b""), Some(&large)];
    let output = call(&mut instance, &values).expect("an output");
    assert_eq!(output.rows, [0, 1, 2, 3]);
    assert_eq!(output.values.expect("values").iter().collect::<Vec<_>>(), values);
    assert_eq!((output.keys, output.timestamps, output.taken), (None, None, None));
}
