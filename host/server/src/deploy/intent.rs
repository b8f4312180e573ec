use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use weir_wasm::Plugin;

use crate::problem::Problem;
use crate::state_dir;
use crate::units::now_ms;

/// Bytes of randomness in a deployment's id.
const ID_BYTES: usize = 8;

/// Keys of intents begin with this; swap records of the engine have keys of their own.
pub const KEY_PREFIX: &str = "intent/";

/// Who wanted a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The topology file, at the start of a host.
    File,
    /// Somebody, over REST.
    Api,
    /// Somebody who wanted the version before.
    Rollback,
}

/// "Let `node` run this": appended under a unique key. Whether it comes to pass is decided by [`super::fold::Fold`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Unique: random.
    pub id: String,
    /// The node.
    pub node: String,
    /// Digest of the component.
    pub artifact: String,
    /// Names what runs: a digest over component and configuration.
    pub version: String,
    /// Configuration, as JSON.
    #[serde(default)]
    pub config: Value,
    /// The node's revision that the intent was made against; 0: it had none. The first on a revision wins.
    pub base_revision: u64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    /// Who wanted it.
    pub from: Origin,
}

impl Intent {
    /// Wants `plugin` at its node, by an id that nobody else has.
    ///
    /// # Errors
    /// The operating system has no randomness.
    pub fn new(plugin: &Plugin, config: &Value, base_revision: u64, from: Origin) -> Result<Self, Problem> {
        Ok(Self {
            id: state_dir::random_hex(ID_BYTES)?,
            node: plugin.node().as_str().to_owned(),
            artifact: plugin.artifact().digest().as_str().to_owned(),
            version: plugin.version().as_str().to_owned(),
            config: config.clone(),
            base_revision,
            at: now_ms(),
            from,
        })
    }

    /// The key it is written under.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{KEY_PREFIX}{}", self.id)
    }
}

/// Digest of a component: `sha256:` and hex over its bytes.
#[must_use]
pub fn artifact_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` is `sha256:` and 64 hex digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_in_small_hex() {
        let digest = artifact_digest(b"abc");
        assert_eq!(digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(is_digest(&digest) && !is_digest(&digest.to_uppercase()) && !is_digest(&digest[..70]));
    }
}
