//! What stores keep as what bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Bytes, Decode, Encode, Format, Json, Part, Reject, Str};

/// A type that a store's keys or values are of. Numbers are written as Kafka's serializers write them: big-endian, so keys
/// of negative numbers come after those of positive ones in a range.
#[diagnostic::on_unimplemented(
    message = "a store cannot keep `{Self}`",
    note = "write Str, Bytes, i32, i64, f64, or Json<T> with a T that is Serialize and DeserializeOwned"
)]
pub trait Stored: Format {
    /// What is given to be written: `str` of [`Str`].
    type Given: ?Sized;
    /// What is read: `String` of [`Str`].
    type Kept;

    /// Appends the bytes of `given`.
    ///
    /// # Errors
    /// A [`Reject`] with the code `weir.encode` where there are none.
    fn write(given: &Self::Given, into: &mut Vec<u8>) -> Result<(), Reject>;

    /// Reads what [`Stored::write`] has written.
    ///
    /// # Errors
    /// A [`Reject`] with the code `weir.state` where `bytes` are of another type: the store was written by another plugin.
    fn read(bytes: &[u8]) -> Result<Self::Kept, Reject>;
}

impl Stored for Str<'_> {
    type Given = str;
    type Kept = String;

    fn write(given: &str, into: &mut Vec<u8>) -> Result<(), Reject> {
        given.encode(into).map(drop)
    }

    fn read(bytes: &[u8]) -> Result<String, Reject> {
        kept(bytes)
    }
}

impl Stored for Bytes<'_> {
    type Given = [u8];
    type Kept = Vec<u8>;

    fn write(given: &[u8], into: &mut Vec<u8>) -> Result<(), Reject> {
        given.encode(into).map(drop)
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, Reject> {
        kept(bytes)
    }
}

impl<T: Serialize + DeserializeOwned> Stored for Json<T> {
    type Given = T;
    type Kept = T;

    fn write(given: &T, into: &mut Vec<u8>) -> Result<(), Reject> {
        Json(given).encode(into).map(drop)
    }

    fn read(bytes: &[u8]) -> Result<T, Reject> {
        kept::<Self>(bytes).map(|json| json.0)
    }
}

macro_rules! numbers {
    ($($type:ty),+) => { $(impl Stored for $type {
        type Given = Self;
        type Kept = Self;

        fn write(given: &Self, into: &mut Vec<u8>) -> Result<(), Reject> {
            given.encode(into).map(drop)
        }

        fn read(bytes: &[u8]) -> Result<Self, Reject> {
            kept(bytes)
        }
    })+ };
}
numbers!(i32, i64, f64);

fn kept<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<T, Reject> {
    T::decode(Some(bytes), Part::Value).map_err(|reject| {
        let message = format!("a store holds what this plugin did not write: {}", reject.message());
        Reject::new("weir.state", message)
    })
}
