mod basic;
mod crash;
mod model;
