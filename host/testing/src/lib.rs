//! What Weir is tested with: the contract of the ports, and (soon beside it) the simulation of a whole application.
//!
//! Start at [`contract`], what every transport promises.

pub mod contract;
