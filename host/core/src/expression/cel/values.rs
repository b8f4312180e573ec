//! Parts of a row as values of the language.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ::cel::ExecutionError;
use ::cel::common::traits::{Container, Indexer, Iterable, Iterator, Sizer, Zeroer};
use ::cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, MAP_TYPE, Type,
};
use ::cel::common::value::{CowVal, StaticVal, Val};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::shape::Failure;
use crate::expression::{Datum, json};

type Boxed = Box<dyn Val + 'static>;

pub(super) fn bytes(bytes: &[u8]) -> Boxed {
    Box::new(CelBytes::from(bytes.to_vec()))
}

pub(super) fn string(bytes: &[u8]) -> Result<Boxed, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8 from byte {}", error.valid_up_to()))?;
    Ok(Box::new(CelString::from(text.to_owned())))
}

pub(super) fn json(bytes: &[u8]) -> Result<Boxed, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("is not JSON: not UTF-8 from byte {}", error.valid_up_to()))?;
    let mut json = serde_json::Deserializer::from_str(text);
    // serde_json words its errors without the text that they are about.
    Json.deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| format!("is not JSON: {error}"))
}

/// Of a header given twice the last counts, as for Kafka's `lastHeader`. A name that is not UTF-8 cannot be asked for.
pub(super) fn headers<'a>(headers: impl std::iter::Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Boxed {
    let fields = headers.filter_map(|(name, value)| {
        let value = match value {
            None => Box::new(CelNull),
            Some(value) => string(value).unwrap_or_else(|_| bytes(value)),
        };
        Some((std::str::from_utf8(name).ok()?.to_owned(), value))
    });
    Box::new(Object::new(fields.collect()))
}

/// Start and end in milliseconds since 1970 UTC.
pub(super) fn window(window: Option<(i64, i64)>) -> Boxed {
    let Some((start, end)) = window else { return Box::new(CelNull) };
    let fields: [(String, Boxed); 2] =
        [("start".to_owned(), Box::new(CelInt::from(start))), ("end".to_owned(), Box::new(CelInt::from(end)))];
    Box::new(Object::new(fields.into()))
}

/// What a value of the language is outside of it.
pub(super) fn datum(value: &dyn Val) -> Result<Datum, Failure> {
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Ok(Datum::Int(*number.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return Datum::from_f64(*number.inner()).ok_or(Failure::NoValue("the result is infinite or no number"));
    }
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(Datum::Text(text.inner().to_owned()));
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Datum::Null);
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Ok(Datum::Bool(*truth.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Ok(Datum::from_u64(*number.inner()));
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return Ok(Datum::Bytes(bytes.inner().to_vec()));
    }
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(Datum::Json(text))
}

/// The same as JSON text.
pub(super) fn write(value: &dyn Val, out: &mut String) -> Result<(), Failure> {
    if let Some(object) = value.downcast_ref::<Object>() {
        let fields = object.names.iter().map(CelString::inner).zip(&object.values);
        return json::object(out, fields, |value, out| write(value.as_ref(), out));
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return json::list(out, list.inner(), |value, out| write(value.as_ref(), out));
    }
    if !is_scalar(value) {
        return Err(Failure::NoValue("a type is no value"));
    }
    json::datum(&datum(value)?, out).ok_or(Failure::NoValue("bytes are not JSON: `string(…)` makes text of them"))
}

fn is_scalar(value: &dyn Val) -> bool {
    let name = value.get_type().name();
    ["int", "double", "string", "null_type", "bool", "uint", "bytes"].contains(&name)
}

/// A JSON object, in the order of its names. Only ever equal to another one.
#[derive(Clone, Debug)]
struct Object {
    names: Vec<CelString<'static>>,
    values: Vec<Boxed>,
}

impl Object {
    fn new(fields: BTreeMap<String, Boxed>) -> Self {
        let (names, values) = fields.into_iter().map(|(name, value)| (CelString::from(name), value)).unzip();
        Self { names, values }
    }

    /// The place of `name`; an error where it is not text.
    fn find(&self, name: &dyn Val) -> Result<Option<usize>, ExecutionError> {
        let Some(name) = name.downcast_ref::<CelString<'_>>() else {
            return Err(ExecutionError::UnexpectedType {
                got: name.get_type().name().to_owned(),
                want: "string".to_owned(),
            });
        };
        Ok(self.names.binary_search_by(|other| other.inner().cmp(name.inner())).ok())
    }
}

impl StaticVal for Object {}

impl Val for Object {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Object>().is_some_and(|other| {
            let same_names = self.names.iter().map(CelString::inner).cmp(other.names.iter().map(CelString::inner));
            same_names == Ordering::Equal && self.values.iter().zip(&other.values).all(|(a, b)| a.equals(b.as_ref()))
        })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Container for Object {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(name)?.is_some())
    }
}

impl Indexer for Object {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.find(name)? {
            Some(at) => Ok(CowVal::Borrowed(self.values[at].as_ref())),
            None => {
                let name = name.downcast_ref::<CelString<'_>>().map_or("", CelString::inner);
                Err(ExecutionError::NoSuchKey(Arc::new(name.to_owned())))
            }
        }
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

impl Iterable for Object {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Names(self.names.iter()))
    }
}

impl Sizer for Object {
    fn size(&self) -> CelInt {
        CelInt::from(self.names.len() as i64)
    }
}

impl Zeroer for Object {
    fn is_zero_value(&self) -> bool {
        self.names.is_empty()
    }
}

struct Names<'b>(std::slice::Iter<'b, CelString<'static>>);

impl<'b, 'v> Iterator<'b, 'v> for Names<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|name| name as &'b (dyn Val + 'v))
    }
}

/// Reads JSON straight into values. Not by way of `serde_json::Value`, which gives one field name a meaning of its own
/// (its feature `raw_value`).
#[derive(Clone, Copy)]
struct Json;

impl<'de> DeserializeSeed<'de> for Json {
    type Value = Boxed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Boxed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Boxed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Boxed, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Boxed, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Boxed, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Boxed, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Boxed, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Boxed, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Boxed, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Json)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Boxed, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(name) = fields.next_key::<String>()? {
            object.insert(name, fields.next_value_seed(Json)?);
        }
        Ok(Box::new(Object::new(object)))
    }
}
