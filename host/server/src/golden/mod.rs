//! Golden cases: what comes out of a topology for what goes in, written down.
//!
//! ```text
//! topology.yaml
//! cases/NAME/in.jsonl       {"topic": .., "key": .., "value": .., "ts": .., "headers": ..}, {"advance": "20s"},
//!                           {"commit": true}, {"restart": true}, {"abort": true}
//! cases/NAME/expect.jsonl   {"topic": .., ..}: the rows of each topic in order; without `ts` any timestamp will do
//! cases/NAME/state.jsonl    {"store": .., "key": .., "value": .., "window": {"start": .., "end": ..}}: all that is left
//! ```
//! A case is one transaction unless it says `commit` or `advance`. It runs in batches of one row and of all, with a restart
//! and with an abort between any two lines: [`run`] holds every run against the first, and the first against what is written.

mod case;
mod difference;
mod files;
mod junit;
mod play;
mod plugins;

pub use case::{CaseReport, Verdict, run};
pub use files::find;
pub use junit::junit;
pub use plugins::load;
