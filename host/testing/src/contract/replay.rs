//! Changelogs: where a commit ended in them, and how they are read back.

use std::time::{Duration, Instant};

use weir_core::ports::Committed;
use weir_core::record::TopicPartition;

use super::member::{only_member, outgoing};
use super::{Fixture, Member, SILENCE, Setup, batch, eventually};

/// Enough rows for several batches of any transport.
const MANY: usize = 10_000;

fn ends_of(committed: &Committed) -> Vec<(i32, i64)> {
    let mut ends: Vec<_> = committed.ends.iter().map(|(at, end)| (at.partition, *end)).collect();
    ends.sort_unstable();
    ends
}

/// A member with its input; `count` rows `0..count` are committed to partition 0 of the output, some to a transaction.
fn filled(setup: &Setup<'_>, count: usize) -> Member {
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    let values: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    for values in values.chunks(count.div_ceil(4).max(1)) {
        member.begin(&setup.output, &values.iter().map(String::as_str).collect::<Vec<_>>());
        member.commit(&[(&setup.input(0), 0)]);
    }
    member
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Beyond the last row of the transaction, before the next one; of the partitions that were written and of no other.
pub fn a_commit_tells_where_it_ended_in_each_partition(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    let mut told: Vec<Vec<(i32, i64)>> = Vec::new();
    for round in 0..4 {
        member.begin(&setup.output, &["x", "y", "z"]);
        if round == 1 {
            member.transport.abort().unwrap();
            continue;
        }
        if round > 1 {
            member.transport.produce(&outgoing(&setup.output, vec![2; 2], batch(&["u", "v"]))).unwrap();
        }
        told.push(ends_of(&member.commit(&[(&setup.input(0), 0)])));
    }
    let rows = setup.read_output(13);
    let offsets = |partition: i32| {
        rows.iter().filter(move |row| row.partition.partition == partition).map(|row| row.offset).collect::<Vec<_>>()
    };
    let (first, third) = (offsets(0), offsets(2));
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 2], "{told:?}");
    let between =
        |end: i64, last: i64, next: i64| assert!(end > last && end <= next, "{last} < {end} <= {next}: {told:?}");
    between(told[0][0].1, first[2], first[3]);
    between(told[1][0].1, first[5], first[6]);
    between(told[2][0].1, first[8], i64::MAX);
    between(told[1][1].1, third[1], third[2]);
    between(told[2][1].1, third[3], i64::MAX);
    assert_eq!(told[1][1].0, 2);
    member.begin(&setup.output, &[]);
    assert_eq!(member.commit(&[(&setup.input(0), 0)]), Committed::default(), "nothing was written");
}

/// Every row once, its bytes as they were.
pub fn a_replay_brings_all_committed_rows_in_order(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, MANY);
    let replay = member.replay_whole(&setup.output(0), None);
    assert!(replay.values() == numbers(0..MANY), "{} rows came, or not in order", replay.rows.len());
    assert!(!replay.restarted, "from none is no restart");
    let (next, end) = replay.reached.unwrap();
    assert!(next >= end && end > replay.rows.last().unwrap().offset, "{next} {end}");
}

/// What is before the offset does not come; the offset is where an earlier commit or replay has ended.
pub fn a_replay_goes_on_from_an_offset(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 1000);
    let whole = member.replay_whole(&setup.output(0), None);
    let middle = whole.rows[700].offset;
    let part = member.replay_whole(&setup.output(0), Some(middle));
    assert_eq!(part.values(), numbers(700..1000));
    assert!(!part.restarted);
    // From where the last one ended: nothing is new until something is.
    let (next, _) = whole.reached.unwrap();
    assert_eq!(member.replay_whole(&setup.output(0), Some(next)).values(), [""; 0]);
    member.begin(&setup.output, &["new"]);
    let end = member.commit(&[(&setup.input(0), 0)]).ends[0].1;
    assert_eq!(member.replay_whole(&setup.output(0), Some(next)).values(), ["new"]);
    let at_end = member.replay_whole(&setup.output(0), Some(end));
    assert_eq!((at_end.values(), at_end.restarted), (vec![], false), "{end} is where the commit said that it ended");
}

