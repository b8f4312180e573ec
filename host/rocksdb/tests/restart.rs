//! What outlives the process, in peace and by kill -9.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are named as sentences, and fail by panicking"
)]

mod kept;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kept::{Folder, SMALL, after};
use weir_core::ports::{Changes, Checkpoint, KeyRange, Replayed, StateSupplier};
use weir_core::state::keys;
use weir_core::topology::{StoreIndex, Topology};
use weir_rocksdb::{RocksOptions, RocksStores};
use weir_testing::Random;
use weir_testing::store_contract::{IN_MEMORY, Operations, SESSIONS, TABLE, TASK, WINDOWS, rows, topology, writes};

#[test]
fn a_flushed_store_comes_back_as_it_was_and_stores_in_memory_come_back_empty() {
    const APPLIED: i64 = 50;
    for seed in 0..10 {
        let folder = Folder::new(SMALL);
        let stores = folder.open().unwrap();
        let mut operations = Operations::new(seed);
        (0..APPLIED).for_each(|_| stores.apply(&operations.changes()).unwrap());
        stores.flush().unwrap();
        drop(stores);
        let stores = folder.open().unwrap();
        after(seed, APPLIED).check_all(&*stores);
        assert_eq!(rows(&*stores, IN_MEMORY), []);
        assert!(!stores.checkpoint().unwrap().changelogs.contains_key(&IN_MEMORY));
    }
}

/// Where the child is told to work, and by which seed.
const CHILD_DIR: &str = "WEIR_TEST_ROCKSDB_DIR";
const CHILD_SEED: &str = "WEIR_TEST_ROCKSDB_SEED";

#[test]
#[ignore = "a child of what_a_kill_leaves_is_a_state_that_was_applied_as_a_whole"]
fn child() {
    let (dir, seed) = (env::var(CHILD_DIR).unwrap(), env::var(CHILD_SEED).unwrap().parse().unwrap());
    let stores = RocksStores::open(SMALL, Arc::new(topology()), dir.as_ref()).open(TASK).unwrap();
    let (mut operations, mut out) = (Operations::new(seed), std::io::stdout());
    for applied in 1..100_000 {
        stores.apply(&operations.changes()).unwrap();
        writeln!(out, "applied {applied}").unwrap();
        out.flush().unwrap();
        if applied % 97 == 0 {
            stores.flush().unwrap();
            writeln!(out, "flushed {applied}").unwrap();
        }
    }
}

