mod basic;
mod crash;
mod golden;
mod model;
mod retention;
