//! The fold over the deployments topic, in offset order: pure, so every host comes to the same end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::intent::{Intent, KEY_PREFIX};
use super::kept::{self, Kept};

/// Deployments of one node that are remembered; older ones are forgotten, the live one never.
const HISTORY_MAX: usize = 1000;

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// The intent.
    #[serde(flatten)]
    pub intent: Intent,
    /// Rising over the application: the intent's place in the topic, from 1.
    pub revision: u64,
    /// The revision that was there first; none: this one won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_to: Option<u64>,
}

/// What the engine writes within the first transaction in which a task uses another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// The task, as `0_3`.
    pub task: String,
    /// The node.
    pub node: String,
    /// The version before, where it is known.
    #[serde(default)]
    pub from: Option<String>,
    /// The version from here on.
    pub to: String,
    /// The revision of the deployment.
    #[serde(default)]
    pub revision: u64,
}

/// Every node's deployments.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    nodes: BTreeMap<String, Vec<Deployment>>,
    /// Node and task to the last swap.
    swaps: BTreeMap<(String, String), Swap>,
    kept: Option<Kept>,
    /// Rows that are neither an intent nor a swap nor the kept stores.
    foreign: u64,
}

impl Fold {
    /// Takes the row at `offset` in. Returns the deployment if it decides what a node runs from here on.
    pub fn apply(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<&Deployment> {
        let key = key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let value = value?;
        if key == kept::KEY {
            match serde_json::from_slice(value) {
                Ok(kept) => self.kept = Some(kept),
                Err(_) => self.foreign += 1,
            }
            return None;
        }
        if !key.starts_with(KEY_PREFIX) {
            match serde_json::from_slice::<Swap>(value) {
                Ok(swap) => drop(self.swaps.insert((swap.node.clone(), swap.task.clone()), swap)),
                Err(_) => self.foreign += 1,
            }
            return None;
        }
        let Ok(intent) = serde_json::from_slice::<Intent>(value) else {
            self.foreign += 1;
            return None;
        };
        let history = self.nodes.entry(intent.node.clone()).or_default();
        if history.iter().any(|other| other.intent.id == intent.id) {
            return None;
        }
        let live = history.iter().rev().find(|other| other.lost_to.is_none()).map_or(0, |live| live.revision);
        let lost_to = (intent.base_revision != live).then_some(live);
        if history.len() >= HISTORY_MAX
            && let Some(oldest) = history.iter().position(|other| other.revision != live)
        {
            history.remove(oldest);
        }
        history.push(Deployment { intent, revision: offset as u64 + 1, lost_to });
        history.last().filter(|deployment| deployment.lost_to.is_none())
    }

    /// What `node` runs.
    #[must_use]
    pub fn live(&self, node: &str) -> Option<&Deployment> {
        self.won(node).next()
    }

    /// What `node` ran before, another version than the live one.
    #[must_use]
    pub fn before(&self, node: &str) -> Option<&Deployment> {
        let live = &self.live(node)?.intent.version;
        self.won(node).find(|deployment| deployment.intent.version != *live)
    }

    fn won(&self, node: &str) -> impl Iterator<Item = &Deployment> {
        self.history(node).iter().rev().filter(|deployment| deployment.lost_to.is_none())
    }

    /// Every deployment of `node` that is remembered, oldest first.
    #[must_use]
    pub fn history(&self, node: &str) -> &[Deployment] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    /// The deployment of an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Deployment> {
        self.nodes.values().flatten().find(|deployment| deployment.intent.id == id)
    }

