//! Records in and out of topics for people, through the client of any log: a host's, or the shell's own.

mod append;
pub mod compare;
mod tail;
pub mod whole;

pub use append::{Appended, Appender, Lines};
pub use tail::{Begin, Tail, TailArgs};
