//! What a host does with its log beside its stream threads.

use std::time::{Duration, Instant};

use weir_core::record::{RecordBatch, TopicName, TopicPartition};

use super::member::only_member;
use super::{Fixture, PROMPT, Setup, batch, eventually, new_topic, rows_of};

/// The second time says that it is there, and leaves it as it is.
pub fn a_topic_is_created_once(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let client = setup.client();
    assert_eq!(client.create_topic(&new_topic(&setup.input, 5)), Ok(false));
    assert_eq!(client.partitions(std::slice::from_ref(&setup.input)).unwrap()[&setup.input], 2);
    let mut compacted = new_topic(&TopicName::from(fixture.unique("compacted").as_str()), 1);
    compacted.compacted = true;
    assert_eq!(client.create_topic(&compacted), Ok(true));
    assert_eq!(client.create_topic(&compacted), Ok(false));
}

/// Topics that do not exist are left out, and not created by the asking.
pub fn unknown_topics_have_no_partitions(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let client = setup.client();
    let unknown = TopicName::from(fixture.unique("unknown").as_str());
    for _ in 0..2 {
        let partitions = client.partitions(&[unknown.clone(), setup.input.clone()]).unwrap();
        assert_eq!(partitions.into_iter().collect::<Vec<_>>(), [(setup.input.clone(), 2)]);
    }
}

/// Offsets rise by row, within each partition.
pub fn append_returns_the_offsets_that_read_gives(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let client = setup.client();
    assert_eq!(setup.feed(0, &["a", "b"]), [0, 1]);
    assert_eq!(setup.feed(1, &["other"]), [0]);
    assert_eq!(setup.feed(0, &["c"]), [2]);
    let (rows, next) = client.read(&setup.input(0), 0, 100, Duration::from_secs(5)).unwrap();
    assert_eq!((rows.offsets.as_slice(), next), (&[0, 1, 2][..], 3));
    let values: Vec<String> = rows_of(&setup.input(0), &rows).iter().map(super::Row::text).collect();
    assert_eq!(values, ["a", "b", "c"]);
}

/// A long partition is read piece by piece, nothing left out and nothing twice.
pub fn read_returns_no_more_than_asked_and_where_to_go_on(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let values: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    setup.feed(0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let client = setup.client();
    let (mut next, mut seen) = (3, Vec::new());
    while seen.len() < 22 {
        let (rows, go_on) = client.read(&setup.input(0), next, 4, Duration::from_secs(5)).unwrap();
        assert!((1..=4).contains(&rows.len()), "{} rows of at most 4, with more to come", rows.len());
        assert!(go_on > *rows.offsets.last().unwrap(), "it goes on past what was read");
        seen.extend(rows_of(&setup.input(0), &rows).iter().map(super::Row::text));
        next = go_on;
    }
    assert_eq!(seen, values[3..]);
}

/// At the end it waits, wakes for the first row, and gives up in time.
pub fn read_waits_for_a_row_and_not_longer(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let (client, input) = (setup.client(), setup.input(0));
    let started = Instant::now();
    let (rows, next) = client.read(&input, 0, 10, Duration::from_millis(80)).unwrap();
    assert_eq!((rows.len(), next), (0, 0));
    assert!(started.elapsed() < Duration::from_millis(80) + PROMPT, "waited {:?} instead of 80 ms", started.elapsed());
    std::thread::scope(|scope| {
        let append = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(150));
            client.append(&input, &batch(&["a"])).unwrap();
            Instant::now()
        });
        let rows = eventually("the row is read", || {
            let (rows, _) = client.read(&input, 0, 10, Duration::from_secs(10)).unwrap();
            (!rows.is_empty()).then_some(rows)
        });
        assert_eq!(rows.offsets, [0]);
        let late = append.join().unwrap().elapsed();
        assert!(late < PROMPT, "the row came {late:?} after it was appended");
    });
}

/// Markers and aborted rows are gaps in the offsets, never rows and never a place to get stuck at.
pub fn read_goes_on_past_what_was_aborted(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.begin(&setup.output, &["no", "no"]);
    member.transport.abort().unwrap();
    member.begin(&setup.output, &["yes"]);
    member.commit(&[(&setup.input(0), 0)]);
    let client = setup.client();
    let (mut next, mut seen) = (0, Vec::new());
    eventually("the committed row is read", || {
        let (rows, go_on) = client.read(&setup.output(0), next, 1, Duration::from_millis(50)).unwrap();
        assert!(go_on >= next, "{go_on} lies before {next}");
        next = go_on;
        seen.extend(rows_of(&setup.output(0), &rows).iter().map(super::Row::text));
        (!seen.is_empty()).then_some(())
    });
    assert_eq!(seen, ["yes"]);
    eventually("the end is reached", || {
        let (_, end) = client.offsets(&setup.output(0)).unwrap();
        (next = client.read(&setup.output(0), next, 1, Duration::ZERO).unwrap().1);
        (next == end).then_some(())
    });
}

/// The end is one past the last committed row or its marker; an open transaction does not count.
pub fn offsets_are_the_first_and_the_end(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let client = setup.client();
    assert_eq!(client.offsets(&setup.input(0)), Ok((0, 0)));
    setup.feed(0, &["a", "b"]);
    assert_eq!(client.offsets(&setup.input(0)), Ok((0, 2)));
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.begin(&setup.output, &["open"]);
    assert_eq!(client.offsets(&setup.output(0)), Ok((0, 0)));
    member.commit(&[(&setup.input(0), 2)]);
    eventually("the end rises", || (client.offsets(&setup.output(0)).unwrap().1 >= 1).then_some(()));
    let unknown = TopicPartition::new(fixture.unique("unknown").as_str(), 0);
    assert!(client.offsets(&unknown).is_err(), "a topic that does not exist has no offsets");
}

/// The first row at or after a time, by its own timestamp.
pub fn an_offset_is_found_by_its_timestamp(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let client = setup.client();
    let now = 1_730_000_000_000;
    let mut rows = RecordBatch::default();
    for timestamp in [now, now + 10, now + 10, now + 30] {
        rows.push(0, timestamp, None, Some(b"x"), &[]);
    }
    client.append(&setup.input(0), &rows).unwrap();
    for (timestamp, offset) in [(0, 0), (now, 0), (now + 1, 1), (now + 10, 1), (now + 11, 3), (now + 31, 4)] {
        assert_eq!(client.offset_at(&setup.input(0), timestamp), Ok(offset), "at {timestamp}");
    }
}

/// No position, not one at 0.
pub fn positions_never_committed_are_absent(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    setup.feed(0, &["a"]);
    let connector = setup.connector(0);
    assert_eq!(connector.client().committed(&[setup.input(0), setup.input(1)]), Ok(vec![]));
    let mut member = only_member(&connector);
    member.take(1);
    member.begin(&setup.output, &["x"]);
    member.commit(&[(&setup.input(0), 1)]);
    let positions = connector.client().committed(&[setup.input(0), setup.input(1)]).unwrap();
    assert_eq!(positions.iter().map(|at| (at.partition.partition, at.offset)).collect::<Vec<_>>(), [(0, 1)]);
}
