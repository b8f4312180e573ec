//! What [`Transport`](weir_core::ports::Transport), [`Client`] and [`Connector`] promise, as tests.
//!
//! One suite for all: Kafka, the embedded log and the simulation each run it whole by [`contract_tests`](crate::contract_tests)
//! over a [`Fixture`]. What a transport does beyond its promises is tested beside it, not here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, wherever they are compiled"
)]

mod client;
mod group;
mod member;
mod positions;
mod replay;
mod topics;
mod transactions;

pub use client::*;
pub use group::*;
pub use member::{Member, Replaying, Row, rows_of};
pub use positions::*;
pub use replay::*;
pub use topics::*;
pub use transactions::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_core::ports::{Client, Connector, NewTopic};
use weir_core::record::{RecordBatch, TopicName, TopicPartition};

/// How long a test waits for what must come: a rebalance on a busy machine takes seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a test looks on while something must not come.
pub const SILENCE: Duration = Duration::from_millis(400);

/// How soon a waiting call returns once there is something. Generous: the tests of a whole workspace run beside it.
pub const PROMPT: Duration = Duration::from_secs(2);

/// Makes what the suite tests.
pub trait Fixture {
    /// Host `host` (from 0) of `application`, whose stream threads read `topics`; these exist already. Called again for the
    /// same host, it is the same host after a restart: its threads have the identities that they had before.
    ///
    /// Where an application has but one host at a time, the suite asks for host 0 alone.
    fn connector(&self, host: usize, application: &str, topics: &[TopicName]) -> Arc<dyn Connector>;

    /// Whether several hosts of an application may run at the same time; if not, its threads stand in for them.
    fn many_hosts(&self) -> bool;

