//! The group coordinator: who has which partition, sessions, and the fence of a commit.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::ports::{Position, TransportError};
use weir_core::record::{TopicName, TopicPartition};

use super::Broker;
use super::log::Partition;

/// One joining of one member. A member that was expelled and joins again is another one.
pub(crate) type MemberId = u64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// By instance: static membership.
    members: BTreeMap<String, Member>,
    owners: BTreeMap<TopicPartition, MemberId>,
    pub(crate) committed: BTreeMap<TopicPartition, Position>,
    /// Raised by every change of the members.
    generation: u64,
}

#[derive(Clone, Debug)]
struct Member {
    id: MemberId,
    seen_us: i64,
    topics: BTreeSet<TopicName>,
    target: BTreeSet<TopicPartition>,
    /// The generation that it last took partitions in.
    generation: u64,
}

/// What the group knows of one who calls itself a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is one.
    Member,
    /// Its session expired; it may join again.
    Expelled,
    /// Its instance has joined anew elsewhere.
    Replaced,
}

/// How a rebalance takes partitions away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Everybody gives up all, and then gets what is theirs.
    #[default]
    Eager,
    /// Only what moves is given up.
    Cooperative,
}

impl Broker {
    /// `instance` joins; if it is a member already, what was its is its successor's at once.
    pub(crate) fn join(&mut self, group: &str, instance: &str, topics: &[TopicName]) -> MemberId {
        self.next_member += 1;
        let id = self.next_member;
        let now_us = self.now_us;
        let entry = self.groups.entry(group.to_owned()).or_default();
        let (topics, target) = (topics.iter().cloned().collect(), BTreeSet::new());
        let member = Member { id, seen_us: now_us, topics, target, generation: 0 };
        if let Some(before) = entry.members.insert(instance.to_owned(), member) {
            entry.owners.retain(|_, owner| *owner != before.id);
        }
        self.rebalance(group);
        id
    }

    fn rebalance(&mut self, group: &str) {
        let Some(entry) = self.groups.get_mut(group) else { return };
        entry.generation += 1;
        entry.members.values_mut().for_each(|member| member.target.clear());
        let topics: BTreeSet<TopicName> =
            entry.members.values().flat_map(|member| member.topics.iter().cloned()).collect();
        let count = entry.members.len();
        for topic in topics {
            let partitions = self.topics.get(&topic).map_or(0, Vec::len);
            // Partition i of every topic goes to one member. Read from another end in each generation, so that much moves.
            let turn = if self.rotates { entry.generation as usize } else { 0 };
            for partition in 0..partitions {
                let chosen = (partition + turn) % count;
                if let Some(member) = entry.members.values_mut().nth(chosen) {
                    member.target.insert(TopicPartition::new(&topic, partition as i32));
                }
            }
        }
    }

    pub(crate) fn members(&self, group: &str) -> Vec<String> {
        self.groups.get(group).map(|group| group.members.keys().cloned().collect()).unwrap_or_default()
    }

    /// Commits positions of a group without members; what expelled ones have open is aborted first.
    pub(crate) fn set_positions(&mut self, group: &str, positions: &[Position]) -> Result<(), TransportError> {
        let members = self.members(group);
        if !members.is_empty() {
            return Err(TransportError::Abortable(format!("`{group}` has members: {}", members.join(", "))));
        }
        for position in positions {
            self.make_stable(group, &position.partition);
            let position = Position { metadata: Some(String::new()), ..position.clone() };
            let entry = self.groups.entry(group.to_owned()).or_default();
            entry.committed.insert(position.partition.clone(), position);
        }
        Ok(())
    }

    pub(crate) fn standing(&self, group: &str, instance: &str, id: MemberId) -> Standing {
        match self.groups.get(group).and_then(|group| group.members.get(instance)) {
            Some(member) if member.id == id => Standing::Member,
            Some(_) => Standing::Replaced,
            None => Standing::Expelled,
        }
    }

    pub(crate) fn heartbeat(&mut self, group: &str, instance: &str) {
        let now_us = self.now_us;
        if let Some(member) = self.groups.get_mut(group).and_then(|group| group.members.get_mut(instance)) {
            member.seen_us = now_us;
        }
    }

    pub(crate) fn expel(&mut self, group: &str, instance: &str) {
        let Some(entry) = self.groups.get_mut(group) else { return };
        if let Some(member) = entry.members.remove(instance) {
            entry.owners.retain(|_, owner| *owner != member.id);
            self.rebalance(group);
        }
    }

