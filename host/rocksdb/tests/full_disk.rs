//! A disk that takes no more: an error that says where and why, and nothing half.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are named as sentences, and fail by panicking"
)]

mod kept;

use std::env;
use std::process::Command;
use std::sync::Arc;

use kept::{Folder, SMALL, after};
use weir_core::ports::{Changes, Checkpoint, StateSupplier, StoreError};
use weir_rocksdb::RocksStores;
use weir_testing::store_contract::{Model, Operations, TABLE, TASK, topology};

const CHILD_DIR: &str = "WEIR_TEST_ROCKSDB_FULL";
const SEED: u64 = 3;
const APPLIED: i64 = 100;

/// A transaction of which no file can be written.
fn large(applied: i64) -> Changes {
    // Not to be compressed.
    let mut random = weir_testing::Random::new(SEED);
    let mut value = || (0..1 << 10).map(|_| random.next() as u8).collect();
    let writes = (0..2000_u32).map(|key| (TABLE, key.to_be_bytes().to_vec(), Some(value()))).collect();
    Changes { writes, checkpoint: Checkpoint { applied_at_ms: applied, ..Checkpoint::default() } }
}

#[test]
#[ignore = "a child of a_full_disk_is_an_error_with_path_and_cause_and_nothing_is_half_there"]
fn child() {
    let dir = env::var(CHILD_DIR).unwrap();
    let stores = RocksStores::open(SMALL, Arc::new(topology()), dir.as_ref()).open(TASK).unwrap();
    let (mut operations, mut model) = (Operations::new(SEED), Model::default());
    for _ in 0..APPLIED {
        let changes = operations.changes();
        stores.apply(&changes).unwrap();
        model.apply(&changes);
    }
    stores.flush().unwrap();
    let mut applied = APPLIED;
    let refused = loop {
        applied += 1;
        let changes = large(applied);
        if let Err(refused) = stores.apply(&changes).and_then(|()| stores.flush()) {
            break refused;
        }
        assert!(applied < APPLIED + 100, "nothing was refused");
    };
    let StoreError::Io(what) = refused else { panic!("not the disk's refusal: {refused}") };
    assert!(what.contains(&dir) && what.contains("File too large"), "{what}");
    println!("refused {what}");
    // What was refused is not seen, nor taken later; what was there before is.
    let stood_at = stores.checkpoint().unwrap().applied_at_ms;
    if stores.apply(&operations.changes()).is_err() {
        assert_eq!(stores.checkpoint().unwrap().applied_at_ms, stood_at);
    }
}

#[test]
fn a_full_disk_is_an_error_with_path_and_cause_and_nothing_is_half_there() {
    let folder = Folder::new(SMALL);
    // A limit for each file stands in for a full disk, which needs rights to make. In blocks of 512 bytes or of 1 KiB,
    // as shells differ. Without the trap the signal would end the child.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 500; exec \"$0\" child --exact --ignored --nocapture"])
        .arg(env::current_exe().unwrap())
        .env(CHILD_DIR, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("refused "), "{said}");
    let stores = folder.open().unwrap();
    let found = stores.checkpoint().unwrap().applied_at_ms;
    assert!(found >= APPLIED, "what was flushed is gone: {found}");
    if found == APPLIED {
        after(SEED, APPLIED).check_all(&*stores);
    }
}
