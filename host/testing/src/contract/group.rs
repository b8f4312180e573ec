//! Several members of one application: who has which partition, and who may commit.

use std::time::{Duration, Instant};

use weir_core::ports::{Position, TransportError};

use super::member::only_member;
use super::{Fixture, Member, SILENCE, Setup, eventually};

/// Polls both, releasing what is revoked, until they share `partitions` between them.
fn balance(members: [&mut Member; 2], partitions: usize) {
    let [first, second] = members;
    eventually("both have partitions", || {
        for member in [&mut *first, &mut *second] {
            member.poll(Duration::from_millis(10));
            member.release();
        }
        let shares = [first.assigned.len(), second.assigned.len()];
        (shares[0] + shares[1] == partitions && shares.iter().all(|&share| share > 0)).then_some(())
    });
}

/// A second member gets some of the partitions and goes on where the first had committed.
pub fn partitions_are_shared_and_positions_continue(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let connector = setup.connector(0);
    let mut first = only_member(&connector);
    first.join(2);
    setup.feed(0, &["a0", "a1"]);
    setup.feed(1, &["b0", "b1"]);
    first.take(4);
    first.begin(&setup.output, &["x"]);
    first.commit(&[(&setup.input(0), 1), (&setup.input(1), 1)]);
    let mut second = setup.member(1, &connector);
    balance([&mut first, &mut second], 2);
    assert!(first.assigned.keys().all(|partition| !second.assigned.contains_key(partition)), "no partition is shared");
    let mut seen = second.take(1);
    let at = second.assigned.values().next().unwrap();
    assert_eq!((at.offset, at.metadata.as_deref()), (1, Some("at 1")));
    // The first may have kept its partition with rows taken and uncommitted: it goes on where it committed too.
    let position = setup.input(if at.partition == setup.input(0) { 1 } else { 0 });
    first.seek(&[(position, 1)]);
    seen.extend(first.take(1));
    seen.sort();
    assert_eq!(seen, ["a1", "b1"]);
    // Both commit, each what is its own.
    for (member, value) in [(&mut first, "y"), (&mut second, "z")] {
        let partition = member.assigned.keys().next().unwrap().clone();
        member.begin(&setup.output, &[value]);
        member.commit(&[(&partition, 2)]);
    }
    let mut values = setup.read_values(3);
    values.sort();
    assert_eq!(values, ["x", "y", "z"]);
}

/// The group waits for the release; what is committed before it is where the other goes on.
pub fn a_revoked_partition_goes_over_only_when_released(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let connector = setup.connector(0);
    let mut first = only_member(&connector);
    first.join(2);
    setup.feed(0, &["a"]);
    setup.feed(1, &["b"]);
    first.take(2);
    first.begin(&setup.output, &["x"]);
    let mut second = setup.member(1, &connector);
    eventually("a partition is revoked", || {
        first.poll(Duration::from_millis(10));
        second.poll(Duration::from_millis(10));
        (!first.revoked.is_empty()).then_some(())
    });
    let started = Instant::now();
    while started.elapsed() < SILENCE {
        second.poll(Duration::from_millis(10));
        // A poll may return at once; the first is not polled meanwhile and must not seem dead.
        std::thread::sleep(Duration::from_millis(5));
        let early: Vec<_> = second.assigned.keys().filter(|&partition| first.revoked.contains(partition)).collect();
        assert!(early.is_empty(), "{early:?} went over before they were released");
    }
    first.commit(&[(&setup.input(0), 1), (&setup.input(1), 1)]);
    balance([&mut first, &mut second], 2);
    let at = second.assigned.values().next().unwrap();
    assert_eq!((at.offset, at.metadata.as_deref()), (1, Some("at 1")));
    assert_eq!(setup.read_values(1), ["x"]);
}

/// Another thread of the application gets what a dropped transport had, from its committed positions.
pub fn a_dropped_transport_makes_room_for_another(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let connector = setup.connector(0);
    let mut first = only_member(&connector);
    let mut second = setup.member(1, &connector);
    balance([&mut first, &mut second], 2);
    setup.feed(0, &["a0", "a1"]);
    setup.feed(1, &["b0", "b1"]);
    first.take(2);
    let partition = first.assigned.keys().next().unwrap().clone();
    first.begin(&setup.output, &["x"]);
    first.commit(&[(&partition, 1)]);
    drop(first);
    eventually("the second has both", || {
        second.poll(Duration::from_millis(10));
        second.release();
        (second.assigned.len() == 2).then_some(())
    });
    let at = &second.assigned[&partition];
    assert_eq!((at.offset, at.metadata.as_deref()), (1, Some("at 1")));
}

/// Thread 0 of a host that was thought dead: its successor has the identity, and what the old one had open is refused.
pub fn a_restarted_thread_fences_its_predecessor(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a"]);
    let connector = setup.connector(0);
    let mut zombie = only_member(&connector);
    zombie.take(1);
    zombie.begin(&setup.output, &["zombie"]);
    let mut successor = only_member(&connector);
    let positions = successor.join(1);
    assert_eq!(positions[0].offset, 0, "nothing was committed");
    successor.take(1);
    let position = Position { partition: setup.input(0), offset: 1, metadata: None };
    zombie.transport.commit(std::slice::from_ref(&position)).expect_err("the zombie is fenced");
    successor.begin(&setup.output, &["successor"]);
    successor.commit(&[(&setup.input(0), 1)]);
    assert_eq!(setup.read_values(1), ["successor"]);
    // It may try to begin again; no commit of it ever succeeds.
    let again = zombie
        .transport
        .begin()
        .and_then(|()| zombie.transport.commit(&[position]).map_err(|error| TransportError::Fatal(error.to_string())));
    assert!(again.is_err(), "a zombie committed");
    assert_eq!(setup.read_values(1), ["successor"]);
}