    pub(crate) fn expire_sessions(&mut self) {
        let (now_us, timeout_us) = (self.now_us, self.session_timeout_us);
        let expired = |(group, entry): (&String, &Group)| {
            let members = entry.members.iter().filter(|(_, member)| now_us - member.seen_us > timeout_us);
            members.map(|(instance, _)| (group.clone(), instance.clone())).collect::<Vec<_>>()
        };
        let expired: Vec<_> = self.groups.iter().flat_map(expired).collect();
        for (group, instance) in expired {
            self.expel(&group, &instance);
        }
    }

    /// What `instance` has to give up now.
    pub(crate) fn to_revoke(&self, group: &str, instance: &str) -> Vec<TopicPartition> {
        let Some(entry) = self.groups.get(group) else { return Vec::new() };
        let Some(member) = entry.members.get(instance) else { return Vec::new() };
        let owned = entry.owners.iter().filter(|(_, owner)| **owner == member.id).map(|(partition, _)| partition);
        let goes = |partition: &&TopicPartition| match self.protocol {
            Protocol::Eager => member.generation < entry.generation,
            Protocol::Cooperative => !member.target.contains(*partition),
        };
        owned.filter(goes).cloned().collect()
    }

    pub(crate) fn release(&mut self, group: &str, id: MemberId, partitions: &[TopicPartition]) {
        if let Some(entry) = self.groups.get_mut(group) {
            entry.owners.retain(|partition, owner| *owner != id || !partitions.contains(partition));
        }
    }

    /// Partitions that are `instance`'s from now on, with their positions. Only stable positions: one that an open transaction
    /// may still move is waited for, unless the expelled member's transaction can be aborted.
    pub(crate) fn take_assigned(&mut self, group: &str, instance: &str) -> Vec<Position> {
        let mut taken = Vec::new();
        for partition in self.assignable(group, instance) {
            if self.waits_for_stable && !self.make_stable(group, &partition) {
                continue;
            }
            let begin = self.partition(&partition).map_or(0, Partition::begin);
            let Some(entry) = self.groups.get_mut(group) else { continue };
            let Some(member) = entry.members.get(instance) else { continue };
            entry.owners.insert(partition.clone(), member.id);
            let start = Position { partition: partition.clone(), offset: begin, metadata: None };
            taken.push(entry.committed.get(&partition).cloned().unwrap_or(start));
        }
        taken
    }

    fn assignable(&mut self, group: &str, instance: &str) -> Vec<TopicPartition> {
        let eager = self.protocol == Protocol::Eager;
        let Some(entry) = self.groups.get_mut(group) else { return Vec::new() };
        let generation = entry.generation;
        let late =
            |member: &Member| member.generation < generation && entry.owners.values().any(|owner| *owner == member.id);
        if eager && entry.members.values().any(late) {
            return Vec::new(); // somebody has not given up theirs yet
        }
        let Some(member) = entry.members.get_mut(instance) else { return Vec::new() };
        member.generation = generation;
        member.target.iter().filter(|&partition| !entry.owners.contains_key(partition)).cloned().collect()
    }

    fn make_stable(&mut self, group: &str, partition: &TopicPartition) -> bool {
        let Some(holder) = self.unstable(group, partition) else { return true };
        self.cut_off_expelled(group, &holder)
    }

    /// Aborts what `holder` has open if the group has expelled it; a transactional id is its member's instance.
    fn cut_off_expelled(&mut self, group: &str, holder: &str) -> bool {
        let expelled = !self.groups.get(group).is_some_and(|entry| entry.members.contains_key(holder));
        if expelled && self.aborts_expelled {
            self.init_producer(holder);
        }
        expelled && self.aborts_expelled
    }

    /// Aborts what expelled members of `group` have open in `partition`: a replay waits for it. They may have added no
    /// position yet, so that no new owner had reason to.
    pub(crate) fn unblock(&mut self, group: &str, partition: &TopicPartition) {
        let open = self.partition(partition).map(Partition::open_transactions).unwrap_or_default();
        let holders: Vec<String> = open.into_iter().map(|id| self.producer_of(id)).collect();
        for holder in holders {
            if holder.starts_with(&format!("{group}-")) {
                self.cut_off_expelled(group, &holder);
            }
        }
    }
}
