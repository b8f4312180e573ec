//! A record's cells as the argument types that a plugin asks for.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::Reject;

/// Which cell of a record is decoded: for the message of what fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record's key.
    Key,
    /// The record's value.
    Value,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Key { "key" } else { "value" })
    }
}

/// A type that a cell of a record can be read as. It may borrow from the record.
#[diagnostic::on_unimplemented(
    message = "a record's value or key cannot be read as `{Self}`",
    note = "write Json<T> with a T that is Deserialize, Bytes, Str, String, Vec<u8>, i32, i64, f64, or an Option of one where null is welcome"
)]
pub trait Decode<'a>: Sized {
    /// Reads `cell`; `None` is null.
    ///
    /// # Errors
    /// A [`Reject`] with the code `weir.decode` where the cell is not of this type.
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject>;
}

/// How a type's bytes are called in a manifest: `bytes`, `string`, `json`, `i32`, `i64`, `f64`.
pub trait Format {
    /// The name; open, "" is any.
    const FORMAT: &'static str;
}

/// A JSON document. In an argument it is parsed, in [`crate::Out::emit`] written.
///
/// `T` may borrow from the record: with [`Text`] for strings, nothing is copied that needs no unescaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Bytes as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

/// UTF-8 text as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a>(pub &'a str);

/// The record's key, read as `K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<K>(pub K);

/// The record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds since 1970 UTC.
    pub millis: i64,
}

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl Deref for Str<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.0
    }
}

impl<K> Deref for Key<K> {
    type Target = K;
    fn deref(&self) -> &K {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl AsRef<[u8]> for Str<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<K: AsRef<[u8]>> AsRef<[u8]> for Key<K> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl<'a, T: Deserialize<'a>> Decode<'a> for Json<T> {
    #[inline]
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        // One check of the whole is cheaper than one per string of it.
        let text = <&str>::decode(cell, part)?;
        serde_json::from_str(text).map(Json).map_err(|error| unfit(part, &error))
    }
}

impl<'a> Decode<'a> for &'a [u8] {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        cell.ok_or_else(|| null(part))
    }
}

impl<'a> Decode<'a> for &'a str {
    #[inline]
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        std::str::from_utf8(cell.ok_or_else(|| null(part))?).map_err(|error| unfit(part, &error))
    }
}

impl<'a> Decode<'a> for Bytes<'a> {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        Decode::decode(cell, part).map(Bytes)
    }
}

impl<'a> Decode<'a> for Str<'a> {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        Decode::decode(cell, part).map(Str)
    }
}

impl<'a> Decode<'a> for Vec<u8> {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        <&[u8]>::decode(cell, part).map(<[u8]>::to_vec)
    }
}

impl<'a> Decode<'a> for String {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        <&str>::decode(cell, part).map(str::to_owned)
    }
}

macro_rules! numbers {
    ($($type:ty: $name:literal),+) => { $(
        impl<'a> Decode<'a> for $type {
            fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
                let bytes = cell.ok_or_else(|| null(part))?;
                let wanted = || format!("{} bytes, {} are due", bytes.len(), size_of::<$type>());
                Ok(Self::from_be_bytes(bytes.try_into().map_err(|_| unfit(part, &wanted()))?))
            }
        }

        impl Format for $type {
            const FORMAT: &'static str = $name;
        }
    )+ };
}
// As Kafka's serializers write them: big-endian.
numbers!(i32: "i32", i64: "i64", f64: "f64");

impl<'a, D: Decode<'a>> Decode<'a> for Option<D> {
    fn decode(cell: Option<&'a [u8]>, part: Part) -> Result<Self, Reject> {
        cell.map(|bytes| D::decode(Some(bytes), part)).transpose()
    }
}

macro_rules! formats {
    ($($name:literal: $($type:ty),+;)+) => { $($(impl Format for $type { const FORMAT: &'static str = $name; })+)+ };
}
formats! { "bytes": Bytes<'_>, Vec<u8>, &[u8]; "string": Str<'_>, String, &str; }

impl<T> Format for Json<T> {
    const FORMAT: &'static str = "json";
}

impl<F: Format> Format for Option<F> {
    const FORMAT: &'static str = F::FORMAT;
}

#[cold]
fn null(part: Part) -> Reject {
    Reject::new("weir.decode", format!("the {part} is null; an Option<..> in the plugin would accept that"))
}

#[cold]
fn unfit(part: Part, error: &dyn fmt::Display) -> Reject {
    Reject::new("weir.decode", format!("the {part} is not what the plugin reads: {error}"))
}

/// A string in a JSON document, borrowed from the record where it needs no unescaping. Say `#[serde(borrow)]` at the field.
///
/// A plain `&str` would refuse a document whose string holds an escape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Borrowing).map(Text)
    }
}
