use std::process::ExitCode;

/// How a command ends; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something went wrong that is none of the below.
    Failed = 1,
    /// The command line was not understood (clap exits with the same number).
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// Somebody else was there first.
    Conflict = 4,
    /// The host or the broker does not answer.
    Unreachable = 5,
    /// The input is wrong.
    Invalid = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