/// One batch without rows, which has the end reached.
pub fn a_replay_of_nothing_says_so_at_once(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = only_member(&setup.connector(0));
    member.join(1);
    for from in [None, Some(0)] {
        let replay = member.replay_whole(&setup.output(1), from);
        assert_eq!((replay.reached, replay.rows.len(), replay.restarted), (Some((0, 0)), 0, false));
    }
}

/// Beyond the end, or below the first row that is left: the log's first row comes first, and it says so.
pub fn a_replay_from_outside_of_the_log_begins_anew(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 100);
    let whole = member.replay_whole(&setup.output(0), None);
    let (_, end) = whole.reached.unwrap();
    let beyond = member.replay_whole(&setup.output(0), Some(end + 1000));
    assert_eq!((beyond.values(), beyond.restarted), (numbers(0..100), true));
    let first = whole.rows[40].offset;
    setup.client().delete_records(&[(setup.output(0), first)]).unwrap();
    let below = member.replay_whole(&setup.output(0), Some(first - 1));
    assert_eq!((below.values(), below.restarted), (numbers(40..100), true));
    let at_low = member.replay_whole(&setup.output(0), Some(first));
    assert_eq!((at_low.values(), at_low.restarted), (numbers(40..100), false));
    let empty = member.replay_whole(&setup.output(1), Some(7));
    assert_eq!((empty.rows.len(), empty.restarted), (0, true));
}

/// The end is reached though the last offsets before it hold no committed row.
pub fn a_replay_passes_over_aborted_rows_and_markers_to_its_end(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 10);
    member.begin(&setup.output, &["no"; 5]);
    member.transport.abort().unwrap();
    member.begin(&setup.output, &["yes"]);
    member.commit(&[(&setup.input(0), 0)]);
    member.begin(&setup.output, &["no"; 5]);
    member.transport.abort().unwrap();
    let replay = member.replay_whole(&setup.output(0), None);
    let mut expected = numbers(0..10);
    expected.push("yes".to_owned());
    assert_eq!(replay.values(), expected);
}

/// Nothing but the polls themselves moves it on.
pub fn a_replay_waits_for_no_row_after_its_end(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 10);
    let started = Instant::now();
    member.replay_whole(&setup.output(0), None);
    assert!(started.elapsed() < super::PROMPT, "10 rows took {:?}", started.elapsed());
}

/// A producer died with rows in the changelog, positions not yet added: the new owner does not wait for the time-out.
pub fn a_replay_passes_over_the_open_transaction_of_a_dead_producer(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let connector = setup.connector(0);
    {
        let mut dead = only_member(&connector);
        dead.join(1);
        dead.begin(&setup.output, &["a", "b"]);
        dead.commit(&[(&setup.input(0), 0)]);
        dead.begin(&setup.output, &["open", "open"]);
    }
    let mut heir = setup.member(1, &connector);
    heir.join(1);
    heir.begin(&setup.output, &["c"]);
    heir.commit(&[(&setup.input(0), 0)]);
    assert_eq!(heir.replay_whole(&setup.output(0), None).values(), ["a", "b", "c"]);
}

/// A replay comes to its end though input never runs dry, and input comes though changelogs are replayed all the time.
pub fn input_is_fetched_while_changelogs_are_replayed(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, MANY);
    let (values, output) = (numbers(0..MANY), setup.output(0));
    setup.feed(0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    member.replay(&[(output.clone(), None)]);
    member.poll_until("the changelog is replayed", |member| {
        if member.rows.len() == MANY {
            member.seek(&[(setup.input(0), 0)]);
        }
        member.replays[&output].is_done()
    });
    assert!(member.finish_replays()[&output].values() == values);
    member.seek(&[(setup.input(0), 0)]);
    member.replay(&[(output.clone(), None)]);
    member.poll_until("the input is fetched", |member| {
        if member.replays[&output].is_done() {
            member.replay(&[(output.clone(), None)]);
        }
        member.rows.len() == MANY
    });
    assert!(member.take_all() == values);
}

/// Each comes to its own end.
pub fn several_changelogs_are_replayed_at_once(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 3000);
    member.begin(&setup.output, &[]);
    member.produce(&setup.output, 1, &["other", "rows"]);
    member.commit(&[(&setup.input(0), 0)]);
    member.replay(&[(setup.output(0), None), (setup.output(1), None)]);
    member.replay(&[(setup.output(2), None)]);
    let replays = member.finish_replays();
    assert!(replays[&setup.output(0)].values() == numbers(0..3000));
    assert_eq!(replays[&setup.output(1)].values(), ["other", "rows"]);
    assert_eq!(replays[&setup.output(2)].values(), [""; 0]);
}

