//! The stream threads of one application, in this process: who has which partition.
//!
//! Partition `i` of every topic is one thread's, in contiguous ranges, as the range assignor has it. A partition changes
//! hands when its owner has released it, has left, has come back as another member of the same thread, or has not
//! released it for [`RELEASE_WAIT_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use weir_core::record::{TopicName, TopicPartition};

/// A thread that has not released a revoked partition for so long has lost it. As long as `max.poll.interval.ms` is.
pub(crate) const RELEASE_WAIT_MAX: Duration = Duration::from_secs(300);

/// A thread of the group, in the order of assignment: by thread number, then by when it came.
pub(crate) type MemberId = (usize, u64);

#[derive(Default)]
struct Member {
    /// Told to give these up, and when.
    revoked: BTreeMap<TopicPartition, Instant>,
    /// Taken away; still to be told.
    lost: Vec<TopicPartition>,
    /// A commit of its own is on the way to the disk: nothing is taken away meanwhile.
    committing: bool,
    /// Its thread has come back as another member: it gets nothing more, and what it has goes.
    expelled: bool,
}

/// What a member is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub lost: Vec<TopicPartition>,
    pub revoked: Vec<TopicPartition>,
    pub assigned: Vec<TopicPartition>,
}

/// The group of one application.
#[derive(Default)]
pub(crate) struct Group {
    topics: BTreeSet<TopicName>,
    members: BTreeMap<MemberId, Member>,
    joined: u64,
    owners: BTreeMap<TopicPartition, MemberId>,
    /// Who is to have what, once those who have it let go.
    target: BTreeMap<TopicPartition, MemberId>,
    /// For which partition counts `target` holds; none: for no longer.
    target_for: Option<BTreeMap<TopicName, i32>>,
}

impl Group {
    pub fn join(&mut self, thread: usize, topics: &[TopicName]) -> MemberId {
        self.topics = topics.iter().cloned().collect();
        self.joined += 1;
        let same_thread = self.members.iter_mut().filter(|((other, _), _)| *other == thread);
        same_thread.for_each(|(_, predecessor)| predecessor.expelled = true);
        self.members.insert((thread, self.joined), Member::default());
        self.target_for = None;
        (thread, self.joined)
    }

    pub fn leave(&mut self, member: MemberId) {
        self.members.remove(&member);
        self.owners.retain(|_, owner| *owner != member);
        self.target_for = None;
    }

    /// Its threads.
    pub fn members(&self) -> Vec<String> {
        self.remaining().iter().map(|(thread, _)| format!("thread {thread}")).collect()
    }

    /// Whether `member` still has all of `partitions`.
    pub fn owns<'a>(&self, member: MemberId, mut partitions: impl Iterator<Item = &'a TopicPartition>) -> bool {
        self.members.get(&member).is_some_and(|member| !member.expelled)
            && partitions.all(|partition| self.owners.get(partition) == Some(&member))
    }

    fn remaining(&self) -> Vec<MemberId> {
        self.members.iter().filter(|(_, member)| !member.expelled).map(|(id, _)| *id).collect()
    }

    /// Marks that a commit of `member` is on its way, or is not any more.
    pub fn set_committing(&mut self, member: MemberId, committing: bool) {
        if let Some(member) = self.members.get_mut(&member) {
            member.committing = committing;
        }
    }

    pub fn release(&mut self, member: MemberId, partitions: &[TopicPartition]) {
        for partition in partitions {
            if self.owners.get(partition) == Some(&member) {
                self.owners.remove(partition);
            }
            if let Some(member) = self.members.get_mut(&member) {
                member.revoked.remove(partition);
            }
        }
    }

    /// What has changed for `member` since it was last asked; `count` tells how many partitions a topic has.
    pub fn poll(&mut self, member: MemberId, count: impl Fn(&TopicName) -> Option<i32>, now: Instant) -> Change {
        let counts = self.topics.iter().filter_map(|topic| Some((topic.clone(), count(topic)?)));
        let counts = counts.collect::<BTreeMap<_, _>>();
        if self.target_for.as_ref() != Some(&counts) {
            self.target = range(&counts, &self.remaining());
            self.target_for = Some(counts);
        }
        let mut change = Change::default();
        let Self { members, owners, target, .. } = self;
        take_away(members, owners, now);
        let Some(own) = members.get_mut(&member) else { return change };
        change.lost = std::mem::take(&mut own.lost);
        for (partition, wanted) in target.iter() {
            match owners.get(partition) {
                None if *wanted == member => {
                    owners.insert(partition.clone(), member);
                    change.assigned.push(partition.clone());
                }
                Some(owner) if *owner == member && *wanted != member && !own.revoked.contains_key(partition) => {
                    own.revoked.insert(partition.clone(), now);
                    change.revoked.push(partition.clone());
                }
                _ => {}
            }
        }
        change
    }
}

