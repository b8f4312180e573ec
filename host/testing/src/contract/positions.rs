//! Where fetching goes on: committed positions, recover, seek, pause; and how long a poll waits.

use std::time::{Duration, Instant};

use weir_core::ports::{Position, TransportError};

use super::member::only_member;
use super::{Fixture, PROMPT, Setup, eventually};

/// A partition new to the application starts at its first row.
pub fn nothing_committed_means_the_start_and_no_metadata(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    setup.feed(1, &["a", "b"]);
    let mut member = only_member(&setup.connector(0));
    let start = |partition| Position { partition: setup.input(partition), offset: 0, metadata: None };
    assert_eq!(member.join(2), [start(0), start(1)]);
    assert_eq!(member.take(2), ["a", "b"]);
}

/// What one transport committed is where its successor goes on, metadata included.
pub fn positions_and_metadata_come_back_after_a_restart(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    setup.feed(0, &["a", "b", "c"]);
    let metadata = "m".repeat(3000);
    let committed = Position { partition: setup.input(0), offset: 2, metadata: Some(metadata) };
    {
        let mut member = only_member(&setup.connector(0));
        member.take(3);
        member.begin(&setup.output, &["x"]);
        member.transport.commit(std::slice::from_ref(&committed)).unwrap();
    }
    let connector = setup.connector(0);
    let mut member = only_member(&connector);
    let start = Position { partition: setup.input(1), offset: 0, metadata: None };
    assert_eq!(member.join(2), [committed.clone(), start]);
    assert_eq!(member.take(1), ["c"]);
    let asked = [setup.input(0), setup.input(1)];
    assert_eq!(connector.client().committed(&asked), Ok(vec![committed]));
}

/// Positions are set from outside only while nobody runs the application, and its next member goes on from them.
pub fn positions_are_set_while_nobody_is_a_member(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    setup.feed(0, &["a", "b", "c"]);
    let wanted = Position { partition: setup.input(0), offset: 1, metadata: None };
    let client = setup.connector(0).client();
    {
        let mut member = only_member(&setup.connector(0));
        member.take(3);
        member.begin(&setup.output, &["x"]);
        member.commit(&[(&setup.input(0), 3)]);
        assert_eq!(client.members().map(|members| members.len()), Ok(1));
        let refused = client.set_positions(std::slice::from_ref(&wanted));
        assert!(matches!(refused, Err(TransportError::Abortable(_))), "{refused:?}");
        assert_eq!(client.committed(&[setup.input(0)]).unwrap()[0].offset, 3);
    }
    // Simulated time, and with it a session, passes while somebody polls.
    let mut other = setup.application_of_its_own().transport(0).unwrap();
    eventually("the group is empty", || {
        other.poll(Duration::from_millis(5)).unwrap();
        client.set_positions(std::slice::from_ref(&wanted)).ok()
    });
    assert_eq!(client.members(), Ok(Vec::new()));
    let mut member = only_member(&setup.connector(0));
    let joined = member.join(2);
    assert_eq!((joined[0].offset, joined[0].metadata.is_some()), (1, true));
    assert_eq!(member.take(2), ["b", "c"]);
}

/// Positions belong to the transaction as its rows do.
pub fn an_aborted_transaction_commits_no_position(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a", "b"]);
    {
        let mut member = only_member(&setup.connector(0));
        member.take(2);
        member.begin(&setup.output, &["x"]);
        member.commit(&[(&setup.input(0), 1)]);
        member.begin(&setup.output, &["y"]);
        member.transport.abort().unwrap();
    }
    let mut member = only_member(&setup.connector(0));
    assert_eq!(member.join(1)[0].offset, 1);
    assert_eq!(member.take(1), ["b"]);
}

/// Rows taken since the last commit come again.
pub fn recover_goes_back_to_the_committed_positions(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a", "b", "c"]);
    let mut member = only_member(&setup.connector(0));
    member.take(3);
    let recovered = member.recover();
    assert_eq!((recovered[0].offset, recovered[0].metadata.as_deref()), (0, None));
    assert_eq!(member.take(3), ["a", "b", "c"]);
    member.begin(&setup.output, &["x"]);
    member.commit(&[(&setup.input(0), 1)]);
    let recovered = member.recover();
    assert_eq!((recovered[0].offset, recovered[0].metadata.as_deref()), (1, Some("at 1")));
    assert_eq!(member.take(2), ["b", "c"]);
}

/// After a recover nothing is open, and nothing of what was is ever seen.
pub fn recover_settles_an_open_transaction(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a"]);
    let mut member = only_member(&setup.connector(0));
    member.take(1);
    member.begin(&setup.output, &["open"]);
    member.recover();
    assert_eq!(member.take(1), ["a"]);
    member.begin(&setup.output, &["next"]);
    member.commit(&[(&setup.input(0), 1)]);
    assert_eq!(setup.read_values(1), ["next"]);
}

