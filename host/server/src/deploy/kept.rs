//! What stores the application keeps: a row of the deployments, so that a changed topology is held against it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use weir_core::topology::Topology;

/// The key of its row.
pub const KEY: &str = "stores";

/// The stores of an application, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What each is.
    pub stores: BTreeMap<String, KeptStore>,
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStore {
    /// As the topology file calls it.
    pub kind: String,
    /// The topic of its changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changelog: Option<String>,
}

/// What becomes of kept stores under another topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// They go on.
    pub kept: Vec<String>,
    /// New ones.
    pub added: Vec<String>,
    /// Nobody would read them again: the store, and why.
    pub lost: Vec<(String, String)>,
}

impl Kept {
    /// What `topology` keeps.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let store = |store: &weir_core::topology::Store| {
            let changelog = store.changelog.map(|topic| topology.topic(topic).name.as_str().to_owned());
            (store.name.clone(), KeptStore { kind: store.kind.to_string(), changelog })
        };
        Self { stores: topology.stores.iter().map(store).collect() }
    }

    /// What becomes of these under `new`.
    #[must_use]
    pub fn under(&self, new: &Self) -> Difference {
        let mut difference = Difference::default();
        for (name, store) in &self.stores {
            match new.stores.get(name) {
                Some(now) if now.kind == store.kind => difference.kept.push(name.clone()),
                Some(now) => {
                    difference.lost.push((name.clone(), format!("it was {} and is {} now", store.kind, now.kind)))
                }
                None => difference.lost.push((name.clone(), "the topology has no such store".to_owned())),
            }
        }
        difference.added = new.stores.keys().filter(|name| !self.stores.contains_key(*name)).cloned().collect();
        difference
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let lost = self.lost.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        write!(f, "kept: {}; added: {}; lost: {}", list(self.kept.clone()), list(self.added.clone()), list(lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(stores: &[(&str, &str)]) -> Kept {
        let store =
            |(name, kind): &(&str, &str)| ((*name).to_owned(), KeptStore { kind: (*kind).to_owned(), changelog: None });
        Kept { stores: stores.iter().map(store).collect() }
    }

    #[test]
    fn what_is_gone_and_what_is_of_another_kind_is_lost() {
        let before = kept(&[("counts", "key-value"), ("visits", "window"), ("old", "session")]);
        let now = kept(&[("counts", "key-value"), ("visits", "session"), ("new", "key-value")]);
        assert_eq!(
            before.under(&now).to_string(),
            "kept: counts; added: new; lost: old (the topology has no such store), visits (it was window and is session now)"
        );
        assert_eq!(before.under(&before).to_string(), "kept: counts, old, visits; added: none; lost: none");
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut stores = kept(&[("counts", "key-value")]);
        stores.stores.get_mut("counts").unwrap().changelog = Some("a-counts-changelog".to_owned());
        let text = serde_json::to_string(&stores).unwrap();
        assert_eq!(text, r#"{"stores":{"counts":{"kind":"key-value","changelog":"a-counts-changelog"}}}"#);
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), stores);
    }
}
