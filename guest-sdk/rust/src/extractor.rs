//! The plugin of a source: when what a record tells of happened.

use crate::abi::extraction::Extracted;
use crate::processor::set_current_row;
use crate::{Batch, Declaration, Problem, Reject, Row, Rows};

/// The plugin of a `source` that finds event time. `#[weir::extractor]` implements it.
pub trait Extractor: 'static {
    /// What `&Config<..>` asks for; `()` where nothing does.
    type Config: 'static;

    /// What it tells of itself, without a configuration.
    fn declaration() -> Declaration;

    /// Reads the node's configuration.
    ///
    /// # Errors
    /// Its mistakes, each with where it is.
    fn configure(text: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Finds the times of a batch.
    fn extract(config: &Self::Config, batch: Batch) -> Extracted;
}

/// What an extractor's function returns: milliseconds since 1970 UTC, or a `Result` of them where it can refuse a record.
pub trait EventTime {
    /// As the one of them that says everything.
    ///
    /// # Errors
    /// The record is refused.
    fn into_result(self) -> Result<i64, Reject>;
}

impl EventTime for i64 {
    fn into_result(self) -> Result<i64, Reject> {
        Ok(self)
    }
}

impl EventTime for Result<i64, Reject> {
    fn into_result(self) -> Self {
        self
    }
}

/// Calls `time` with each record of `batch`.
pub fn each_time(batch: Batch, mut time: impl FnMut(Row<'_>) -> Result<i64, Reject>) -> Extracted {
    let rows = Rows::from(batch);
    let mut timestamps = Vec::with_capacity(rows.len() * size_of::<i64>());
    let mut rejects = Vec::new();
    for index in 0..rows.len() as u32 {
        set_current_row(Some(index));
        let found = time(rows.row(index)).unwrap_or_else(|reject| {
            rejects.push(reject.into_abi(index));
            0 // a cell that is not looked at
        });
        timestamps.extend_from_slice(&found.to_le_bytes());
    }
    set_current_row(None);
    Extracted { keys: None, timestamps: Some(timestamps), partitions: None, topics: None, rejects }
}

/// Ties an [`Extractor`] to the exports of the contract; `weir::export_extractor!` names it.
pub struct ExportedExtractor<E: Extractor>(E::Config);

impl<E: Extractor> std::fmt::Debug for ExportedExtractor<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportedExtractor").finish_non_exhaustive()
    }
}

mod exports {
    use super::{ExportedExtractor, Extracted};
    use crate::abi::exports::weir::plugin::description;
    use crate::abi::extraction::{Extractor, Guest, GuestExtractor};
    use crate::abi::weir::plugin::manifest;
    use crate::processor::last_words;
    use crate::{Batch, Problem};

    impl<E: super::Extractor> description::Guest for ExportedExtractor<E> {
        fn describe() {
            last_words();
            let this = E::declaration();
            manifest::about(this.name, this.version, crate::SDK);
            manifest::reads(this.reads_keys, true, this.reads_timestamps);
            manifest::input(this.key_format, this.value_format);
        }
    }

    impl<E: super::Extractor> Guest for ExportedExtractor<E> {
        type Extractor = Self;

        fn create(config: String) -> Result<Extractor, Vec<Problem>> {
            last_words();
            E::configure(&config).map(|config| Extractor::new(Self(config)))
        }
    }

    impl<E: super::Extractor> GuestExtractor for ExportedExtractor<E> {
        fn extract(&self, rows: Batch, _partition_count: u32) -> Extracted {
            E::extract(&self.0, rows)
        }
    }
}