    /// The version that each task last swapped to at `node`, by task.
    pub fn swapped<'a>(&'a self, node: &'a str) -> impl Iterator<Item = (&'a str, &'a Swap)> {
        self.swaps.iter().filter(move |((of, _), _)| of == node).map(|((_, task), swap)| (task.as_str(), swap))
    }

    /// The stores that the application keeps; none: no host has noted any yet.
    #[must_use]
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Rows that could not be read: written by a newer host, or by somebody else.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::intent::Origin;
    use serde_json::Value;

    fn intent(id: &str, node: &str, artifact: &str, base_revision: u64) -> Intent {
        let (id, node, version) = (id.to_owned(), node.to_owned(), format!("version of {artifact}"));
        let (artifact, config) = (artifact.to_owned(), Value::Null);
        Intent { id, node, artifact, version, config, base_revision, at: 0, from: Origin::Api }
    }

    fn apply(fold: &mut Fold, offset: i64, intent: &Intent) -> bool {
        let value = serde_json::to_vec(intent).unwrap();
        fold.apply(offset, Some(intent.key().as_bytes()), Some(&value)).is_some()
    }

    #[test]
    fn the_first_intent_on_a_revision_wins_and_the_second_is_told_who_did() {
        let mut fold = Fold::default();
        assert!(apply(&mut fold, 0, &intent("1", "details", "a", 0)));
        assert!(apply(&mut fold, 5, &intent("2", "details", "b", 1)));
        assert!(!apply(&mut fold, 6, &intent("3", "details", "c", 1)));
        assert_eq!(fold.live("details").unwrap().intent.id, "2");
        assert_eq!(fold.find("3").unwrap().lost_to, Some(6));
        assert!(apply(&mut fold, 7, &intent("4", "details", "c", 6)), "made against what won");
    }

    #[test]
    fn nodes_do_not_stand_in_each_others_way() {
        let mut fold = Fold::default();
        assert!(apply(&mut fold, 0, &intent("1", "details", "a", 0)));
        assert!(apply(&mut fold, 1, &intent("2", "fraud", "a", 0)));
        assert_eq!((fold.live("details").unwrap().revision, fold.live("fraud").unwrap().revision), (1, 2));
    }

    #[test]
    fn a_row_that_is_read_twice_counts_once() {
        let mut fold = Fold::default();
        let first = intent("1", "details", "a", 0);
        assert!(apply(&mut fold, 0, &first));
        assert!(!apply(&mut fold, 1, &first));
        assert_eq!(fold.history("details").len(), 1);
    }

    #[test]
    fn compaction_that_leaves_gaps_changes_nothing() {
        let rows =
            [intent("1", "d", "a", 0), intent("2", "d", "b", 1), intent("3", "d", "c", 1), intent("4", "d", "e", 12)];
        let mut fold = Fold::default();
        let won: Vec<bool> = rows.iter().zip([0, 11, 20, 30]).map(|(row, at)| apply(&mut fold, at, row)).collect();
        assert_eq!(won, [true, true, false, true]);
    }

    #[test]
    fn the_version_before_skips_redeployments_of_the_live_one() {
        let mut fold = Fold::default();
        for (offset, (id, artifact, base)) in [("1", "a", 0), ("2", "b", 1), ("3", "b", 2)].into_iter().enumerate() {
            assert!(apply(&mut fold, offset as i64, &intent(id, "d", artifact, base)));
        }
        assert_eq!(fold.before("d").unwrap().intent.artifact, "a");
    }

    #[test]
    fn swaps_and_rows_of_somebody_else_decide_nothing() {
        let mut fold = Fold::default();
        let swap = br#"{"task":"0_1","node":"d","from":null,"to":"sha256:b","revision":2,"offsets":[1]}"#;
        assert!(fold.apply(0, Some(b"swap/0_1/d"), Some(swap)).is_none());
        assert!(fold.apply(1, Some(b"intent/x"), Some(b"{}")).is_none());
        assert!(fold.apply(2, None, Some(b"?")).is_none());
        assert!(fold.apply(3, Some(b"intent/y"), None).is_none());
        assert_eq!(fold.swapped("d").next().unwrap().1.to, "sha256:b");
        assert_eq!((fold.live("d"), fold.foreign()), (None, 2));
    }

    #[test]
    fn the_stores_that_were_noted_last_stand() {
        let mut fold = Fold::default();
        let mut note = |offset, value: &[u8]| assert!(fold.apply(offset, Some(b"stores"), Some(value)).is_none());
        note(0, br#"{"stores":{"a":{"kind":"window"}}}"#);
        note(1, br#"{"stores":{"b":{"kind":"session"}}}"#);
        note(2, b"?");
        assert_eq!(fold.kept().unwrap().stores.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(fold.foreign(), 1);
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_live_one() {
        let mut fold = Fold::default();
        apply(&mut fold, 0, &intent("live", "d", "a", 0));
        for offset in 1..=(HISTORY_MAX as i64 + 5) {
            apply(&mut fold, offset, &intent(&offset.to_string(), "d", "b", 0));
        }
        assert_eq!(fold.history("d").len(), HISTORY_MAX);
        assert_eq!(fold.live("d").unwrap().intent.id, "live");
    }
}