/// Rows that were on their way when a seek came are dropped.
pub fn a_seek_shows_no_row_from_before(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let values: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    setup.feed(0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let mut member = only_member(&setup.connector(0));
    member.take(1);
    // `Member` checks that each row continues the one before it.
    for target in [400, 3, 499, 250] {
        member.seek(&[(setup.input(0), target)]);
        assert_eq!(member.take(1)[0], target.to_string());
    }
}

/// Backwards, forwards, to the end.
pub fn a_seek_goes_back_and_forth(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a", "b", "c"]);
    let mut member = only_member(&setup.connector(0));
    member.take(3);
    member.seek(&[(setup.input(0), 1)]);
    assert_eq!(member.take(2), ["b", "c"]);
    member.seek(&[(setup.input(0), 3)]);
    member.expect_silence();
    setup.feed(0, &["d"]);
    assert_eq!(member.take(1), ["d"]);
}

/// A pause holds one partition and no other; nothing is lost by it.
pub fn a_paused_partition_is_silent_until_it_is_resumed(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let mut member = only_member(&setup.connector(0));
    member.join(2);
    member.transport.pause(&[setup.input(0)]).unwrap();
    setup.feed(0, &["a", "b"]);
    setup.feed(1, &["other"]);
    assert_eq!(member.take(1), ["other"]);
    member.expect_silence();
    member.transport.resume(&[setup.input(0)]).unwrap();
    assert_eq!(member.take(2), ["a", "b"]);
}

/// Only a resume ends a pause.
pub fn a_pause_outlasts_a_seek(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a", "b"]);
    let mut member = only_member(&setup.connector(0));
    member.take(2);
    member.transport.pause(&[setup.input(0)]).unwrap();
    member.seek(&[(setup.input(0), 1)]);
    member.expect_silence();
    member.transport.resume(&[setup.input(0)]).unwrap();
    assert_eq!(member.take(1), ["b"]);
}

/// The end of a partition is told once all its rows were given, and again whenever fetching has begun anew.
pub fn a_partition_read_to_its_end_says_so(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    setup.feed(0, &["a", "b"]);
    let mut member = only_member(&setup.connector(0));
    let (fed, empty) = (setup.input(0), setup.input(1));
    assert_eq!(member.take_to_the_end(&[fed.clone(), empty.clone()]), ["a", "b"]);
    setup.feed(0, &["c"]);
    assert_eq!(member.take(1), ["c"]);
    assert_eq!(member.take_to_the_end(&[fed.clone(), empty.clone()]), [""; 0]);
    member.seek(&[(fed.clone(), 1), (empty.clone(), 0)]);
    assert_eq!(member.take_to_the_end(&[fed.clone(), empty.clone()]), ["b", "c"]);
    member.transport.pause(&[fed.clone(), empty.clone()]).unwrap();
    member.ended.clear();
    member.expect_silence();
    assert!(member.ended.is_empty(), "a paused partition tells nothing");
    member.transport.resume(&[fed.clone(), empty.clone()]).unwrap();
    assert_eq!(member.take_to_the_end(&[fed.clone(), empty.clone()]), [""; 0]);
    member.recover();
    assert_eq!(member.take_to_the_end(&[fed, empty]), ["a", "b", "c"]);
}

/// Rows of an open transaction are no reason to wait: they may be aborted.
pub fn a_partition_is_at_its_end_before_an_open_transaction(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a"]);
    let mut writer = only_member(&setup.application_of_its_own());
    writer.join(1);
    writer.begin(&setup.input, &["b"]);
    let mut member = only_member(&setup.connector(0));
    assert_eq!(member.take_to_the_end(&[setup.input(0)]), ["a"]);
    writer.commit(&[(&setup.input(0), 0)]);
    assert_eq!(member.take(1), ["b"]);
    assert_eq!(member.take_to_the_end(&[setup.input(0)]), [""; 0]);
}

/// A poll that waits returns with a row soon after it was appended.
pub fn poll_wakes_when_a_row_comes(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    let client = setup.client();
    let input = setup.input(0);
    std::thread::scope(|scope| {
        let append = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            client.append(&input, &super::batch(&["a"])).unwrap();
            Instant::now()
        });
        let started = Instant::now();
        while member.rows.is_empty() && started.elapsed() < super::PATIENCE {
            member.poll(Duration::from_secs(10));
        }
        assert_eq!(member.take_all(), ["a"]);
        let late = append.join().unwrap().elapsed();
        assert!(late < PROMPT, "the row came {late:?} after it was appended");
    });
}

/// A poll of an idle input gives the thread back.
pub fn poll_waits_no_longer_than_asked(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    let started = Instant::now();
    member.poll(Duration::from_millis(50));
    let waited = started.elapsed();
    assert!(waited < Duration::from_millis(50) + PROMPT, "waited {waited:?} instead of 50 ms");
}
