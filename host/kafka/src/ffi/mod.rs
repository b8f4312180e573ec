//! All unsafe code of this crate: what librdkafka can do and rust-rdkafka does not offer, each call behind a safe function.
//!
//! Pointers never leave this folder; every native object is owned by a type whose `Drop` gives it back.
#![allow(unsafe_code)]

mod produce;
mod question;
mod rows;
mod transaction;

pub(crate) use produce::{NewRow, TopicHandle, drain, produce, queued_events};
pub(crate) use question::{AskedOffsets, OffsetAnswer, describe_topics};
pub(crate) use rows::{BATCH_ROWS_MAX, Fetched, RowQueue};
pub(crate) use transaction::{GroupMetadata, TransactionError, send_offsets};

use std::ffi::{CStr, c_char};

/// A C string, or nothing where there is none.
fn text(of: *const c_char) -> String {
    if of.is_null() {
        return String::new();
    }
    // SAFETY: callers hand over C strings of objects that are alive.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}
