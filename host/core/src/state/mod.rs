//! State: how stores write their keys, and the buffer that holds a transaction's writes until it has committed.

pub mod keys;
