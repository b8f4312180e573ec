//! All that a guest can reach, a file per interface of the contract. Every function charges its call first.

mod config;
mod context;
mod logging;
mod manifest;
mod metrics;
mod state;
mod timers;
