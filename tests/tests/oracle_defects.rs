//! What Kafka Streams does by a defect, and the generators of cases leave out: so that Weir need not do it as well.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use weir_tests::Oracle;
use weir_tests::oracle::{Answer, Case, How, Input, Join, Kept, Operation, Side};

fn row(side: Side, key: &str, value: Option<&str>, at: i64) -> Input {
    Input::Row { side, key: Some(key.to_owned()), value: value.map(str::to_owned), at }
}

fn left(key: &str, value: &str, at: i64) -> Input {
    row(Side::Left, key, Some(value), at)
}

fn right(key: &str, value: &str, at: i64) -> Input {
    row(Side::Right, key, Some(value), at)
}

fn ask(join: Join, inputs: &[Input]) -> Answer {
    let case = Case { operation: Operation::Join(join), inputs: inputs.to_vec() };
    Oracle::from_env().unwrap().ask(&[case]).unwrap().remove(0)
}

fn lines(join: Join, inputs: &[Input]) -> Vec<String> {
    let answer = ask(join, inputs);
    assert_eq!(answer.fails, None);
    answer.records.iter().map(ToString::to_string).collect()
}

#[test]
fn kafka_streams_loses_a_match_on_the_border_of_a_window_without_after_and_grace() {
    let how = How::Inner;
    let inputs = [right("k", "x", 10), right("other", "y", 15), left("k", "a", 15)];
    let without = Join::StreamStream { how, before_ms: 5, after_ms: 0, grace_ms: 0, rekeyed: false };
    assert!(lines(without, &inputs).is_empty());
    let with = Join::StreamStream { how, before_ms: 5, after_ms: 0, grace_ms: 1, rekeyed: false };
    assert_eq!(lines(with, &inputs), ["k = a|x @ 15"]);
}

#[test]
fn kafka_streams_joins_nothing_in_a_window_of_no_size_and_no_grace() {
    let how = How::Inner;
    let inputs = [right("k", "x", 10), left("k", "a", 10)];
    assert!(
        lines(Join::StreamStream { how, before_ms: 0, after_ms: 0, grace_ms: 0, rekeyed: false }, &inputs).is_empty()
    );
    let with = Join::StreamStream { how, before_ms: 0, after_ms: 0, grace_ms: 1, rekeyed: false };
    assert_eq!(lines(with, &inputs), ["k = a|x @ 10"]);
}

#[test]
fn kafka_streams_fails_on_a_null_key_in_a_left_join_with_grace() {
    let kept = Kept::History { history_ms: 100 };
    let null_key = [Input::Row { side: Side::Left, key: None, value: Some("a".to_owned()), at: 10 }];
    let with = ask(Join::StreamTable { how: How::Left, kept, grace_ms: Some(5), rekeyed: false }, &null_key);
    assert!(with.fails.as_deref().is_some_and(|reason| reason.contains("key cannot be null")), "{with:?}");
    assert_eq!(
        lines(Join::StreamTable { how: How::Left, kept, grace_ms: None, rekeyed: false }, &null_key),
        ["null = a|null @ 10"]
    );
    assert!(
        lines(Join::StreamTable { how: How::Inner, kept, grace_ms: Some(5), rekeyed: false }, &null_key).is_empty()
    );
}

#[test]
fn kafka_streams_takes_an_empty_right_value_for_none_in_a_foreign_key_join() {
    let join = Join::ForeignKey { how: How::Left, kept: Kept::Latest, split: false };
    assert_eq!(lines(join, &[right("p", "", 1), left("k", "p:1", 2)]), ["k = p:1|null @ 2"]);
    assert_eq!(lines(join, &[right("p", " ", 1), left("k", "p:1", 2)]), ["k = p:1|  @ 2"]);
}

/// With an older version before it, the tombstone is remembered as that version's end.
#[test]
fn kafka_streams_forgets_a_tombstone_at_the_time_of_the_only_version() {
    let join =
        Join::StreamTable { how: How::Left, kept: Kept::History { history_ms: 100 }, grace_ms: None, rekeyed: false };
    let deleted = [right("k", "a", 10), row(Side::Right, "k", None, 10), right("k", "b", 5), left("k", "x", 50)];
    assert_eq!(lines(join, &deleted), ["k = x|b @ 50"]);
    let mut after_another = vec![right("k", "z", 2)];
    after_another.extend(deleted);
    assert_eq!(lines(join, &after_another), ["k = x|null @ 50"]);
}
