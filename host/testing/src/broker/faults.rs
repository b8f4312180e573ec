use crate::random::PerMille;

/// What may go wrong between a transport and its broker, and how often. The default: nothing.
///
/// Fair is what Kafka may do. Rows are never reordered, and an answer is never a lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A commit is refused before anything of it happened.
    pub commit_refused: PerMille,
    /// A commit's end never reaches the coordinator; its positions wait in the open transaction.
    pub commit_lost: PerMille,
    /// A commit is done, but the answer is lost.
    pub commit_unanswered: PerMille,
    /// The end of a commit or abort travels for up to [`Faults::end_delay_us_max`], and the client gives up waiting.
    pub end_delayed: PerMille,
    /// The end is sent twice, as clients do that miss an answer: the first is answered, the second travels on.
    pub end_repeated: PerMille,
    /// How long an end may be on its way, in microseconds.
    pub end_delay_us_max: i64,
    /// An abort fails; the transaction stays open.
    pub abort_failed: PerMille,
    /// A transaction cannot be begun.
    pub begin_failed: PerMille,
    /// Rows cannot be delivered: the transaction is broken.
    pub produce_broken: PerMille,
    /// A poll brings nothing, though there is something.
    pub fetch_empty: PerMille,
    /// A poll fails and leaves all as it was.
    pub poll_failed: PerMille,
    /// A poll reports that the open transaction is broken.
    pub poll_broken: PerMille,
    /// A recovery does not succeed at once.
    pub recover_failed: PerMille,
    /// The group expels a member that is alive, at a poll of its.
    pub expelled: PerMille,
}
