//! Crashes on the simulated disk: whatever was acknowledged is there, and the rest is there whole or not at all.

use std::path::Path;

use weir_core::ports::{Connector, NewTopic};

use super::model::{Model, Transaction, commit, connector, contents, open, topic, transport, try_contents};
use crate::disk::sim::{Random, SimDisk};
use crate::{EmbeddedLog, OpenError};

const SEEDS: u64 = 3_000;
const SEGMENT_BYTES: u64 = 3_000;

/// Runs transactions until the power goes, some times over, and checks what each crash leaves.
fn run(seed: u64, prepare: impl Fn(&SimDisk)) -> Result<(), String> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (mut disk, mut model, mut number) = (SimDisk::default(), Model::default(), 0);
    prepare(&disk);
    for _ in 0..4 {
        disk.power_goes_after(1 + random.below(120));
        let mut unknown = None;
        if let Ok(log) = open(&disk, SEGMENT_BYTES) {
            unknown = drive(&log, &mut model, &mut number, &mut random, seed % 2 == 1)?;
        }
        disk = if random.below(4) == 0 { disk.process_kill() } else { disk.power_cycle(&mut random) };
        let log = open(&disk, SEGMENT_BYTES).map_err(|error| format!("refused to open: {error}"))?;
        let found = try_contents(&log).map_err(|error| error.to_string())?;
        if found != model {
            let Some(transaction) = unknown else { return Err(format!("{found:?}\nis not\n{model:?}")) };
            model.apply(&transaction);
            if found != model {
                return Err(format!("{found:?}\nis neither with nor without the last of\n{model:?}"));
            }
        }
    }
    Ok(())
}

/// Commits until the disk fails; the transaction whose end is open.
fn drive(
    log: &std::sync::Arc<EmbeddedLog>,
    model: &mut Model,
    number: &mut u64,
    random: &mut Random,
    cleaned: bool,
) -> Result<Option<Transaction>, String> {
    let client = connector(log).client();
    if try_contents(log).map_err(|error| error.to_string())? != *model {
        // The last crash's open end was settled before: nothing may have changed since.
        return Err("opening once more has changed what is committed".into());
    }
    let settings = [("retention.bytes".to_owned(), "0".to_owned())].into();
    let filler = NewTopic { settings, ..topic("filler") };
    if [topic("in"), topic("out"), filler].iter().any(|topic| client.create_topic(topic).is_err()) {
        return Ok(None);
    }
    let mut transport = transport(log);
    loop {
        *number += 1;
        let mut transaction = Transaction::random(random, *number);
        transaction.filler_bytes = if cleaned { 1_500 } else { 0 };
        if !commit(&mut *transport, &transaction) {
            return Ok(Some(transaction));
        }
        model.apply(&transaction);
    }
}

#[test]
fn whatever_was_acknowledged_survives_any_crash() {
    for seed in 0..SEEDS {
        run(seed, |_| {}).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let found = (0..200).filter(|&seed| run(seed, SimDisk::sync_is_a_lie).is_err()).count();
    assert!(found > 20, "the checker saw a lost commit in {found} of 200 runs only");
}

/// A log of several segments on a disk, what it holds, and what it held before its last transaction.
fn filled() -> (SimDisk, Model, Model) {
    let (disk, mut model, mut random) = (SimDisk::default(), Model::default(), Random(3));
    let log = open(&disk, SEGMENT_BYTES).unwrap();
    let client = connector(&log).client();
    ["in", "out"].iter().for_each(|name| assert!(client.create_topic(&topic(name)).unwrap()));
    let mut transport = transport(&log);
    let mut before = model.clone();
    // The last segment is to have frames that were followed by others.
    let frames_of_last = || {
        let state = log.state();
        state.active.next_sequence - state.segments.last_key_value().unwrap().0
    };
    for number in 0.. {
        if number >= 30 && frames_of_last() >= 4 {
            break;
        }
        before.clone_from(&model);
        let transaction = Transaction::random(&mut random, number);
        assert!(commit(&mut *transport, &transaction));
        model.apply(&transaction);
    }
    (disk, model, before)
}

#[test]
fn a_flipped_bit_is_an_error_that_says_where_or_the_end_of_the_tail() {
    let (disk, _, before) = filled();
    let segments = disk.names().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let segments = segments.collect::<Vec<_>>();
    assert!(segments.len() > 2);
    let mut random = Random(11);
    let (mut refused, mut refused_in_last, mut cut) = (0, 0, 0);
    for _ in 0..2_000 {
        let disk = disk.process_kill();
        let path = &segments[random.below(segments.len() as u64) as usize];
        let position = random.below(disk.bytes(path).len() as u64) as usize;
        disk.flip(path, position, 1 << random.below(8));
        // Without indexes every segment is scanned.
        disk.names().iter().filter(|name| name.extension().is_some_and(|e| e == "idx")).for_each(|name| {
            crate::disk::Disk::remove(&disk, name).unwrap();
        });
        match open(&disk, SEGMENT_BYTES) {
            Err(OpenError::Corrupt(corruption)) => {
                assert_eq!(&corruption.segment, path);
                assert!(corruption.position <= position as u64);
                refused += 1;
                refused_in_last += u32::from(Some(path) == segments.last());
            }
            Err(other) => panic!("{other}"),
            Ok(log) => {
                // Only the very last frame of the last segment cannot be told from a torn one.
                assert_eq!(path, segments.last().unwrap());
                assert_eq!(contents(&log), before);
                cut += 1;
            }
        }
    }
    let seen = format!("{refused} refused, {refused_in_last} of them in the last segment, {cut} cut");
    assert!(refused > 1_700 && refused_in_last > 50 && cut > 5, "{seen}");
}

#[test]
fn a_flipped_bit_under_an_index_is_found_when_it_is_read() {
    let (disk, ..) = filled();
    let first = Path::new("/sim/log/00000000000000000000.seg");
    let length = disk.bytes(first).len();
    disk.flip(first, length - 5, 4);
    let log = open(&disk.process_kill(), SEGMENT_BYTES).unwrap();
    let client = connector(&log).client();
    let mut errors = Vec::new();
    for name in ["in", "out"] {
        for number in 0..3 {
            let partition = weir_core::record::TopicPartition::new(name, number);
            errors.extend(client.read(&partition, 0, 1_000, std::time::Duration::ZERO).err());
        }
    }
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("00000000000000000000.seg is damaged at byte"), "{}", errors[0]);
}

#[test]
fn a_full_disk_aborts_the_transaction_and_loses_nothing() {
    for room in (0..600).step_by(7) {
        let (disk, mut model, _) = filled();
        let log = open(&disk, SEGMENT_BYTES).unwrap();
        let mut writer = transport(&log);
        disk.full_after(Some(room));
        let mut random = Random(room);
        let refused = loop {
            let transaction = Transaction::random(&mut random, 100);
            if !commit(&mut *writer, &transaction) {
                break transaction;
            }
            model.apply(&transaction);
        };
        assert!(matches!(writer.recover(), Err(weir_core::ports::TransportError::Fatal(why)) if why.contains(".seg")));
        assert_eq!(contents(&log), model, "what was committed can still be read");
        drop((writer, log));
        disk.full_after(None);
        let log = open(&disk, SEGMENT_BYTES).unwrap();
        assert_eq!(contents(&log), model, "room for {room} bytes");
        assert!(commit(&mut *transport(&log), &refused));
        model.apply(&refused);
        assert_eq!(contents(&log), model);
    }
}
