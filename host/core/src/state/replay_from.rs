use std::fmt;

/// Where the replay of a changelog begins, and why there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayFrom {
    /// Where what is kept ends.
    Kept(i64),
    /// At the beginning, since nothing is kept.
    NothingKept,
    /// At the beginning: what is kept is of a topic that was deleted, and this is another one of its name.
    OtherTopic,
    /// At the beginning: what is kept was written so long ago, in milliseconds, that compaction may since have removed
    /// deletions that it has not seen.
    TooOld {
        /// How long ago.
        age_ms: i64,
        /// What is trusted.
        age_max_ms: i64,
    },
    /// At the beginning: the log has no rows any more where what is kept ends.
    NotInLog,
}

impl ReplayFrom {
    /// The first offset; none: the log's first row.
    #[must_use]
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Kept(next) => Some(next),
            Self::NothingKept | Self::OtherTopic | Self::TooOld { .. } | Self::NotInLog => None,
        }
    }
}

impl fmt::Display for ReplayFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(next) => write!(f, "from {next}"),
            Self::NothingKept => f.write_str("from the beginning: nothing is kept of it"),
            Self::OtherTopic => {
                f.write_str("from the beginning: the topic was deleted and made again since the store was written")
            }
            Self::NotInLog => f.write_str("from the beginning: where the store ends, the log has no rows any more"),
            Self::TooOld { age_ms, age_max_ms } => write!(
                f,
                "from the beginning: the store was written last {age_ms} ms ago, and compaction may have removed deletions \
                 that are older than {age_max_ms} ms"
            ),
        }
    }
}
