use std::cell::RefCell;
use std::rc::Rc;

use thiserror::Error;

use super::{Entries, KeyRange, StoreError};

/// The stores and timers of one node, for its plugin in the middle of a call.
///
/// Keys are encoded by [`crate::state::keys`], so that one set of functions serves every kind of store. Reads see the writes
/// before them; all of it is taken back when the call traps, the step is undone or the transaction aborted.
pub trait StateAccess {
    /// The value of `key`; expired ones are not there.
    ///
    /// # Errors
    /// [`AccessError`].
    fn get(&mut self, store: StoreHandle, key: &[u8]) -> Result<Option<Vec<u8>>, AccessError>;

    /// The value of each of `keys`, in their order.
    ///
    /// # Errors
    /// [`AccessError`].
    fn get_many(&mut self, store: StoreHandle, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, AccessError>;

    /// Sets the value of `key`; none deletes it.
    ///
    /// # Errors
    /// [`AccessError`]: a table is read only.
    fn put(&mut self, store: StoreHandle, key: &[u8], value: Option<&[u8]>) -> Result<(), AccessError>;

    /// At most `limit` entries of `range`, ascending by key, or descending where `backward`.
    ///
    /// # Errors
    /// [`AccessError`].
    fn range(
        &mut self,
        store: StoreHandle,
        range: &KeyRange,
        limit: usize,
        backward: bool,
    ) -> Result<Entries, AccessError>;

    /// A point of this call to go back to with [`StateAccess::undo`].
    fn mark(&mut self) -> u32;

    /// Takes back every write and timer of this call since `mark`.
    ///
    /// # Errors
    /// [`AccessError::Misuse`]: no such mark.
    fn undo(&mut self, mark: u32) -> Result<(), AccessError>;

    /// Sets timer `name` of this node to stream time `at`, in milliseconds since 1970 UTC, for the sake of row `row`; a
    /// timer of that name is moved.
    ///
    /// # Errors
    /// [`AccessError`]: the node has no timers.
    fn schedule(&mut self, row: u32, name: &[u8], at: i64) -> Result<(), AccessError>;

    /// The same by the host's clock, `delay_ms` from now; so not repeatable.
    ///
    /// # Errors
    /// [`AccessError`]: the node has no timers.
    fn schedule_after(&mut self, row: u32, name: &[u8], delay_ms: u64) -> Result<(), AccessError>;

    /// Removes timer `name`; nothing happens where there is none.
    ///
    /// # Errors
    /// [`AccessError`]: the node has no timers.
    fn cancel(&mut self, name: &[u8]) -> Result<(), AccessError>;
}

/// Access that a plugin's host keeps for the length of a call.
pub type StateCell = Rc<RefCell<dyn StateAccess>>;

/// A store of a node: the index in its [`PluginRef::stores`](crate::topology::PluginRef).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreHandle(pub u32);

/// Why an access was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The plugin's fault: the call traps with this message.
    #[error("{0}")]
    Misuse(String),
    /// The store's: the task stops, whatever the node's policy.
    #[error(transparent)]
    Store(#[from] StoreError),
}
