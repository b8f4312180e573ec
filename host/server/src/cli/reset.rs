use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use weir_core::ports::Client;
use weir_core::topology::Topology;

use super::Out;
use super::source::{self, KafkaArgs, patiently};
use crate::exit::Exit;
use crate::host::connect;
use crate::problem::Problem;
use crate::reset::{self, Plan, To, apply, facts};
use crate::state_dir::StateDir;

/// Takes an application back, so that it reads its input again: sets its positions, deletes what it made of the input so far.
///
/// Deleted are its repartition topics, the changelogs of its stores, and the stores in this host's state directory; other hosts
/// find out that theirs are out of date when they start. Its input and output topics, plugins and deployments stay as they
/// are. Exit 4: it runs; stop its hosts first.
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// The topology file
    topology: PathBuf,
    /// Where it is to read from: earliest, latest, offset:N or time:T, a time as RFC 3339 or in milliseconds since 1970
    #[arg(long, value_name = "WHERE")]
    to: To,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// The state directory of the host on this machine [default: weir-state/APPLICATION]
    #[arg(long, value_name = "DIR", env = "WEIR_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

/// What was done, or would be.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    application: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    plan: Plan,
}

impl Reset {
    /// Resets.
    ///
    /// # Errors
    /// The file is wrong; the application runs; the log or the disk refuses.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let topology = source::topology(&self.topology)?;
        let default = || PathBuf::from("weir-state").join(&topology.application);
        let state_dir = self.state_dir.clone().unwrap_or_else(default);
        // Of a host that has none here there is nothing to hold.
        let _held = if state_dir.is_dir() { Some(StateDir::take(&state_dir)?) } else { None };
        let client = self.client(&topology, &state_dir)?;
        if !self.dry_run {
            patiently(|| apply::ensure_stopped(&*client, &topology))?;
        }
        let facts = patiently(|| facts::look(&*client, &topology, self.to, &state_dir))?;
        let plan = reset::plan(&facts, self.to);
        if !self.dry_run {
            apply::apply(&*client, &topology, &facts, &plan)?;
        } else if !facts.members.is_empty() {
            let refusal = apply::running(&topology, &facts.members.join(", "));
            out.words(&format!("it would be refused now: {}", refusal.detail));
        }
        let done = Done { application: &topology.application, dry_run: self.dry_run, plan };
        out.data(&done, |done| {
            let end = if done.dry_run { "dry run: nothing was done" } else { "done" };
            format!("{}{end}\n", done.plan.text())
        })?;
        Ok(Exit::Ok)
    }

    fn client(&self, topology: &Topology, state_dir: &std::path::Path) -> Result<Arc<dyn Client>, Problem> {
        let Some(bootstrap) = &self.kafka.bootstrap else {
            return connect::embedded_client(state_dir, &topology.application);
        };
        let properties = &self.kafka.kafka_properties;
        Ok(connect::kafka_client_of(&topology.application, bootstrap, properties)?.client())
    }
}
