//! What may become a plugin: told from the bytes and the component's type, before a line of it runs.

use std::borrow::Cow;

use thiserror::Error;
use wasmparser::{Parser, Payload};
use wasmtime::component::types::{Component as ComponentType, ComponentItem};
use weir_core::ports::Trap;

/// The package that host and plugins share.
const PACKAGE: &str = "weir:plugin/";
/// Its version that this host serves.
const SERVED_VERSION: &str = "0.1.2";
/// Its import functions that this host serves; `the_table_is_what_wit_says` holds it to wit/.
#[rustfmt::skip]
const SERVED: &[(&str, &[&str])] = &[
    ("types",    &[]),
    ("config",   &["get"]),
    ("context",  &["row-sources", "row-headers", "row-windows", "stream-times", "random", "application", "node",
                  "partition"]),
    ("logging",  &["enabled", "log", "fault"]),
    ("manifest", &["about", "config-schema", "reads", "input", "port", "store", "timers", "aggregates"]),
    ("metrics",  &["count", "gauge", "observe"]),
    ("state",    &["open-key-value", "open-window", "open-session", "mark", "undo"]),
    ("timers",   &["schedule", "schedule-after", "cancel"]),
];
/// The methods of the resources of `state`; `the_methods_are_what_wit_says` holds it to wit/.
#[rustfmt::skip]
const METHODS: &[(&str, &[&str])] = &[
    ("key-value-store", &["get", "get-many", "put", "put-many", "delete", "range", "prefix"]),
    ("window-store",    &["get", "get-many", "put", "put-many", "delete", "fetch", "range"]),
    ("session-store",   &["get", "put", "put-many", "delete", "fetch"]),
];
/// Functions of `context` that are about the rows of a call.
const ABOUT_ROWS: [&str; 5] = ["row-sources", "row-headers", "row-windows", "stream-times", "random"];

/// Interfaces of which a plugin exports at least one.
const ROLES: [&str; 3] = ["processing", "aggregation", "extraction"];

/// Why bytes are not a plugin. Nothing of it has run but, in the last case, `describe`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// Neither a component nor a core module.
    #[error(
        "not WebAssembly: it begins with {start:02x?}, not with `\\0asm`; upload the .wasm that the plugin's build made"
    )]
    NotWasm {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// Machine code cannot be checked, so it is never run.
    #[error("precompiled code; upload the .wasm that it was compiled from, the host compiles it")]
    Precompiled,
    /// Over the cap.
    #[error("{bytes} bytes, but at most {bytes_max} are taken; strip the plugin, or raise artifact_bytes_max")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The cap.
        bytes_max: usize,
    },
    /// It does not offer what a node calls.
    #[error(
        "no export `{missing}`; it exports {exports:?}. Build it against a world of weir:plugin {SERVED_VERSION}, such as \
         `processor`, `aggregator` or `extractor`"
    )]
    WrongWorld {
        /// What is missing.
        missing: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// It wants something that no plugin gets.
    #[error("it imports `{import}`: plugins reach weir:plugin alone, no WASI, no clock, no files{hint}")]
    ForbiddenImport {
        /// What it wants.
        import: String,
        /// How to mend it.
        hint: &'static str,
    },
    /// It was made for a later host.
    #[error(
        "needs weir:plugin {needs} ({item}); this host serves {SERVED_VERSION}: update the host, or build against its version"
    )]
    TooNew {
        /// The version of the contract that it names.
        needs: String,
        /// What this host lacks.
        item: String,
    },
    /// WebAssembly that does not hold together, or types that are not the contract's.
    #[error("not a valid component of weir:plugin {SERVED_VERSION}: {message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// It says of itself what it is not.
    #[error("{message}")]
    Contradiction {
        /// What.
        message: String,
    },
    /// `describe` did not come to its end.
    #[error("`describe` trapped: {trap}\n{}", trap.backtrace)]
    Describe {
        /// How it ended.
        trap: Trap,
    },
    /// No instance could be made to ask it.
    #[error("cannot be instantiated: {message}")]
    Instantiate {
        /// Why not.
        message: String,
    },
}

