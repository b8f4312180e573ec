//! Files that changed on disk: found, and never read as something else.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are named as sentences, and fail by panicking"
)]

mod kept;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kept::{Folder, SMALL, after};
use weir_core::ports::{Checkpoint, KeyRange, StateStore, StateSupplier, StoreError};
use weir_testing::Random;
use weir_testing::store_contract::{Model, Operations, STORES, TABLE, TASK, rows, topology, writes};

const DAMAGES: u64 = 200;
const APPLIED: i64 = 120;

/// What one damage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It did no harm.
    AsLastApplied,
    /// A state that was once applied as a whole.
    AsEarlier,
    /// It was thrown away on opening.
    MadeAnew,
    /// Reading told, and opening again threw it away.
    FoundByReading,
}

fn read_all(stores: &dyn StateStore) -> Result<(), StoreError> {
    for store in STORES {
        let keys: Vec<Vec<u8>> =
            stores.range(store, &KeyRange::prefix(b""), usize::MAX, true)?.into_iter().map(|(key, _)| key).collect();
        stores.get_many(store, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Changes, cuts or deletes one file at a random place.
fn damage(dir: &Path, random: &mut Random) -> String {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    // RocksDB's own log and the copy of its options are not read.
    files.retain(|file| !file.file_name().unwrap().to_str().unwrap().starts_with("LOG"));
    files.sort();
    let file = random.choose(&files);
    let mut bytes = fs::read(file).unwrap();
    let what = match random.below(if bytes.is_empty() { 1 } else { 4 }) {
        0 => {
            fs::remove_file(file).unwrap();
            return format!("deleted {}", file.display());
        }
        1 => {
            let length = random.below(bytes.len());
            bytes.truncate(length);
            format!("cut {} to {length}", file.display())
        }
        _ => {
            let (at, bit) = (random.below(bytes.len()), random.below(8));
            bytes[at] ^= 1 << bit;
            format!("flipped bit {bit} of byte {at} of {}", file.display())
        }
    };
    fs::write(file, bytes).unwrap();
    what
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn check(stores: &dyn StateStore, models: &BTreeMap<i64, Model>) -> Outcome {
    let applied = stores.checkpoint().unwrap().applied_at_ms;
    match applied {
        0 => {
            assert_eq!(stores.checkpoint().unwrap(), Checkpoint::default());
            assert!(STORES.iter().all(|store| rows(stores, *store).is_empty()));
            Outcome::MadeAnew
        }
        _ => {
            models[&applied].check_all(stores);
            if applied == APPLIED { Outcome::AsLastApplied } else { Outcome::AsEarlier }
        }
    }
}

#[test]
fn damaged_files_never_give_a_wrong_value() {
    const SEED: u64 = 1;
    let template = Folder::new(SMALL);
    let stores = template.open().unwrap();
    let mut operations = Operations::new(SEED);
    for applied in 1..=APPLIED {
        stores.apply(&operations.changes()).unwrap();
        if applied % 25 == 0 || applied == APPLIED {
            stores.flush().unwrap();
        }
    }
    drop(stores);
    let models: BTreeMap<i64, Model> = (1..=APPLIED).map(|applied| (applied, after(SEED, applied))).collect();
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    for seed in 0..DAMAGES {
        let folder = Folder::new(SMALL);
        copy(&template.task(), &folder.task());
        let mut random = Random::new(seed);
        println!("seed {seed}: {}", damage(&folder.task(), &mut random));
        let stores = folder.open().unwrap();
        let outcome = match read_all(&*stores) {
            Ok(()) => check(&*stores, &models),
            Err(StoreError::Corrupt(what)) => {
                assert!(what.contains("damaged"), "{what}");
                drop(stores);
                assert_eq!(check(&*folder.open().unwrap(), &models), Outcome::MadeAnew);
                Outcome::FoundByReading
            }
            Err(StoreError::Io(what)) => panic!("damage is not the disk's refusal: {what}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:?}");
    assert!(outcomes.contains_key(&Outcome::MadeAnew) && outcomes.contains_key(&Outcome::AsLastApplied));
}

#[test]
fn a_damaged_store_without_a_changelog_is_not_thrown_away() {
    let folder = Folder::new(SMALL);
    let mut topology = topology();
    topology.stores[TABLE.0].changelog = None;
    let stores = folder.stores_of(topology.clone()).open(TASK).unwrap();
    stores.apply(&writes(TABLE, &[(b"key", Some(b"value"))])).unwrap();
    stores.flush().unwrap();
    drop(stores);
    let file = fs::read_dir(folder.task()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = file.filter(|file| file.extension().is_some_and(|it| it == "sst")).collect();
    files.iter().for_each(|file| fs::write(file, b"what").unwrap());
    let refused = folder.stores_of(topology).open(TASK).err().unwrap().to_string();
    assert!(refused.contains("`table` has no changelog"), "{refused}");
    assert!(files.iter().all(|file| file.exists()));
}
