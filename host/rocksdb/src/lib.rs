//! State on disk: RocksDB behind Weir's `StateStore` port.
//!
//! One database for each task in `<dir>/<application>/<task>/`, a column family for each store, one block cache and one
//! budget of write buffers for the whole host. There is no write-ahead log: what was applied since the last flush is lost
//! by a kill, and the changelog brings it back. Flushes are atomic over the families, so what a kill leaves is some state
//! that was once applied as a whole, with the checkpoint of that moment beside it. A replay goes past the buffers
//! (`filling.rs`): what a kill leaves of one may be ahead of its checkpoint, and comes out the same when it is replayed again.
//!
//! - Damage is found by checksums. A database that cannot be read is thrown away with a word in the log and made anew;
//!   one that turns out damaged later answers `StoreError::Corrupt`, and is thrown away when it is opened again.
//! - Stores that the topology keeps in memory are kept beside, so that one object serves all of a task's stores.
//! - It is not: shared by processes, replicated, a place for what no changelog has (but for stores that say so).
//!
//! Must not know: nodes, plugins, Kafka, what the rows mean but for the time that a row of a window expires by.
//! Start at [`RocksStores::open`], then `task.rs`, a task's stores, and `disk.rs`, what of them lies on disk; `fit.rs`
//! tells whether what was kept fits a changed topology. `tests/` damages it, kills it and fills its disk.

mod checkpoint;
mod disk;
mod error;
mod family;
mod filling;
mod fit;
mod manifest;
mod options;
mod space;
mod stores;
mod task;

pub use fit::{Difference, KeptStore, KeptTask, Lost, compare, drop_lost, inspect};
pub use options::RocksOptions;
pub use space::free_bytes;
pub use stores::RocksStores;
