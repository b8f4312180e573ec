use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::InstancePre;
use weir_core::ports::Digest;

use crate::binding::Role;
use crate::bindings::exports::weir::plugin::{aggregation, description, extraction, processing, timing};
use crate::guest::Guest;
use crate::manifest::Manifest;

/// An uploaded plugin: checked, compiled, and asked what it is. Cheap to clone.
#[derive(Clone)]
pub struct Artifact {
    pub(crate) inner: Arc<Compiled>,
}

pub(crate) struct Compiled {
    pub(crate) digest: Digest,
    pub(crate) size: usize,
    pub(crate) manifest: Manifest,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) asks_for_rows: bool,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) offers: Offers,
}

/// What a component exports of the contract, found once: at least one role.
pub(crate) struct Offers {
    pub(crate) description: description::GuestIndices,
    pub(crate) processing: Option<processing::GuestIndices>,
    pub(crate) timing: Option<timing::GuestIndices>,
    pub(crate) aggregation: Option<aggregation::GuestIndices>,
    pub(crate) extraction: Option<extraction::GuestIndices>,
}

impl Offers {
    /// `exports` are the component's. An interface that is there must be whole.
    pub(crate) fn of(pre: &InstancePre<Guest>, exports: &[String]) -> wasmtime::Result<Self> {
        let has = |interface: &str| exports.iter().any(|name| interface_of(name) == Some(interface));
        Ok(Self {
            description: description::GuestIndices::new(pre)?,
            processing: has("processing").then(|| processing::GuestIndices::new(pre)).transpose()?,
            timing: has("timing").then(|| timing::GuestIndices::new(pre)).transpose()?,
            aggregation: has("aggregation").then(|| aggregation::GuestIndices::new(pre)).transpose()?,
            extraction: has("extraction").then(|| extraction::GuestIndices::new(pre)).transpose()?,
        })
    }
}

/// `timing` of `weir:plugin/timing@0.1.2`.
fn interface_of(export: &str) -> Option<&str> {
    Some(export.strip_prefix("weir:plugin/")?.split_once('@')?.0)
}

impl Artifact {
    /// `sha256:` and hex over the bytes as they were uploaded.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// Bytes as they were uploaded.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// All that it can reach: `weir:plugin/logging@0.1.0.log` and the like, sorted.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// What it offers, sorted.
    #[must_use]
    pub fn exports(&self) -> &[String] {
        &self.inner.exports
    }

    /// Whether it can be the plugin of that kind of node.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        match role {
            Role::Processor => self.inner.offers.processing.is_some(),
            Role::Aggregator => self.inner.offers.aggregation.is_some(),
            Role::Extractor => self.inner.offers.extraction.is_some(),
        }
    }

    /// The kinds of node that it can be the plugin of.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        [Role::Processor, Role::Aggregator, Role::Extractor].into_iter().filter(|role| self.has_role(*role))
    }

    /// Whether it may ask where its rows came from. Where not, that is not worked out.
    pub(crate) fn asks_for_rows(&self) -> bool {
        self.inner.asks_for_rows
    }

    pub(crate) fn pre(&self) -> &InstancePre<Guest> {
        &self.inner.pre
    }

    pub(crate) fn offers(&self) -> &Offers {
        &self.inner.offers
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Compiled { digest, manifest, .. } = &*self.inner;
        f.debug_struct("Artifact").field("digest", digest).field("manifest", manifest).finish_non_exhaustive()
    }
}

/// The digest of an upload.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    digest_name(&Sha256::digest(bytes))
}

/// A SHA-256 by its name.
pub(crate) fn digest_name(hash: &[u8]) -> Digest {
    let mut name = "sha256:".to_owned();
    hash.iter().for_each(|byte| _ = write!(name, "{byte:02x}"));
    Digest::from(name.as_str())
}