#[test]
fn what_a_kill_leaves_is_a_state_that_was_applied_as_a_whole() {
    const KILLS: u64 = 12;
    let mut kept = 0;
    for seed in 0..KILLS {
        let folder = Folder::new(SMALL);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env(CHILD_DIR, folder.path())
            .env(CHILD_SEED, seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut random = Random::new(seed);
        let lines_max = random.within(1, 900);
        let (mut applied, mut flushed) = (0, 0);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: String| match line.split_once(' ') {
            Some(("applied", count)) => applied = count.parse().unwrap(),
            Some(("flushed", count)) => flushed = count.parse().unwrap(),
            _ => {}
        };
        lines.by_ref().take(lines_max).for_each(|line| take(line.unwrap()));
        // Anywhere within a transaction or a flush.
        std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill is still in the pipe; one more may have been applied and not been said.
        lines.map_while(Result::ok).for_each(take);

        let stores = folder.open().unwrap();
        let found = stores.checkpoint().unwrap().applied_at_ms;
        assert!((flushed..=applied + 1).contains(&found), "{found} is not from {flushed} to {applied}, seed {seed}");
        after(seed, found).check_all(&*stores);
        kept += i64::from(found > 0);
    }
    assert!(kept > KILLS as i64 / 2, "only {kept} of {KILLS} kills left anything: the test shows little");
}

fn topology_without(stores: &[StoreIndex]) -> Topology {
    let mut topology = topology();
    let gone: Vec<String> = stores.iter().map(|store| topology.stores[store.0].name.clone()).collect();
    topology.stores.retain(|store| !gone.contains(&store.name));
    topology
}

fn filled(folder: &Folder) {
    let stores = folder.open().unwrap();
    for store in [TABLE, WINDOWS, SESSIONS] {
        let mut changes = writes(store, &[(b"key", Some(b"value"))]);
        changes.checkpoint.changelogs.insert(store, Replayed { next: 7, topic_id: "id".to_owned() });
        stores.apply(&changes).unwrap();
    }
    stores.flush().unwrap();
}

#[test]
fn stores_are_found_by_name_where_the_topology_numbers_them_anew() {
    let folder = Folder::new(SMALL);
    filled(&folder);
    let stores = folder.stores_of(topology_without(&[TABLE])).open(TASK).unwrap();
    let windows = StoreIndex(WINDOWS.0 - 1);
    assert_eq!(stores.get(windows, b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(stores.checkpoint().unwrap().changelogs[&windows].next, 7);
}

#[test]
fn a_store_that_was_away_for_a_while_begins_anew() {
    let folder = Folder::new(SMALL);
    filled(&folder);
    let stores = folder.stores_of(topology_without(&[TABLE])).open(TASK).unwrap();
    // What was deleted of the table meanwhile, nobody told it.
    stores.apply(&Changes { writes: vec![], checkpoint: Checkpoint::default() }).unwrap();
    drop(stores);
    let stores = folder.open().unwrap();
    assert_eq!(rows(&*stores, TABLE), []);
    assert_eq!(rows(&*stores, WINDOWS).len(), 1);
    assert!(!stores.checkpoint().unwrap().changelogs.contains_key(&TABLE));
}

#[test]
fn readers_see_what_is_open_and_the_next_owner_gets_what_a_reader_still_holds() {
    let folder = Folder::new(SMALL);
    let mut stores = folder.stores();
    assert!(stores.readers().is_empty());
    let owner = stores.open(TASK).unwrap();
    owner.apply(&writes(IN_MEMORY, &[(b"key", Some(b"value"))])).unwrap();
    let readers = stores.clone().readers();
    assert_eq!(readers.len(), 1);
    drop(owner);
    let next = stores.open(TASK).unwrap();
    assert!(next.get(IN_MEMORY, b"key").unwrap().is_some());
    drop((readers, next));
    assert!(stores.readers().is_empty());
    assert!(stores.open(TASK).unwrap().get(IN_MEMORY, b"key").unwrap().is_none());
}

#[test]
fn stores_that_another_process_has_are_refused_and_left_alone() {
    let folder = Folder::new(SMALL);
    filled(&folder);
    let holder = folder.open().unwrap();
    // RocksDB locks against the same process as well.
    let refused = folder.open().err().unwrap().to_string();
    assert!(refused.contains("another process has it"), "{refused}");
    assert!(holder.get(TABLE, b"key").unwrap().is_some());
}

#[test]
fn expired_rows_leave_the_disk() {
    const ROWS: i64 = 8000;
    let folder = Folder::new(SMALL);
    let stores = folder.open().unwrap();
    for first in (0..ROWS).step_by(100) {
        let keys: Vec<Vec<u8>> = (first..first + 100).map(|start| keys::window(&[start as u8], start)).collect();
        let rows: Vec<(&[u8], Option<&[u8]>)> = keys.iter().map(|key| (key.as_slice(), Some(&[7; 100][..]))).collect();
        stores.apply(&writes(WINDOWS, &rows)).unwrap();
        stores.expire(WINDOWS, first - 500);
    }
    stores.flush().unwrap();
    let left = stores.range(WINDOWS, &KeyRange::prefix(b""), usize::MAX, false).unwrap().len() as i64;
    assert!((500..ROWS / 2).contains(&left), "{left} rows are left");
}

#[test]
fn a_replay_from_the_beginning_becomes_files_that_a_kill_leaves() {
    let folder = Folder::new(RocksOptions { write_buffer_bytes: 1 << 20, ..RocksOptions::default() });
    let stores = folder.open().unwrap();
    stores.clear(TABLE).unwrap();
    let mut files = 0;
    for batch in 0..20_u32 {
        let row = |key: u32| (TABLE, (batch * 2000 + key).to_be_bytes().to_vec(), Some(vec![7; 50]));
        let replayed = Replayed { next: i64::from(batch), topic_id: "id".to_owned() };
        let checkpoint = Checkpoint { changelogs: [(TABLE, replayed)].into(), positions: vec![], applied_at_ms: 1 };
        stores.apply(&Changes { writes: (0..2000).map(row).collect(), checkpoint }).unwrap();
        files = std::fs::read_dir(folder.task()).unwrap().flatten().filter(|entry| is_table(&entry.path())).count();
    }
    assert!(files >= 4, "{files} files of 40,000 rows");
    // Nobody has flushed: this is what a killed host finds.
    let copy = Folder::new(RocksOptions::default());
    copy_files(&folder.task(), &copy.task());
    let left = copy.open().unwrap();
    let next = left.checkpoint().unwrap().changelogs[&TABLE].next;
    assert!(next > 10, "what was replayed is on disk as far as {next}");
    let key = ((next as u32 + 1) * 2000 - 1).to_be_bytes();
    assert_eq!(left.get(TABLE, &key).unwrap(), Some(vec![7; 50]));
}

fn is_table(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_changelog_is_taken_in_by_many_rows_and_read_then() {
    const BATCHES: u32 = 9;
    const ROWS: u32 = 6000;
    let folder = Folder::new(RocksOptions::default());
    let stores = folder.open().unwrap();
    let changes = |batch: u32, first: u32| {
        let row = |key: u32| {
            (TABLE, key.to_be_bytes().to_vec(), (!key.is_multiple_of(7)).then(|| batch.to_be_bytes().to_vec()))
        };
        let replayed = Replayed { next: i64::from(batch), topic_id: "id".to_owned() };
        let checkpoint = Checkpoint { changelogs: [(TABLE, replayed)].into(), positions: vec![], applied_at_ms: 1 };
        Changes { writes: (first..first + ROWS).rev().map(row).collect(), checkpoint }
    };
    for batch in 0..BATCHES {
        stores.apply(&changes(batch, batch * ROWS / 2)).unwrap();
    }
    let end = (BATCHES - 1) * ROWS / 2 + ROWS;
    let expected = |key: u32| (!key.is_multiple_of(7)).then(|| (key / (ROWS / 2)).min(BATCHES - 1));
    let keys: Vec<[u8; 4]> = (0..end).map(u32::to_be_bytes).collect();
    let keys: Vec<&[u8]> = keys.iter().map(<[u8; 4]>::as_slice).collect();
    for round in 0..2 {
        let values = stores.get_many(TABLE, &keys).unwrap();
        for (key, value) in (0..end).zip(values) {
            assert_eq!(value, expected(key).map(|batch| batch.to_be_bytes().to_vec()), "{key} in round {round}");
        }
        // Another batch after a read changes nothing.
        stores.apply(&changes(BATCHES - 1, end - ROWS)).unwrap();
    }
}
