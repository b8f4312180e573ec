//! State: how stores write their keys, the buffer that holds a transaction's writes until it has committed, and a store in
//! memory.

pub mod keys;
mod memory;

pub use memory::{MemoryStore, MemoryStores};
