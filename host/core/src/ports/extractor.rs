use super::{Call, Reject, Trap};

/// The plugin of a source, for one task: finds the event time of rows. Stream time is not known yet when it is asked.
pub trait Extractor {
    /// The times of the call's rows. What comes back is checked by the caller before it is used.
    ///
    /// # Errors
    /// [`Trap`]: the call has left nothing, and the instance is not to be called again.
    fn extract(&mut self, call: &Call<'_>) -> Result<Extracted, Trap>;
}

/// What [`Extractor::extract`] returned, columns checked, rows not yet ([`crate::task`] does that).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    /// Milliseconds since 1970 UTC, one for each row; none: each row keeps its own. A rejected row's is not looked at.
    pub timestamps: Option<Vec<i64>>,
    /// Rows that the plugin refuses, for the source's error policy.
    pub rejects: Vec<Reject>,
}