/// What was read and not polled is dropped.
pub fn a_stopped_replay_is_silent(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, MANY);
    member.replay(&[(setup.output(0), None), (setup.output(1), None)]);
    member.poll_until("the replay has begun", |member| !member.replays[&setup.output(0)].rows.is_empty());
    member.transport.stop_replay(&[setup.output(0), setup.output(2)]).unwrap();
    member.replays.remove(&setup.output(0));
    let started = Instant::now();
    while started.elapsed() < SILENCE {
        member.poll(Duration::from_millis(20)); // a row of it would be one that nobody asked for
    }
    member.finish_replays();
    assert!(member.replay_whole(&setup.output(0), None).values() == numbers(0..MANY), "it can be asked for again");
}

/// From the offset given now; nothing of the earlier one comes behind it.
pub fn a_replay_asked_for_again_begins_anew(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, MANY);
    for _ in 0..3 {
        member.replay(&[(setup.output(0), None)]);
        member.poll_until("the replay has begun", |member| !member.replays[&setup.output(0)].rows.is_empty());
    }
    assert!(member.replay_whole(&setup.output(0), None).values() == numbers(0..MANY));
}

/// It is beside all that happens to input and transactions.
pub fn a_replay_outlasts_a_commit_and_a_recovery(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, MANY);
    setup.feed(0, &["a"]);
    member.replay(&[(setup.output(0), None)]);
    member.begin(&setup.output, &[]);
    member.produce(&setup.output, 1, &["x"]);
    member.poll(Duration::from_millis(20));
    member.commit(&[(&setup.input(0), 0)]);
    member.recover();
    let replays = member.finish_replays();
    assert!(replays[&setup.output(0)].values() == numbers(0..MANY));
}

/// The rows before an offset go, and no others; offsets stay what they are.
pub fn a_purge_takes_older_rows_and_no_newer_ones(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 100);
    let client = setup.client();
    let whole = member.replay_whole(&setup.output(0), None);
    let at = whole.rows[60].offset;
    client.delete_records(&[(setup.output(0), at)]).unwrap();
    eventually("the begin has moved", || (client.offsets(&setup.output(0)).unwrap().0 == at).then_some(()));
    assert_eq!(member.replay_whole(&setup.output(0), None).values(), numbers(60..100));
    client.delete_records(&[(setup.output(0), whole.rows[10].offset)]).unwrap();
    assert_eq!(client.offsets(&setup.output(0)).unwrap().0, at, "it never moves back");
    client.delete_records(&[(setup.output(0), at + 1_000_000)]).unwrap();
    assert_eq!(member.replay_whole(&setup.output(0), None).values(), [""; 0], "beyond the end: all that there is");
    member.begin(&setup.output, &["new"]);
    member.commit(&[(&setup.input(0), 0)]);
    let rest = member.replay_whole(&setup.output(0), None);
    assert_eq!(rest.values(), ["new"]);
    assert!(rest.rows[0].offset > whole.rows[99].offset, "an offset is never given twice");
    let unknown = TopicPartition::new(fixture.unique("unknown").as_str(), 0);
    assert!(client.delete_records(&[(unknown, 1)]).is_err(), "a topic that does not exist has no rows to delete");
}

/// A hint while the thread works: later commits and polls bring it about.
pub fn a_purge_in_passing_takes_effect_in_time(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let mut member = filled(&setup, 100);
    let whole = member.replay_whole(&setup.output(0), None);
    let at = whole.rows[60].offset;
    member.transport.purge(&[(setup.output(0), whole.rows[20].offset)]).unwrap();
    member.transport.purge(&[(setup.output(0), at), (setup.output(1), 0)]).unwrap();
    let client = setup.client();
    eventually("the begin has moved", || {
        member.begin(&setup.output, &[]);
        member.produce(&setup.output, 2, &["x"]);
        member.commit(&[(&setup.input(0), 0)]);
        member.poll(Duration::from_millis(20));
        (client.offsets(&setup.output(0)).unwrap().0 == at).then_some(())
    });
    assert_eq!(member.replay_whole(&setup.output(0), None).values(), numbers(60..100));
}
