mod basic;
mod crash;
mod engine;
mod golden;
mod model;
mod retention;
