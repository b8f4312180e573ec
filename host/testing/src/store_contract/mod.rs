//! What [`StateStore`] promises, as tests: one suite for the store in memory and the one on disk, run whole by
//! [`store_contract_tests`](crate::store_contract_tests) over a [`StoreFixture`]. What outlives a process is tested
//! beside the store that has it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, wherever they are compiled"
)]

mod model;

pub use model::{Model, Operations, equals_an_ordered_map};

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use weir_core::ports::{Changes, Checkpoint, Entries, KeyRange, Position, Replayed, StateStore};
use weir_core::record::TopicPartition;
use weir_core::state::keys;
use weir_core::task::TaskId;
use weir_core::topology::{Span, Store, StoreIndex, StoreKind, Topology};

/// A key-value store.
pub const TABLE: StoreIndex = StoreIndex(0);
/// A window store: its rows expire.
pub const WINDOWS: StoreIndex = StoreIndex(1);
/// A key-value store that the topology keeps in memory.
pub const IN_MEMORY: StoreIndex = StoreIndex(2);
/// A session store: its rows expire.
pub const SESSIONS: StoreIndex = StoreIndex(3);
/// All stores of [`topology`].
pub const STORES: [StoreIndex; 4] = [TABLE, WINDOWS, IN_MEMORY, SESSIONS];
/// The task whose stores the suite uses.
pub const TASK: TaskId = TaskId { subtopology: 0, partition: 3 };

/// Makes what the suite tests.
pub trait StoreFixture {
    /// New and empty stores: those of [`TASK`] in [`topology`].
    fn open(&self) -> Arc<dyn StateStore>;
}

/// A topology that has [`STORES`] and nothing else.
#[must_use]
pub fn topology() -> Topology {
    let store = |name: &str, kind, in_memory| Store {
        name: name.to_owned(),
        kind,
        in_memory,
        changelog: Some(weir_core::topology::TopicIndex(0)),
        source: None,
        subtopology: 0,
        row_at_a_time: false,
        span: Span::default(),
    };
    let stores = vec![
        store("table", StoreKind::KeyValue { ttl_ms: None }, false),
        store("windows", StoreKind::Window { retention_ms: 1000 }, false),
        store("in-memory", StoreKind::KeyValue { ttl_ms: None }, true),
        store("sessions", StoreKind::Session { retention_ms: 1000 }, false),
    ];
    Topology { application: "contract".to_owned(), topics: vec![], stores, nodes: vec![], subtopologies: vec![] }
}

/// Writes of one store: `None` deletes.
#[must_use]
pub fn writes(store: StoreIndex, rows: &[(&[u8], Option<&[u8]>)]) -> Changes {
    let row = |(key, value): &(&[u8], Option<&[u8]>)| (store, key.to_vec(), value.map(<[u8]>::to_vec));
    Changes { writes: rows.iter().map(row).collect(), checkpoint: Checkpoint::default() }
}

/// Every row of a store.
#[must_use]
pub fn rows(stores: &dyn StateStore, store: StoreIndex) -> Entries {
    stores.range(store, &KeyRange::prefix(b""), usize::MAX, false).unwrap()
}

fn put(stores: &dyn StateStore, store: StoreIndex, key: &[u8], value: &[u8]) {
    stores.apply(&writes(store, &[(key, Some(value))])).unwrap();
}

fn replayed(next: i64, topic_id: &str) -> Replayed {
    Replayed { next, topic_id: topic_id.to_owned() }
}

fn position(partition: i32, offset: i64, metadata: Option<&str>) -> Position {
    Position { partition: TopicPartition::new("input", partition), offset, metadata: metadata.map(str::to_owned) }
}

/// New stores hold nothing and stand nowhere.
pub fn new_stores_are_empty(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    assert_eq!(stores.checkpoint().unwrap(), Checkpoint::default());
    for store in STORES {
        assert_eq!(rows(&*stores, store), []);
        assert_eq!(stores.get(store, b"a").unwrap(), None);
        assert_eq!(stores.get_many(store, &[b"a", b""]).unwrap(), [None, None]);
    }
}

/// Stores do not see each other's rows.
pub fn each_store_has_rows_of_its_own(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    for store in STORES {
        put(&*stores, store, b"key", format!("of {store:?}").as_bytes());
    }
    for store in STORES {
        assert_eq!(stores.get(store, b"key").unwrap(), Some(format!("of {store:?}").into_bytes()));
    }
}

/// Of a key given twice in one batch the last write counts, be it a deletion.
pub fn the_last_write_of_a_key_counts(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    for store in STORES {
        let batch: [(&[u8], Option<&[u8]>); 6] = [
            (b"put", Some(b"1")),
            (b"gone", Some(b"1")),
            (b"put", None),
            (b"put", Some(b"2")),
            (b"gone", None),
            (b"", Some(b"")),
        ];
        stores.apply(&writes(store, &batch)).unwrap();
        assert_eq!(rows(&*stores, store), [(b"".to_vec(), b"".to_vec()), (b"put".to_vec(), b"2".to_vec())]);
    }
}

