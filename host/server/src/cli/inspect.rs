use std::path::PathBuf;

use serde::Serialize;
use weir_wasm::{HostConfig, Manifest, PluginHost, Role, StoreNeed};

use super::{Out, source};
use crate::exit::Exit;
use crate::problem::Problem;

/// Says what a plugin is: its world, imports, exports, size and digest. Exit 6: it is none.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The component, or core module
    plugin: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    name: String,
    version: String,
    sdk: String,
    world: String,
    digest: String,
    size: usize,
    imports: Vec<String>,
    exports: Vec<String>,
    ports: Vec<String>,
    /// Name, kind and formats of each.
    stores: Vec<String>,
    timers: bool,
    /// Whether an aggregator merges sessions.
    merges: bool,
}

impl Inspect {
    /// Looks.
    ///
    /// # Errors
    /// It is no plugin.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let bytes = source::read(&self.plugin)?;
        let host = PluginHost::new(HostConfig { instances_max: 1, ..HostConfig::default() })
            .map_err(|error| Problem::failed(error.to_string()))?;
        let artifact = host
            .load(&bytes)
            .map_err(|error| Problem::invalid(format!("{} is no plugin: {error}", self.plugin.display())))?;
        let manifest = artifact.manifest();
        let found = Found {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            sdk: manifest.sdk.clone(),
            world: artifact.roles().map(|role| world(role, manifest)).collect::<Vec<_>>().join(" and "),
            digest: artifact.digest().as_str().to_owned(),
            size: artifact.size(),
            imports: artifact.imports().to_vec(),
            exports: artifact.exports().to_vec(),
            ports: manifest.ports.iter().map(|port| port.name.clone()).collect(),
            stores: manifest.stores.iter().map(store).collect(),
            timers: manifest.timers,
            merges: manifest.aggregates.merges,
        };
        out.data(&found, text)?;
        Ok(Exit::Ok)
    }
}

fn text(found: &Found) -> String {
    let line = |name: &str, value: &str| format!("{name:<8} {value}\n");
    let list = |name: &str, values: &[String]| line(name, &values.join("\n         "));
    [
        line("name", &format!("{} {}", found.name, found.version)),
        line("sdk", &found.sdk),
        line("world", &found.world),
        line("digest", &found.digest),
        line("size", &format!("{} bytes", found.size)),
        list("imports", &found.imports),
        list("exports", &found.exports),
        list("ports", &found.ports),
        list("stores", &found.stores),
        line("timers", yes_or_no(found.timers)),
        line("merges", yes_or_no(found.merges)),
    ]
    .concat()
}

fn world(role: Role, manifest: &Manifest) -> &'static str {
    match role {
        Role::Processor if manifest.timers || !manifest.stores.is_empty() => "stateful-processor",
        Role::Processor => "processor",
        Role::Aggregator => "aggregator",
        Role::Extractor => "extractor",
    }
}

fn store(store: &StoreNeed) -> String {
    let any = |format: &str| if format.is_empty() { "any".to_owned() } else { format.to_owned() };
    format!("{} ({}, {} to {})", store.name, store.kind, any(&store.key_format), any(&store.value_format))
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
