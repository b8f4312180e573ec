use std::path::PathBuf;

use serde::Serialize;
use weir_core::topology::Topology;
use weir_wasm::{Binding, HostConfig, Misfit, PluginHost};

use super::Out;
use super::source::{self, KafkaArgs};
use crate::exit::Exit;
use crate::host::initial::{Mistakes, looked_for};
use crate::host::{connect, plugins, topics};
use crate::problem::Problem;
use crate::show::explain::{self, Fact};

/// Checks a topology file and its plugins, and with --connect its topics.
///
/// With --explain it says what was done and why, a line each with its place in the file: repartitions and where the key
/// changed, whose changelog is what, stores that nodes keep for themselves, parts that take one row at a time, topics that must
/// be co-partitioned, columns that are never decoded. Exit 6: it is wrong, every mistake is named. Exit 5: the broker does not
/// answer.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The topology file
    topology: PathBuf,
    /// Look at the topics of the broker as well
    #[arg(long, requires = "bootstrap")]
    connect: bool,
    /// Say what was done and why
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// A folder in which plugins are looked for, beside that of the file
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
}

/// What a check found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    application: String,
    nodes: usize,
    subtopologies: usize,
    plugins: Vec<PluginFound>,
    /// With `--connect`: topics that `weir run` will create.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topics_missing: Vec<String>,
    /// With `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Vec<Fact>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PluginFound {
    node: String,
    plugin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
}

impl Check {
    /// Checks.
    ///
    /// # Errors
    /// What is wrong.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let (topology, file) = source::parsed(&self.topology)?;
        let plugins = self.plugins(&topology)?;
        let mut topics_missing = Vec::new();
        if self.connect {
            let bootstrap = self.kafka.bootstrap.as_deref().unwrap_or_default();
            let connector = connect::kafka_client(bootstrap, &self.kafka.kafka_properties)?;
            let client = connector.client();
            let survey = source::patiently(|| topics::survey(&*client, &topology, Some(bootstrap)))?;
            if !survey.mistakes.is_empty() {
                return Err(Problem::invalid("topics do not fit the topology").with(survey.mistakes));
            }
            topics_missing.extend(survey.missing.iter().map(|topic| topic.name.as_str().to_owned()));
        }
        let found = Found {
            application: topology.application.clone(),
            nodes: topology.nodes.len(),
            subtopologies: topology.subtopologies.len(),
            plugins,
            topics_missing,
            explained: self.explain.then(|| explain::facts(&topology, &file)),
        };
        let file_name = self.topology.display().to_string();
        out.data(&found, |found| {
            let explained = found.explained.as_ref().map(|facts| explain::render(facts, &file_name));
            text(found) + &explained.unwrap_or_default()
        })?;
        Ok(Exit::Ok)
    }

    fn plugins(&self, topology: &Topology) -> Result<Vec<PluginFound>, Problem> {
        let config = HostConfig { instances_max: 4, ..HostConfig::default() };
        let host = PluginHost::new(config).map_err(|error| Problem::failed(error.to_string()))?;
        let (mut found, mut mistakes) = (Vec::new(), Mistakes::in_file(&self.topology));
        for node in &topology.nodes {
            let Some(plugin) = node.plugin() else { continue };
            let mut artifact = None;
            match plugins::component(&self.topology, &self.plugin_dir, plugin)? {
                None => {
                    let paths = plugins::candidates(&self.topology, &self.plugin_dir, &plugin.plugin);
                    mistakes.add(&node.name, plugin, "there is no such file", &looked_for(&paths));
                }
                Some(bytes) => match self.try_plugin(&host, topology, node, plugin, &bytes) {
                    Ok(digest) => artifact = Some(digest),
                    Err(misfits) => {
                        misfits
                            .iter()
                            .for_each(|misfit| mistakes.add(&node.name, plugin, &misfit.detail, &misfit.help));
                    }
                },
            }
            let (node, plugin) = (node.name.as_str().to_owned(), plugin.plugin.clone());
            found.push(PluginFound { node, plugin, artifact });
        }
        mistakes.finish().map(|()| found)
    }

    fn try_plugin(
        &self,
        host: &PluginHost,
        topology: &Topology,
        node: &weir_core::topology::Node,
        plugin: &weir_core::topology::PluginRef,
        bytes: &[u8],
    ) -> Result<String, Vec<Misfit>> {
        let whole = |detail: String| vec![Misfit { detail, help: String::new() }];
        let artifact = host.load(bytes).map_err(|error| whole(error.to_string()))?;
        let binding = Binding::of(topology, node).unwrap_or_default();
        let misfits = binding.misfits(&artifact);
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let version = host
            .bound_plugin(&artifact, &plugin.config, &topology.application, &node.name, binding)
            .map_err(|error| whole(error.to_string()))?;
        let task = weir_core::task::TaskId { subtopology: node.subtopology, partition: 0 };
        version.try_out(task).map_err(|fault| whole(fault.message))?;
        Ok(artifact.digest().as_str().to_owned())
    }
}

fn text(found: &Found) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "{}: {}, {}, {}\n",
        found.application,
        plural(found.nodes, "node"),
        found.subtopologies.to_string() + if found.subtopologies == 1 { " subtopology" } else { " subtopologies" },
        plural(found.plugins.len(), "plugin"),
    );
    for plugin in &found.plugins {
        text.push_str(&format!(
            "  {}  {}  {}\n",
            plugin.node,
            plugin.plugin,
            plugin.artifact.as_deref().unwrap_or("-")
        ));
    }
    for topic in &found.topics_missing {
        text.push_str(&format!("  topic {topic} will be created\n"));
    }
    text
}