/// Keys may come in any order and repeat; what is not there is `None`, an empty value is a value.
pub fn many_keys_are_answered_in_the_order_asked(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    for store in STORES {
        stores.apply(&writes(store, &[(b"a", Some(b"1")), (b"b", Some(b"")), (b"c", Some(b"3"))])).unwrap();
        let values = stores.get_many(store, &[b"c", b"x", b"a", b"c", b"b", b"a", b""]).unwrap();
        let (a, b, c) = (Some(b"1".to_vec()), Some(vec![]), Some(b"3".to_vec()));
        assert_eq!(values, [c.clone(), None, a.clone(), c, b, a, None]);
        assert_eq!(stores.get_many(store, &[]).unwrap(), Vec::<Option<Vec<u8>>>::new());
    }
}

/// Both directions, every kind of bound, every limit: as filtering all rows would give.
pub fn a_range_holds_what_lies_between_its_bounds(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    // What is in a batch, what is on its way to the disk and what is there must read alike.
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"];
    let bounds: Vec<Bound<Vec<u8>>> = keys
        .iter()
        .chain([&&b"aa"[..]])
        .flat_map(|key| [Bound::Included(key.to_vec()), Bound::Excluded(key.to_vec())])
        .chain([Bound::Unbounded])
        .collect();
    for store in STORES {
        for key in keys {
            put(&*stores, store, key, key);
        }
        for (lower, upper) in bounds.iter().flat_map(|lower| bounds.iter().map(move |upper| (lower, upper))) {
            let range = KeyRange { lower: lower.clone(), upper: upper.clone() };
            let mut all: Vec<&[u8]> = keys.into_iter().filter(|key| is_within(&range, key)).collect();
            for backward in [false, true] {
                for limit in [0, 1, 2, usize::MAX] {
                    let got = stores.range(store, &range, limit, backward).unwrap();
                    let got: Vec<&[u8]> = got.iter().map(|(key, _)| key.as_slice()).collect();
                    assert_eq!(got, all[..limit.min(all.len())], "{range:?} backward={backward} limit={limit}");
                }
                all.reverse();
            }
        }
    }
}

pub(crate) fn is_within(range: &KeyRange, key: &[u8]) -> bool {
    let is_above = match &range.lower {
        Bound::Included(lower) => key >= lower.as_slice(),
        Bound::Excluded(lower) => key > lower.as_slice(),
        Bound::Unbounded => true,
    };
    let is_below = match &range.upper {
        Bound::Included(upper) => key <= upper.as_slice(),
        Bound::Excluded(upper) => key < upper.as_slice(),
        Bound::Unbounded => true,
    };
    is_above && is_below
}

/// A checkpoint replaces what it names, and leaves the rest.
pub fn a_checkpoint_replaces_what_it_names(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    let first = Checkpoint {
        changelogs: [(TABLE, replayed(7, "id-1")), (WINDOWS, replayed(3, ""))].into(),
        positions: vec![],
        applied_at_ms: 1,
    };
    stores.apply(&Changes { writes: vec![], checkpoint: first }).unwrap();
    let second = Checkpoint {
        changelogs: [(TABLE, replayed(9, "id-2")), (IN_MEMORY, replayed(5, "id-3"))].into(),
        positions: vec![position(0, 10, None), position(1, 11, Some("m"))],
        applied_at_ms: 2,
    };
    stores.apply(&Changes { writes: vec![], checkpoint: second }).unwrap();
    let third = Checkpoint {
        changelogs: [].into(),
        positions: vec![position(1, 12, Some("\"\\\u{1}\u{e9}"))],
        applied_at_ms: 3,
    };
    stores.apply(&Changes { writes: vec![], checkpoint: third }).unwrap();
    let expected = Checkpoint {
        changelogs: [(TABLE, replayed(9, "id-2")), (WINDOWS, replayed(3, "")), (IN_MEMORY, replayed(5, "id-3"))].into(),
        positions: vec![position(0, 10, None), position(1, 12, Some("\"\\\u{1}\u{e9}"))],
        applied_at_ms: 3,
    };
    assert_eq!(stores.checkpoint().unwrap(), expected);
}

/// Clearing a store empties it and forgets its changelog; the others stay as they are, and it can be filled again.
pub fn a_cleared_store_is_empty_and_stands_nowhere(fixture: &dyn StoreFixture) {
    for cleared in STORES {
        let stores = fixture.open();
        for store in STORES {
            let mut changes = writes(store, &[(b"", Some(b"1")), (b"a", Some(b"1")), (&[0xff; 40], Some(b"1"))]);
            changes.checkpoint.changelogs.insert(store, replayed(8, "id"));
            stores.apply(&changes).unwrap();
        }
        stores.clear(cleared).unwrap();
        let checkpoint = stores.checkpoint().unwrap();
        for store in STORES {
            assert_eq!(rows(&*stores, store).len(), if store == cleared { 0 } else { 3 });
            assert_eq!(checkpoint.changelogs.contains_key(&store), store != cleared);
        }
        put(&*stores, cleared, b"a", b"2");
        stores.flush().unwrap();
        assert_eq!(rows(&*stores, cleared), [(b"a".to_vec(), b"2".to_vec())]);
    }
}

