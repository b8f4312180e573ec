//! Cases from a seed, a generator for each family of operations: rows that meet often, and times that lie where something
//! begins, ends, closes or expires.

mod joins;
mod rows;
mod tables;
mod windows;

pub use joins::joins;
pub use tables::tables;
pub use windows::generate as aggregates;
