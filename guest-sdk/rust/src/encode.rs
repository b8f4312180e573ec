use serde::Serialize;

use crate::{Bytes, Json, Reject, Str};

/// A type that can be written as a record's value or key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written as a record's value or key",
    note = "write Json(value) of what is Serialize, Bytes(..), Str(..), text or bytes, a number, Null, or an Option of one"
)]
pub trait Encode {
    /// Appends its bytes; `false`: it is null, and has appended none.
    ///
    /// # Errors
    /// A [`Reject`] with the code `weir.encode` where there are no bytes for it, as for a JSON object whose keys are not text.
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject>;
}

/// Null: as a value a tombstone, as a key a record without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Null;

impl Encode for Null {
    fn encode(&self, _: &mut Vec<u8>) -> Result<bool, Reject> {
        Ok(false)
    }
}

impl<T: Serialize> Encode for Json<T> {
    #[inline]
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
        match serde_json::to_writer(into, &self.0) {
            Ok(()) => Ok(true),
            Err(error) => Err(Reject::new("weir.encode", format!("what the plugin emits is no JSON: {error}"))),
        }
    }
}

macro_rules! bytes_as_they_are {
    ($($type:ty),+) => { $(impl Encode for $type {
        fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
            let bytes: &[u8] = self.as_ref();
            into.extend_from_slice(bytes);
            Ok(true)
        }
    })+ };
}
bytes_as_they_are!(str, String, [u8], Vec<u8>);

impl Encode for Bytes<'_> {
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
        self.0.encode(into)
    }
}

impl Encode for Str<'_> {
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
        self.0.encode(into)
    }
}

macro_rules! numbers {
    ($($type:ty),+) => { $(impl Encode for $type {
        fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
            into.extend_from_slice(&self.to_be_bytes());
            Ok(true)
        }
    })+ };
}
// As Kafka's serializers write them.
numbers!(i32, i64, f64);

impl<E: Encode + ?Sized> Encode for &E {
    #[inline]
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
        (**self).encode(into)
    }
}

impl<E: Encode> Encode for Option<E> {
    fn encode(&self, into: &mut Vec<u8>) -> Result<bool, Reject> {
        self.as_ref().map_or(Ok(false), |present| present.encode(into))
    }
}