/// Takes from members what they should have released long ago.
fn take_away(members: &mut BTreeMap<MemberId, Member>, owners: &mut BTreeMap<TopicPartition, MemberId>, now: Instant) {
    for (id, member) in members.iter_mut().filter(|(_, member)| !member.committing) {
        if member.expelled {
            let gone = owners.iter().filter(|(_, owner)| *owner == id).map(|(partition, _)| partition.clone());
            member.lost.extend(gone);
            owners.retain(|_, owner| owner != id);
            continue;
        }
        let overdue = |since: &Instant| now.saturating_duration_since(*since) >= RELEASE_WAIT_MAX;
        if !member.revoked.values().any(overdue) {
            continue;
        }
        let (gone, kept) = std::mem::take(&mut member.revoked).into_iter().partition(|(_, since)| overdue(since));
        member.revoked = kept;
        for (partition, _) in BTreeMap::<TopicPartition, Instant>::into_iter(gone) {
            owners.remove(&partition);
            member.lost.push(partition);
        }
    }
}

/// Contiguous ranges of partition numbers, the same for every topic.
fn range(counts: &BTreeMap<TopicName, i32>, members: &[MemberId]) -> BTreeMap<TopicPartition, MemberId> {
    let most = counts.values().copied().max().unwrap_or(0).max(0) as usize;
    let mut target = BTreeMap::new();
    if members.is_empty() {
        return target;
    }
    let (share, extra) = (most / members.len(), most % members.len());
    let mut first = 0;
    for (index, member) in members.iter().enumerate() {
        let next = first + share + usize::from(index < extra);
        for (topic, count) in counts {
            for partition in first..next.min(usize::try_from(*count).unwrap_or(0)) {
                target.insert(TopicPartition::new(topic, partition as i32), *member);
            }
        }
        first = next;
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Vec<TopicName> {
        vec!["a".into(), "b".into()]
    }

    fn count(topic: &TopicName) -> Option<i32> {
        Some(if topic.as_str() == "a" { 4 } else { 3 })
    }

    fn numbers(partitions: &[TopicPartition]) -> Vec<String> {
        partitions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_partition_changes_hands_only_after_it_was_released() {
        let (mut group, now) = (Group::default(), Instant::now());
        let first = group.join(0, &topics());
        assert_eq!(group.poll(first, count, now).assigned.len(), 7);
        let second = group.join(1, &topics());
        assert_eq!(group.poll(second, count, now), Change::default());
        let revoked = group.poll(first, count, now).revoked;
        assert_eq!(numbers(&revoked), ["a/2", "a/3", "b/2"]);
        assert_eq!(group.poll(first, count, now), Change::default(), "told once");
        assert!(group.owns(first, revoked.iter()), "it may still commit");
        group.release(first, &revoked);
        assert!(!group.owns(first, revoked.iter()));
        assert_eq!(group.poll(second, count, now).assigned, revoked);
        group.leave(first);
        assert_eq!(numbers(&group.poll(second, count, now).assigned), ["a/0", "a/1", "b/0", "b/1"]);
    }

    #[test]
    fn who_never_releases_loses_but_not_in_mid_commit() {
        let (mut group, now) = (Group::default(), Instant::now());
        let first = group.join(0, &topics());
        group.poll(first, count, now);
        let second = group.join(1, &topics());
        let revoked = group.poll(first, count, now).revoked;
        group.set_committing(first, true);
        let late = now + RELEASE_WAIT_MAX;
        assert_eq!(group.poll(second, count, late), Change::default());
        group.set_committing(first, false);
        assert_eq!(group.poll(second, count, late).assigned, revoked);
        assert!(!group.owns(first, revoked.iter()), "a commit of these is fenced");
        assert_eq!(group.poll(first, count, late).lost, revoked);
    }
}
