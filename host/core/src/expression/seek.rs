//! One value out of a JSON text: a pass, and no tree.
//!
//! Skipped fields are read as strictly as kept ones: what is not JSON must not pass here and fail there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What is asked of the value at the end of a path; `None`: the general way has to tell.
pub(super) trait Question: Copy {
    type Answer;
    fn null(self) -> Option<Self::Answer>;
    fn bool(self, found: bool) -> Option<Self::Answer>;
    fn int(self, found: i64) -> Option<Self::Answer>;
    /// `found` is beyond the greatest int: smaller ones come as ints, so that `10` is one number.
    fn uint(self, found: u64) -> Option<Self::Answer>;
    fn double(self, found: f64) -> Option<Self::Answer>;
    fn string(self, found: &str) -> Option<Self::Answer>;
    /// It is a list or an object.
    fn tree(self) -> Option<Self::Answer>;
}

/// The answer for what stands at `path` in the JSON text `json`, which is read to its end.
///
/// `None`: not JSON, nothing at that path, or the question has no answer.
pub(super) fn seek<Q: Question>(json: &[u8], path: &[String], question: Q) -> Option<Q::Answer> {
    let text = std::str::from_utf8(json).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let answer = Seek { path, question }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    answer
}

#[derive(Clone, Copy)]
struct Seek<'a, Q> {
    path: &'a [String],
    question: Q,
}

impl<Q: Question> Seek<'_, Q> {
    fn scalar<E>(&self, answer: impl FnOnce(Q) -> Option<Q::Answer>) -> Result<Option<Q::Answer>, E> {
        Ok(if self.path.is_empty() { answer(self.question) } else { None })
    }
}

impl<'de, Q: Question> DeserializeSeed<'de> for Seek<'_, Q> {
    type Value = Option<Q::Answer>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, Q: Question> Visitor<'de> for Seek<'_, Q> {
    type Value = Option<Q::Answer>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.scalar(Q::null)
    }

    fn visit_bool<E: Error>(self, field: bool) -> Result<Self::Value, E> {
        self.scalar(|question| question.bool(field))
    }

    fn visit_i64<E: Error>(self, field: i64) -> Result<Self::Value, E> {
        self.scalar(|question| question.int(field))
    }

    fn visit_u64<E: Error>(self, field: u64) -> Result<Self::Value, E> {
        self.scalar(|question| match i64::try_from(field) {
            Ok(field) => question.int(field),
            Err(_) => question.uint(field),
        })
    }

    fn visit_f64<E: Error>(self, field: f64) -> Result<Self::Value, E> {
        self.scalar(|question| question.double(field))
    }

    fn visit_str<E: Error>(self, field: &str) -> Result<Self::Value, E> {
        self.scalar(|question| question.string(field))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element_seed(Skip)?.is_some() {}
        self.scalar(Q::tree)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Some((name, path)) = self.path.split_first() else {
            while fields.next_key_seed(Skip)?.is_some() {
                fields.next_value_seed(Skip)?;
            }
            return self.scalar(Q::tree);
        };
        // Of a field given twice the last counts, so an answer may be taken back.
        let mut answer = None;
        while let Some(found) = fields.next_key_seed(IsName(name))? {
            if found {
                answer = fields.next_value_seed(Seek { path, ..self })?;
            } else {
                fields.next_value_seed(Skip)?;
            }
        }
        Ok(answer)
    }
}

/// Whether a field's name is this one.
struct IsName<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// Reads a value and forgets it. Not serde's `IgnoredAny`: with that, serde_json accepts numbers, escapes and depths that
/// it refuses in a value that is kept.
struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Skip)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key_seed(Skip)?.is_some() {
            fields.next_value_seed(Skip)?;
        }
        Ok(())
    }
}