/// Only a user's row whose time is past may go: nothing later, nothing that a node keeps for itself, no other store's.
pub fn expiring_hides_nothing_that_is_needed(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    let own: [Vec<u8>; 2] = [keys::own("stream-time-as-a-long-name"), keys::by_time(1, b"key", b"detail")];
    let kept = |store: StoreIndex, at: i64| match store {
        WINDOWS => keys::window(b"key\0", at),
        SESSIONS => keys::session(b"key\0", 0, at),
        _ => keys::key_value(&at.to_be_bytes()),
    };
    for store in STORES {
        for at in [i64::MIN, -1, 0, 99, 100, 101, i64::MAX] {
            put(&*stores, store, &kept(store, at), b"value");
        }
        for row in &own {
            put(&*stores, store, row, b"own");
        }
    }
    stores.expire(WINDOWS, 100);
    // Times may come out of order: what was allowed to go stays so, and no more.
    stores.expire(SESSIONS, 100);
    stores.expire(SESSIONS, 0);
    stores.flush().unwrap();
    for store in STORES {
        for at in [100, 101, i64::MAX] {
            assert_eq!(stores.get(store, &kept(store, at)).unwrap().as_deref(), Some(&b"value"[..]), "{store:?} {at}");
        }
        for row in &own {
            assert_eq!(stores.get(store, row).unwrap().as_deref(), Some(&b"own"[..]), "{store:?}");
        }
    }
    assert_eq!(rows(&*stores, TABLE).len(), 9);
}

/// What was applied is there all the same after a flush.
pub fn a_flush_changes_nothing(fixture: &dyn StoreFixture) {
    let stores = fixture.open();
    for round in 0..3_u8 {
        let mut changes = writes(TABLE, &[(b"same", Some(&[round])), (&[round], Some(b"")), (b"gone", None)]);
        changes.checkpoint.changelogs.insert(TABLE, replayed(i64::from(round), "id"));
        stores.apply(&changes).unwrap();
        let before = (rows(&*stores, TABLE), stores.checkpoint().unwrap());
        stores.flush().unwrap();
        assert_eq!((rows(&*stores, TABLE), stores.checkpoint().unwrap()), before);
    }
}

/// A reader on another thread sees all of what was applied together or nothing of it, by key and by range.
pub fn a_reader_sees_all_of_an_apply_or_nothing(fixture: &dyn StoreFixture) {
    const KEYS: u8 = 200;
    const ROUNDS: u32 = 300;
    for store in [TABLE, IN_MEMORY] {
        let stores = fixture.open();
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let value = Some(round.to_be_bytes().to_vec());
                    let writes = (0..KEYS).map(|key| (store, vec![key], value.clone())).collect();
                    stores.apply(&Changes { writes, checkpoint: Checkpoint::default() }).unwrap();
                    if round % 100 == 0 {
                        stores.flush().unwrap();
                    }
                }
                is_done.store(true, Ordering::Release);
            });
            let keys: Vec<[u8; 1]> = (0..KEYS).rev().map(|key| [key]).collect();
            let keys: Vec<&[u8]> = keys.iter().map(<[u8; 1]>::as_slice).collect();
            while !is_done.load(Ordering::Acquire) {
                let values = stores.get_many(store, &keys).unwrap();
                assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                let entries = rows(&*stores, store);
                assert!([0, usize::from(KEYS)].contains(&entries.len()), "{} rows", entries.len());
                assert!(entries.iter().all(|(_, value)| *value == entries[0].1), "{entries:?}");
            }
        });
    }
}

/// Every test of the contract as a `#[test]` of its own, over a fixture made anew for each.
///
/// ```ignore
/// weir_testing::store_contract_tests!(InMemory);
/// ```
#[macro_export]
macro_rules! store_contract_tests {
    ($fixture:expr) => {
        $crate::store_contract_tests! { @each $fixture,
            new_stores_are_empty,
            each_store_has_rows_of_its_own,
            the_last_write_of_a_key_counts,
            many_keys_are_answered_in_the_order_asked,
            a_range_holds_what_lies_between_its_bounds,
            a_checkpoint_replaces_what_it_names,
            a_cleared_store_is_empty_and_stands_nowhere,
            expiring_hides_nothing_that_is_needed,
            a_flush_changes_nothing,
            a_reader_sees_all_of_an_apply_or_nothing,
            equals_an_ordered_map,
        }
    };
    (@each $fixture:expr, $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let fixture = $fixture;
                $crate::store_contract::$name(&fixture);
            }
        )*
    };
}
