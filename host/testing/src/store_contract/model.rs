//! Stores against a plain ordered map: any operations in any order give the same.

use std::collections::BTreeMap;
use std::ops::Bound;

use weir_core::ports::{Changes, Checkpoint, KeyRange, Position, Replayed, StateStore};
use weir_core::record::TopicPartition;
use weir_core::state::keys;
use weir_core::topology::StoreIndex;

use super::{IN_MEMORY, SESSIONS, STORES, StoreFixture, TABLE, WINDOWS, is_within};
use crate::Random;

/// What a seed draws: few keys, so that they meet often.
#[derive(Debug)]
pub struct Operations {
    random: Random,
    applied: i64,
}

/// What the stores should hold. Expired rows are kept here: a store may show them or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    stores: BTreeMap<StoreIndex, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Rows with an earlier time may be gone.
    expired: BTreeMap<StoreIndex, i64>,
    /// What the stores stand at.
    pub checkpoint: Checkpoint,
}

impl Operations {
    /// The operations of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), applied: 0 }
    }

    /// A key as this kind of store has them.
    fn key(&mut self, store: StoreIndex) -> Vec<u8> {
        let user = self.random.choose(&[&b""[..], b"a", b"a\0", b"b", b"\xff\xff"]).to_vec();
        let time = self.random.below(40) as i64 - 5;
        match (self.random.below(8), store) {
            (0, _) => keys::own(["stream-time", "x"][self.random.below(2)]),
            (1, _) => keys::by_time(time, &user, b""),
            (_, WINDOWS) => keys::window(&user, time),
            (_, SESSIONS) => keys::session(&user, 0, time),
            _ => keys::key_value(&[user, time.to_be_bytes()[6..].to_vec()].concat()),
        }
    }

    fn bound(&mut self, store: StoreIndex) -> Bound<Vec<u8>> {
        match self.random.below(4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(self.key(store)),
            _ => Bound::Included(self.key(store)),
        }
    }

    /// What one transaction changes. Each has another `applied_at_ms`, which so names it.
    pub fn changes(&mut self) -> Changes {
        self.applied += 1;
        let mut changes = Changes::default();
        for _ in 0..self.random.below(30) {
            let store = *self.random.choose(&STORES);
            let value_bytes = self.random.below(60);
            let value = (self.random.below(4) > 0).then(|| vec![self.applied as u8; value_bytes]);
            changes.writes.push((store, self.key(store), value));
            let replayed = Replayed { next: self.applied * 100, topic_id: format!("id-{}", store.0) };
            changes.checkpoint.changelogs.insert(store, replayed);
        }
        changes.checkpoint.applied_at_ms = self.applied;
        for partition in 0..self.random.below(3) as i32 {
            let metadata = (self.random.below(2) == 0).then(|| format!("m{}", self.applied));
            let partition = TopicPartition::new("input", partition);
            changes.checkpoint.positions.push(Position { partition, offset: self.applied, metadata });
        }
        changes
    }

    /// Does something to `stores` and `model`, and compares what can be compared at once.
    pub fn step(&mut self, stores: &dyn StateStore, model: &mut Model) {
        let store = *self.random.choose(&STORES);
        match self.random.below(100) {
            0..40 => {
                let changes = self.changes();
                stores.apply(&changes).unwrap();
                model.apply(&changes);
            }
            40..60 => {
                let asked: Vec<Vec<u8>> = (0..self.random.below(9)).map(|_| self.key(store)).collect();
                let asked: Vec<&[u8]> = asked.iter().map(Vec::as_slice).collect();
                for (key, value) in asked.iter().zip(stores.get_many(store, &asked).unwrap()) {
                    model.check(store, key, value.as_deref());
                    model.check(store, key, stores.get(store, key).unwrap().as_deref());
                }
            }
            60..85 => {
                let range = KeyRange { lower: self.bound(store), upper: self.bound(store) };
                let limit = *self.random.choose(&[0, 1, 3, 10, usize::MAX]);
                let backward = self.random.below(2) == 0;
                model.check_range(stores, store, &range, limit, backward);
            }
            85..92 => {
                let store = *self.random.choose(&[WINDOWS, SESSIONS]);
                let before = self.random.below(40) as i64 - 5;
                stores.expire(store, before);
                let expired = model.expired.entry(store).or_insert(i64::MIN);
                *expired = before.max(*expired);
            }
            92..94 => {
                stores.clear(store).unwrap();
                model.stores.remove(&store);
                model.checkpoint.changelogs.remove(&store);
            }
            94..97 => stores.flush().unwrap(),
            _ => assert_eq!(stores.checkpoint().unwrap(), model.checkpoint),
        }
    }
}