/// The component in `bytes`: as it is, or made of a core module.
pub(crate) fn componentize(bytes: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, LoadError> {
    if bytes.len() > bytes_max {
        return Err(LoadError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    if Parser::is_component(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    if !Parser::is_core_wasm(bytes) {
        return Err(LoadError::NotWasm { start: bytes.iter().take(8).copied().collect() });
    }
    check_core_imports(bytes)?;
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(bytes)?.encode();
    encode().map(Cow::Owned).map_err(|error| LoadError::Invalid { message: format!("{error:#}") })
}

/// Done before the encoder sees them: it would speak of adapters, not of what a plugin may reach.
fn check_core_imports(bytes: &[u8]) -> Result<(), LoadError> {
    let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid { message: error.to_string() };
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::ImportSection(section) = payload.map_err(invalid)? else { continue };
        for import in section.into_imports() {
            let import = import.map_err(invalid)?;
            // `[export]…` are the module's own resources.
            if !import.module.trim_start_matches("[export]").starts_with(PACKAGE) {
                return Err(forbidden(format!("{}.{}", import.module, import.name)));
            }
        }
    }
    Ok(())
}

fn forbidden(import: String) -> LoadError {
    let hint = match import.starts_with("wasi") {
        true => ". Build for wasm32-unknown-unknown, or stub WASI out (componentize-py: --stub-wasi)",
        false => "",
    };
    LoadError::ForbiddenImport { import, hint }
}

/// What a component can reach and offers, once it is known to fit.
#[derive(Debug)]
pub(crate) struct Surface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) asks_for_rows: bool,
}

/// Holds a component's type against what this host serves.
pub(crate) fn surface(component: &ComponentType, engine: &wasmtime::Engine) -> Result<Surface, LoadError> {
    let mut imports = Vec::new();
    let mut asks_for_rows = false;
    for (name, item) in component.imports(engine) {
        let Some((interface, version)) = name.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')) else {
            return Err(forbidden(name.to_owned()));
        };
        let too_new = |item: String| LoadError::TooNew { needs: version.to_owned(), item };
        let ComponentItem::ComponentInstance(instance) = item.ty else { return Err(too_new(interface.to_owned())) };
        let served = SERVED.iter().find(|(served, _)| *served == interface);
        let Some((_, served)) = served.filter(|_| version.starts_with("0.1.")) else {
            return Err(too_new(interface.to_owned()));
        };
        for (function, item) in instance.exports(engine) {
            if !matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                continue;
            }
            // A method of a resource: `[method]key-value-store.get`.
            let known = match function.strip_prefix("[method]").and_then(|method| method.split_once('.')) {
                Some((resource, method)) => {
                    METHODS.iter().any(|(of, methods)| *of == resource && methods.contains(&method))
                }
                None => served.contains(&function),
            };
            if !known {
                return Err(too_new(format!("{interface}.{function}")));
            }
            asks_for_rows |= interface == "context" && ABOUT_ROWS.contains(&function);
            imports.push(format!("{name}.{function}"));
        }
    }
    let mut exports: Vec<_> = component.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let version_of = |interface: &str| {
        exports.iter().find_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix(interface)?.strip_prefix('@'))
    };
    let role = ROLES.iter().find(|role| version_of(role).is_some()).unwrap_or(&ROLES[0]);
    for interface in [role, "description"] {
        let Some(found) = version_of(interface) else {
            return Err(LoadError::WrongWorld { missing: format!("{PACKAGE}{interface}"), exports });
        };
        if !found.starts_with("0.1.") {
            return Err(LoadError::TooNew { needs: found.to_owned(), item: format!("{PACKAGE}{interface}") });
        }
    }
    imports.sort();
    exports.sort();
    Ok(Surface { imports, exports, asks_for_rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_wit_says() {
        for (interface, functions) in SERVED {
            let path = format!("{}/../../wit/{interface}.wit", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).expect(&path);
            assert!(text.contains(&format!("package weir:plugin@{SERVED_VERSION};")), "{path}");
            // Methods of a resource are not the interface's own: they are two levels in.
            let own = text.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
            let declared = own.filter_map(|line| line.split_once(": func(").map(|(name, _)| name));
            assert_eq!(declared.collect::<Vec<_>>(), *functions, "{path}");
        }
    }

    #[test]
    fn the_methods_are_what_wit_says() {
        let path = format!("{}/../../wit/state.wit", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(&path);
        let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            if let Some(resource) = line.trim().strip_prefix("resource ") {
                found.push((resource.trim_end_matches(" {"), Vec::new()));
            }
            let method = line.strip_prefix("    ").and_then(|line| line.split_once(": func("));
            if let (Some((name, _)), Some((_, methods))) = (method, found.last_mut()) {
                methods.push(name);
            }
        }
        let table: Vec<_> = METHODS.iter().map(|(resource, methods)| (*resource, methods.to_vec())).collect();
        assert_eq!(found, table);
    }

    #[test]
    fn what_is_not_a_plugin_is_told_what_it_is() {
        let refused = |bytes: &[u8]| componentize(bytes, 1000).expect_err("refused").to_string();
        assert!(refused(b"<html>").contains("not WebAssembly: it begins with [3c, 68"), "{}", refused(b"<html>"));
        assert!(refused(b"").contains("not WebAssembly"));
        assert!(refused(&[0; 1001]).contains("1001 bytes, but at most 1000"));
    }
}
