//! A task: one partition's share of a subtopology, and the way of one record through it.

use std::fmt;

/// A subtopology and a partition; shown as `0_3`, as Kafka Streams does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// Index of the subtopology.
    pub subtopology: usize,
    /// The partition of its input topics.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}
