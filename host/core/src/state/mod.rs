//! State: how stores write their keys, what a task holds of its stores between commits, and a store in memory.
//!
//! A write goes to the [`buffer`](buffer), is read back from there, leaves for the changelog when the transaction is about to
//! commit, and reaches the store ([`StateStore::apply`](crate::ports::StateStore)) once it has. Like reading, applying is a
//! call and not an effect, since the next row may read the store before an effect would be done.

mod access;
mod buffer;
pub mod keys;
mod memory;
mod query;
mod recent;
mod replay_from;
mod task_state;
pub(crate) mod ttl;
mod view;

pub(crate) use access::{NodeAccess, TIMER_STREAM, TIMER_WALL};
pub use memory::{MemoryStore, MemoryStores};
pub use query::{Selected, Selection};
pub use replay_from::ReplayFrom;
pub(crate) use task_state::{RestoreError, Restoring, TaskState};
pub use view::{StoreEntry, StoreRow, StoreView};
