//! What a host writes to the application's own topics: components in chunks, intents.

use std::time::Duration;

use weir_core::record::{RecordBatch, TopicPartition};
use weir_wasm::Artifact;

use super::Host;
use crate::deploy::artifacts::{self, Assembly};
use crate::deploy::intent::Intent;
use crate::problem::Problem;
use crate::units::now_ms;

/// Rows of one read of the plugins' topic: chunks are large.
const ROWS_MAX: usize = 16;

/// The longest wait of one read.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How long our own intent may take to come back to us.
const INTENT_WAIT_MAX: Duration = Duration::from_secs(15);

impl Host {
    /// The component of a digest: compiled, on this disk, or in the application's topic. None: nowhere.
    ///
    /// # Errors
    /// The log does not answer; the component cannot be compiled.
    pub fn artifact(&self, digest: &str) -> Result<Option<Artifact>, Problem> {
        if let Some(artifact) = self.plugins.find(digest)? {
            return Ok(Some(artifact));
        }
        let Some(bytes) = self.fetch_artifact(digest)? else { return Ok(None) };
        self.plugins.write(digest, &bytes)?;
        self.plugins.load(&bytes).map(Some)
    }

    fn fetch_artifact(&self, digest: &str) -> Result<Option<Vec<u8>>, Problem> {
        let partition = TopicPartition::new(self.plugins_topic(), 0);
        let client = self.client()?;
        let (mut position, end) = client.offsets(&partition)?;
        let mut assembly = Assembly::new(digest);
        while position < end && !self.stop.is_set() {
            let (rows, next) = client.read(&partition, position, ROWS_MAX, READ_WAIT)?;
            (0..rows.len()).for_each(|row| assembly.row(rows.keys.get(row), rows.values.get(row)));
            position = next;
        }
        assembly.finish().map_err(Problem::failed)
    }

    /// Keeps a component: on this disk, and in the application's topic for every other host. False: it was there.
    ///
    /// # Errors
    /// The log does not answer, or the disk is full.
    pub fn store_artifact(&self, digest: &str, bytes: &[u8]) -> Result<bool, Problem> {
        // On this disk only what is in the topic, or was read from it: so whoever finds it here need not look there.
        if self.plugins.read(digest)?.is_some() || self.fetch_artifact(digest).is_ok_and(|found| found.is_some()) {
            return Ok(false);
        }
        let partition = TopicPartition::new(self.plugins_topic(), 0);
        let (client, now) = (self.client()?, now_ms());
        for (key, value) in artifacts::rows(digest, bytes) {
            let mut batch = RecordBatch::default();
            batch.push(0, now, Some(key.as_bytes()), Some(&value), &[]);
            client.append(&partition, &batch)?;
        }
        self.plugins.write(digest, bytes)?;
        Ok(true)
    }

    /// Appends an intent and waits until the fold has read it: then it is decided. Returns its offset.
    ///
    /// # Errors
    /// The log does not answer.
    pub fn append_intent(&self, intent: &Intent) -> Result<i64, Problem> {
        let partition = TopicPartition::new(self.deployments_topic(), 0);
        let value = serde_json::to_vec(intent).map_err(|error| Problem::failed(error.to_string()))?;
        let mut batch = RecordBatch::default();
        batch.push(0, intent.at, Some(intent.key().as_bytes()), Some(&value), &[]);
        let offsets = self.client()?.append(&partition, &batch)?;
        let offset = offsets.first().copied().unwrap_or_default();
        if !self.deployments.is_followed() {
            super::follow::catch_up(self)?;
        }
        if !self.deployments.wait_read(offset, INTENT_WAIT_MAX) {
            return Err(Problem::unreachable(format!(
                "deployment {} is written but could not be read back yet; look again with `weir plugin history {}`",
                intent.id, intent.node
            )));
        }
        Ok(offset)
    }
}
