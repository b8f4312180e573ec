//! All of a transaction or nothing, in order.

use weir_core::record::RecordBatch;

use super::member::{only_member, outgoing};
use super::{Fixture, Row, Setup};

/// Rows of one transaction reach a reader once, in the order in which they were produced.
pub fn committed_rows_are_seen_once_and_in_order(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["in"]);
    let mut member = only_member(&setup.connector(0));
    assert_eq!(member.take(1), ["in"]);
    let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    member.begin(&setup.output, &values.iter().map(String::as_str).collect::<Vec<_>>());
    member.commit(&[(&setup.input(0), 1)]);
    assert_eq!(setup.read_values(1000), values);
}

/// A reader of committed rows passes over what was aborted.
pub fn an_aborted_transaction_is_never_seen(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.begin(&setup.output, &["no"]);
    member.transport.abort().unwrap();
    member.begin(&setup.output, &["yes"]);
    member.commit(&[(&setup.input(0), 0)]);
    assert_eq!(setup.read_values(1), ["yes"]);
}

/// Nothing is seen before the commit, not even by the one who wrote it.
pub fn an_open_transaction_is_not_seen(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.begin(&setup.output, &["a"]);
    assert_eq!(setup.read_values(0), [""; 0]);
    member.produce(&setup.output, 0, &["b"]);
    member.commit(&[(&setup.input(0), 0)]);
    assert_eq!(setup.read_values(2), ["a", "b"]);
}

/// One transaction after the other on the same transport, aborts among them.
pub fn transactions_follow_one_another(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    for round in 0..6 {
        member.begin(&setup.output, &[&round.to_string()]);
        if round % 3 == 1 {
            member.transport.abort().unwrap();
        } else {
            member.commit(&[(&setup.input(0), 0)]);
        }
    }
    assert_eq!(setup.read_values(4), ["0", "2", "3", "5"]);
}

/// Partitions of several produces commit together, each in order.
pub fn a_transaction_spans_partitions_and_produces(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.transport.begin().unwrap();
    for round in 0..4 {
        let values: Vec<String> = (0..3).map(|partition| format!("{partition}:{round}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        member.transport.produce(&outgoing(&setup.output, vec![0, 1, 2], super::batch(&values))).unwrap();
    }
    member.commit(&[(&setup.input(0), 0)]);
    let rows = setup.read_output(12);
    for partition in 0..3 {
        let of = rows.iter().filter(|row| row.partition == setup.output(partition)).map(Row::text);
        let expected: Vec<String> = (0..4).map(|round| format!("{partition}:{round}")).collect();
        assert_eq!(of.collect::<Vec<_>>(), expected);
    }
}

/// A task whose rows were all dropped commits its position all the same.
pub fn a_transaction_may_hold_positions_alone(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    setup.feed(0, &["a", "b"]);
    {
        let mut member = only_member(&setup.connector(0));
        member.take(2);
        member.begin(&setup.output, &[]);
        member.commit(&[(&setup.input(0), 2)]);
    }
    let positions = only_member(&setup.connector(0)).join(1);
    assert_eq!((positions[0].offset, positions[0].metadata.as_deref()), (2, Some("at 2")));
}

/// A crash with an open transaction: nothing of it is seen, and the next holder of the thread goes on.
pub fn what_a_dropped_transport_left_open_is_never_seen(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    {
        let mut member = only_member(&setup.connector(0));
        member.join(1);
        member.begin(&setup.output, &["open"]);
    }
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    member.begin(&setup.output, &["next"]);
    member.commit(&[(&setup.input(0), 0)]);
    assert_eq!(setup.read_values(1), ["next"]);
}

/// Null, empty, binary, headers with repeats and null values, timestamps: the same bytes at the other end, by both ways in.
pub fn rows_come_back_as_they_went(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut batch = RecordBatch::default();
    batch.push(
        0,
        1_730_000_000_123,
        Some(b"key"),
        Some(b"value"),
        &[(b"a", Some(b"1")), (b"a", None), (b"b", Some(b""))],
    );
    // Neither 0 nor the future: Kafka's C client cannot write the first, its brokers refuse the second by default.
    batch.push(0, 1, None, Some(b""), &[]);
    batch.push(0, 2, Some(b""), None, &[]);
    batch.push(0, 1_740_000_000_000, Some(&[0, 255, 128]), Some(&[0; 3]), &[(b"", Some(&[0, 255]))]);
    batch.push(0, 5, None, None, &[]);
    let bare = |rows: Vec<Row>| {
        rows.into_iter().map(|row| (row.timestamp, row.key, row.value, row.headers)).collect::<Vec<_>>()
    };
    let expected = bare(super::rows_of(&setup.input(0), &batch));
    setup.client().append(&setup.input(0), &batch).unwrap();
    let mut member = only_member(&setup.connector(0));
    super::eventually("all rows are fetched", || {
        member.poll(std::time::Duration::from_millis(20));
        (member.rows.len() == 5).then_some(())
    });
    assert_eq!(bare(std::mem::take(&mut member.rows)), expected);
    member.transport.begin().unwrap();
    member.transport.produce(&outgoing(&setup.output, vec![1; 5], batch)).unwrap();
    member.commit(&[(&setup.input(0), 5)]);
    assert_eq!(bare(setup.read_output(5)), expected);
}

/// A row of nearly 1 MB, beside small ones.
pub fn large_rows_come_back_whole(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let large: String = (0..1_000_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    setup.feed(0, &["small", &large, "small"]);
    let mut member = only_member(&setup.connector(0));
    assert!(member.take(3) == ["small", &large, "small"], "the rows fetched differ from those appended");
    member.begin(&setup.output, &[&large, "small", &large]);
    member.commit(&[(&setup.input(0), 3)]);
    assert!(setup.read_values(3) == [&large, "small", &large], "the rows read differ from those produced");
}