impl Model {
    /// Takes in what the stores took in.
    pub fn apply(&mut self, changes: &Changes) {
        for (store, key, value) in &changes.writes {
            let rows = self.stores.entry(*store).or_default();
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        self.checkpoint.take_in(&changes.checkpoint);
    }

    /// Forgets a store that did not outlive its process.
    pub fn forget(&mut self, store: StoreIndex) {
        self.stores.remove(&store);
        self.checkpoint.changelogs.remove(&store);
    }

    fn may_be_gone(&self, store: StoreIndex, key: &[u8]) -> bool {
        let expired = self.expired.get(&store).copied().unwrap_or(i64::MIN);
        keys::last_time(key).is_some_and(|time| time < expired)
    }

    fn check(&self, store: StoreIndex, key: &[u8], got: Option<&[u8]>) {
        let expected = self.stores.get(&store).and_then(|rows| rows.get(key)).map(Vec::as_slice);
        if got.is_some() || !self.may_be_gone(store, key) {
            assert_eq!(got, expected, "{store:?} {key:?}");
        }
    }

    fn check_range(&self, stores: &dyn StateStore, store: StoreIndex, range: &KeyRange, limit: usize, backward: bool) {
        let got = stores.range(store, range, limit, backward).unwrap();
        assert!(got.len() <= limit);
        for (key, value) in &got {
            assert!(is_within(range, key), "{key:?} lies outside of {range:?}");
            self.check(store, key, Some(value));
        }
        let no_rows = BTreeMap::new();
        let rows = self.stores.get(&store).unwrap_or(&no_rows);
        let is_needed = |key: &Vec<u8>| is_within(range, key) && !self.may_be_gone(store, key);
        let mut needed: Vec<&Vec<u8>> = rows.keys().filter(|key| is_needed(key)).collect();
        let got: Vec<&Vec<u8>> = got.iter().map(|(key, _)| key).collect();
        if backward {
            needed.reverse();
            assert!(got.is_sorted_by(|a, b| a > b), "{got:?}");
        } else {
            assert!(got.is_sorted_by(|a, b| a < b), "{got:?}");
        }
        let got_needed: Vec<&Vec<u8>> = got.iter().copied().filter(|key| is_needed(key)).collect();
        // A range that was cut by its limit has the first of them; any other has all.
        let expected = if got.len() == limit { &needed[..got_needed.len().min(needed.len())] } else { &needed[..] };
        assert_eq!(got_needed, expected, "{store:?} {range:?} limit={limit} backward={backward}");
    }

    /// Compares all that there is.
    pub fn check_all(&self, stores: &dyn StateStore) {
        for store in [TABLE, WINDOWS, IN_MEMORY, SESSIONS] {
            self.check_range(stores, store, &KeyRange::prefix(b""), usize::MAX, false);
        }
        assert_eq!(stores.checkpoint().unwrap(), self.checkpoint);
    }
}

/// Random operations give what they give on ordered maps.
pub fn equals_an_ordered_map(fixture: &dyn StoreFixture) {
    const SEEDS: u64 = 20;
    const STEPS: usize = 400;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let stores = fixture.open();
        let (mut operations, mut model) = (Operations::new(seed), Model::default());
        for _ in 0..STEPS {
            operations.step(&*stores, &mut model);
        }
        model.check_all(&*stores);
    }
}