    /// A name that no test used before, on a log that may outlive the test.
    fn unique(&self, base: &str) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        format!("{base}-{millis:x}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An application with its topics: `input` with some partitions, and `output` with 3.
pub(crate) struct Setup<'a> {
    fixture: &'a dyn Fixture,
    pub(crate) application: String,
    pub(crate) input: TopicName,
    pub(crate) output: TopicName,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(fixture: &'a dyn Fixture, partitions: i32) -> Self {
        let named = |base| TopicName::from(fixture.unique(base).as_str());
        let (application, input, output) = (fixture.unique("contract"), named("input"), named("output"));
        let setup = Self { fixture, application, input, output };
        setup.create(&setup.input, partitions);
        setup.create(&setup.output, 3);
        setup
    }

    pub(crate) fn client(&self) -> Arc<dyn Client> {
        // An application of its own, so that no consumer group is touched.
        self.fixture.connector(0, &self.fixture.unique("client"), &[]).client()
    }

    fn create(&self, topic: &TopicName, partitions: i32) {
        let client = self.client();
        assert!(client.create_topic(&new_topic(topic, partitions)).unwrap(), "{topic} is new");
        eventually("the topic is known", || {
            (client.partitions(std::slice::from_ref(topic)).unwrap().get(topic) == Some(&partitions)).then_some(())
        });
    }

    pub(crate) fn connector(&self, host: usize) -> Arc<dyn Connector> {
        self.fixture.connector(host, &self.application, std::slice::from_ref(&self.input))
    }

    /// Another application's, which reads the same input.
    pub(crate) fn application_of_its_own(&self) -> Arc<dyn Connector> {
        self.fixture.connector(0, &self.fixture.unique("other"), std::slice::from_ref(&self.input))
    }

    /// A member of the application's group beside member 0: on another host, or a second thread where there is but one host.
    pub(crate) fn member(&self, index: usize, first: &Arc<dyn Connector>) -> Member {
        if index == 0 || !self.fixture.many_hosts() {
            return Member::new(first.transport(index).unwrap());
        }
        Member::new(self.connector(index).transport(0).unwrap())
    }

    pub(crate) fn input(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(&self.input, partition)
    }

    pub(crate) fn output(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(&self.output, partition)
    }

    /// Appends `values` to a partition of the input, keyless, at timestamp 0.
    pub(crate) fn feed(&self, partition: i32, values: &[&str]) -> Vec<i64> {
        self.client().append(&self.input(partition), &batch(values)).unwrap()
    }

    /// All committed rows of the output's partitions once there are `count` of them, and after a silence no more.
    pub(crate) fn read_output(&self, count: usize) -> Vec<Row> {
        let client = self.client();
        let mut rows = Vec::new();
        let mut next = [0; 3];
        let mut silent_since = None;
        let started = Instant::now();
        loop {
            for partition in 0..3 {
                let at = self.output(partition);
                let (read, go_on) = client.read(&at, next[partition as usize], 10_000, Duration::ZERO).unwrap();
                next[partition as usize] = go_on;
                rows.extend(rows_of(&at, &read));
            }
            assert!(rows.len() <= count, "{count} rows are committed, but {} are there: {rows:?}", rows.len());
            assert!(started.elapsed() < PATIENCE, "{count} rows are committed, but only {rows:?} came");
            if rows.len() == count && silent_since.get_or_insert_with(Instant::now).elapsed() > SILENCE {
                return rows;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The values of [`Setup::read_output`] as text.
    pub(crate) fn read_values(&self, count: usize) -> Vec<String> {
        self.read_output(count).iter().map(Row::text).collect()
    }
}

pub(crate) fn new_topic(name: &TopicName, partitions: i32) -> NewTopic {
    NewTopic { name: name.clone(), partitions, compacted: false, settings: std::collections::BTreeMap::new() }
}

pub(crate) fn batch(values: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for value in values {
        batch.push(0, 0, None, Some(value.as_bytes()), &[]);
    }
    batch
}

pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every test of the contract as a `#[test]` of its own, over a fixture made anew for each.
///
/// ```ignore
/// weir_testing::contract_tests!(LogFixture::new());
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { @each $fixture,
            committed_rows_are_seen_once_and_in_order,
            an_aborted_transaction_is_never_seen,
            an_open_transaction_is_not_seen,
            transactions_follow_one_another,
            a_transaction_spans_partitions_and_produces,
            a_transaction_may_hold_positions_alone,
            what_a_dropped_transport_left_open_is_never_seen,
            rows_come_back_as_they_went,
            large_rows_come_back_whole,
            nothing_committed_means_the_start_and_no_metadata,
            positions_and_metadata_come_back_after_a_restart,
            positions_are_set_while_nobody_is_a_member,
            an_aborted_transaction_commits_no_position,
            recover_goes_back_to_the_committed_positions,
            recover_settles_an_open_transaction,
            a_seek_shows_no_row_from_before,
            a_seek_goes_back_and_forth,
            a_paused_partition_is_silent_until_it_is_resumed,
            a_pause_outlasts_a_seek,
            a_partition_read_to_its_end_says_so,
            a_partition_is_at_its_end_before_an_open_transaction,
            poll_wakes_when_a_row_comes,
            poll_waits_no_longer_than_asked,
            partitions_are_shared_and_positions_continue,
            a_revoked_partition_goes_over_only_when_released,
            a_dropped_transport_makes_room_for_another,
            a_restarted_thread_fences_its_predecessor,
            a_topic_is_created_once,
            unknown_topics_have_no_partitions,
            append_returns_the_offsets_that_read_gives,
            read_returns_no_more_than_asked_and_where_to_go_on,
            read_waits_for_a_row_and_not_longer,
            read_goes_on_past_what_was_aborted,
            offsets_are_the_first_and_the_end,
            an_offset_is_found_by_its_timestamp,
            positions_never_committed_are_absent,
            a_commit_tells_where_it_ended_in_each_partition,
            a_replay_brings_all_committed_rows_in_order,
            a_replay_goes_on_from_an_offset,
            a_replay_of_nothing_says_so_at_once,
            a_replay_from_outside_of_the_log_begins_anew,
            a_replay_passes_over_aborted_rows_and_markers_to_its_end,
            a_replay_waits_for_no_row_after_its_end,
            a_replay_passes_over_the_open_transaction_of_a_dead_producer,
            input_is_fetched_while_changelogs_are_replayed,
            several_changelogs_are_replayed_at_once,
            a_stopped_replay_is_silent,
            a_replay_asked_for_again_begins_anew,
            a_replay_outlasts_a_commit_and_a_recovery,
            a_purge_takes_older_rows_and_no_newer_ones,
            a_purge_in_passing_takes_effect_in_time,
            a_topic_is_described_and_another_of_its_name_has_another_identity,
            a_topic_says_how_it_is_cleaned,
        }
    };
    (@each $fixture:expr, $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let fixture = $fixture;
                $crate::contract::$name(&fixture);
            }
        )*
    };
}
