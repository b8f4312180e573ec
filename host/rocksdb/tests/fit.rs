//! A topology that changed between two starts.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests are named as sentences, and fail by panicking")]

mod kept;

use kept::{Folder, SMALL};
use weir_core::ports::StateSupplier;
use weir_core::task::TaskId;
use weir_core::topology::{StoreKind, Topology};
use weir_rocksdb::{compare, drop_lost, inspect};
use weir_testing::store_contract::{SESSIONS, TABLE, TASK, WINDOWS, rows, topology, writes};

fn used() -> Folder {
    let folder = Folder::new(SMALL);
    let mut stores = folder.stores();
    for task in [TASK, TaskId { partition: 0, ..TASK }] {
        let stores = stores.open(task).unwrap();
        for store in [TABLE, WINDOWS, SESSIONS] {
            let mut changes = writes(store, &[(b"key", Some(b"value"))]);
            let replayed = weir_core::ports::Replayed { next: 1, topic_id: String::new() };
            changes.checkpoint.changelogs.insert(store, replayed);
            stores.apply(&changes).unwrap();
        }
        stores.flush().unwrap();
    }
    folder
}

fn difference(folder: &Folder, topology: &Topology) -> String {
    let kept = inspect(folder.path(), &topology.application).unwrap();
    let difference = compare(&kept, topology);
    assert_eq!(difference.is_fit(), difference.lost.is_empty());
    difference.to_string()
}

#[test]
fn nothing_kept_fits_everything() {
    let folder = Folder::new(SMALL);
    assert_eq!(inspect(folder.path(), "contract").unwrap(), []);
    let added = "kept: none; added: sessions, table, windows; moved: none; lost: none";
    assert_eq!(difference(&folder, &topology()), added);
}

#[test]
fn what_a_task_keeps_is_listed_with_its_kind() {
    let kept = inspect(used().path(), "contract").unwrap();
    assert_eq!(kept.iter().map(|kept| kept.task.to_string()).collect::<Vec<_>>(), ["0_0", "0_3"]);
    let stores: Vec<String> = kept[1].stores.iter().map(|store| format!("{} {}", store.kind, store.name)).collect();
    assert_eq!(stores, ["key-value table", "window windows", "session sessions"]);
}

#[test]
fn the_same_topology_keeps_all() {
    let all = "kept: sessions, table, windows; added: none; moved: none; lost: none";
    assert_eq!(difference(&used(), &topology()), all);
}

#[test]
fn a_store_that_is_gone_or_became_another_kind_is_lost_and_named() {
    let mut changed = topology();
    changed.stores[TABLE.0].name = "renamed".to_owned();
    changed.stores[SESSIONS.0].kind = StoreKind::KeyValue { ttl_ms: None };
    assert_eq!(
        difference(&used(), &changed),
        "kept: windows; added: renamed, sessions; moved: none; \
         lost: sessions (it was session and is key-value now), table (the topology has no such store)"
    );
}

#[test]
fn a_store_of_other_tasks_is_made_anew_where_it_has_a_changelog() {
    let mut changed = topology();
    changed.stores[TABLE.0].in_memory = true;
    changed.stores[WINDOWS.0].subtopology = 1;
    assert_eq!(difference(&used(), &changed), "kept: sessions; added: none; moved: table, windows; lost: none");
    changed.stores[WINDOWS.0].changelog = None;
    assert!(difference(&used(), &changed).contains("lost: windows (it is kept elsewhere now"));
}

#[test]
fn dropping_leaves_what_the_topology_keeps() {
    let folder = used();
    let mut changed = topology();
    changed.stores[TABLE.0].name = "renamed".to_owned();
    drop_lost(folder.path(), &changed).unwrap();
    let kept = "kept: sessions, windows; added: renamed; moved: none; lost: none";
    assert_eq!(difference(&folder, &changed), kept);
    // Back again, the store is new: no row, and no position that would say it had them.
    let stores = folder.open().unwrap();
    assert_eq!(rows(&*stores, TABLE), []);
    assert_eq!(rows(&*stores, WINDOWS).len(), 1);
    let checkpoint = stores.checkpoint().unwrap();
    assert_eq!(checkpoint.changelogs.keys().copied().collect::<Vec<_>>(), [WINDOWS, SESSIONS]);
}

#[test]
fn a_task_of_which_nothing_is_kept_leaves_no_folder() {
    let folder = used();
    let mut changed = topology();
    changed.stores.iter_mut().for_each(|store| store.name.push('2'));
    drop_lost(folder.path(), &changed).unwrap();
    assert!(!folder.task().exists());
    assert_eq!(inspect(folder.path(), "contract").unwrap(), []);
}
