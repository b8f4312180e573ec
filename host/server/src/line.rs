//! Records as lines of JSON: `{key, value, ts, headers}` in, the same with `{topic, partition, offset}` out.
//!
//! A JSON string stands for its very bytes, any other JSON for its text, `{"base64": ".."}` for bytes that are not text and
//! null for null. What [`encode`] writes, [`decode`] reads back to the same bytes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use weir_core::record::{RecordBatch, TopicPartition};

use crate::units;

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// None: without a key.
    pub key: Option<Vec<u8>>,
    /// None: a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// Name and value, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// Appends it to `batch`; the offset is nobody's yet.
    pub fn push_to(&self, batch: &mut RecordBatch) {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())).collect();
        batch.push(0, self.timestamp, self.key.as_deref(), self.value.as_deref(), &headers);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    ts: Option<Value>,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    // What `weir tail` writes beside: where the record stood, not where it goes.
    #[serde(default, rename = "topic")]
    _topic: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default)]
    offset: Option<i64>,
}

/// The record of a line; without `ts` it is of `now_ms`.
///
/// # Errors
/// What is wrong with the line, for people.
pub fn decode(line: &str, now_ms: i64) -> Result<Record, String> {
    record_of(read(line)?, now_ms)
}

/// Partition, offset and record of a line that [`encode`] wrote.
///
/// # Errors
/// What is wrong with the line, for people.
pub fn decode_with_place(line: &str) -> Result<(i32, i64, Record), String> {
    let line = read(line)?;
    let (Some(partition), Some(offset)) = (line.partition, line.offset) else {
        return Err("a line has no `partition` or no `offset`".to_owned());
    };
    Ok((partition, offset, record_of(line, 0)?))
}

fn read(line: &str) -> Result<LineIn<'_>, String> {
    serde_json::from_str(line).map_err(|error| {
        format!(
            "{error}; a line is an object such as {{\"key\": \"k\", \"value\": {{\"a\": 1}}, \"ts\": 1700000000000}}"
        )
    })
}

fn record_of(line: LineIn<'_>, now_ms: i64) -> Result<Record, String> {
    let cell = |name: &str, raw: Option<&RawValue>| -> Result<Option<Vec<u8>>, String> {
        raw.map_or(Ok(None), |raw| decode_raw(raw).map_err(|error| format!("`{name}`: {error}")))
    };
    let timestamp = match &line.ts {
        None | Some(Value::Null) => now_ms,
        Some(Value::String(text)) => units::time_ms(text)?,
        Some(other) => other.as_i64().ok_or_else(|| {
            format!("`ts` is {other}: write milliseconds since 1970 or a time such as 2026-01-31T12:00:00Z")
        })?,
    };
    let mut headers = Vec::new();
    for (name, value) in line.headers.unwrap_or_default() {
        match value {
            // A name that comes several times.
            Value::Array(values) => {
                for value in &values {
                    headers.push((name.clone(), decode_value(value)?));
                }
            }
            value => headers.push((name, decode_value(&value)?)),
        }
    }
    Ok(Record { key: cell("key", line.key)?, value: cell("value", line.value)?, timestamp, headers })
}

/// The text is kept as it was written: numbers keep their digits, objects their order and spaces.
fn decode_raw(raw: &RawValue) -> Result<Option<Vec<u8>>, String> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text: Cow<'_, str> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(Some(text.into_owned().into_bytes()))
        }
        Some(b'{') if text.contains("base64") => {
            let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            if wrapped(&value).is_some() { decode_value(&value) } else { Ok(Some(text.as_bytes().to_vec())) }
        }
        _ => Ok(Some(text.as_bytes().to_vec())),
    }
}

fn decode_value(value: &Value) -> Result<Option<Vec<u8>>, String> {
    if let Some(text) = wrapped(value) {
        return BASE64.decode(text).map(Some).map_err(|error| format!("`base64`: {error}"));
    }
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    })
}

/// The text of `{"base64": ".."}`.
fn wrapped(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get("base64")?.as_str()
}

#[derive(Serialize)]
struct LineOut<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    ts: i64,
    key: Cell<'a>,
    value: Cell<'a>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell<'a> {
    Json(&'a RawValue),
    Value(Value),
}

/// Row `row` of `batch` as a line, with its end.
#[must_use]
pub fn encode(at: &TopicPartition, batch: &RecordBatch, row: usize) -> String {
    let mut headers = Map::new();
    if let Some(all) = &batch.headers {
        for (name, value) in all.row(row) {
            let name = String::from_utf8_lossy(name).into_owned();
            let value = encode_text(value);
            match headers.get_mut(&name) {
                None => drop(headers.insert(name, value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
    }
    let line = LineOut {
        topic: at.topic.as_str(),
        partition: at.partition,
        offset: batch.offsets[row],
        ts: batch.timestamps[row],
        key: encode_cell(batch.keys.get(row)),
        value: encode_cell(batch.values.get(row)),
        headers,
    };
    // Serializing strings, numbers and text that has just been parsed as JSON cannot fail.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// Bytes as the `key` and `value` of a line have them.
#[must_use]
pub fn shown(bytes: Option<&[u8]>) -> Box<RawValue> {
    serde_json::value::to_raw_value(&encode_cell(bytes)).unwrap_or_default()
}

fn encode_cell(bytes: Option<&[u8]>) -> Cell<'_> {
    let Some(text) = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return Cell::Value(encode_text(bytes));
    };
    // JSON as JSON, but what would read back as something else (a string, null, `{"base64": ..}`) as a string, and so
    // what would break the line or lose its outer spaces.
    let plain =
        !text.starts_with(['"', 'n', ' ', '\t']) && !text.ends_with([' ', '\t']) && !text.contains(['\n', '\r']);
    if plain
        && let Ok(raw) = serde_json::from_str::<&RawValue>(text)
        && !(text.contains("base64") && serde_json::from_str(text).is_ok_and(|value: Value| wrapped(&value).is_some()))
    {
        return Cell::Json(raw);
    }
    Cell::Value(Value::String(text.to_owned()))
}

fn encode_text(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => Value::String(text.to_owned()),
        Some((bytes, Err(_))) => {
            let mut object = Map::new();
            object.insert("base64".to_owned(), Value::String(BASE64.encode(bytes)));
            Value::Object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(record: &Record) -> String {
        let mut batch = RecordBatch::default();
        record.push_to(&mut batch);
        let line = encode(&TopicPartition::new("orders", 1), &batch, 0);
        assert_eq!(&decode(&line, 0).unwrap(), record, "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        line
    }

    #[test]
    fn any_bytes_come_back_as_they_were() {
        let cells: [&[u8]; 18] = [
            b"",
            b"plain",
            b"\"quoted\"",
            b"null",
            b"nul",
            b"{\"a\": 1.50}",
            b"1e400",
            b"[1,\n2]",
            b" 1",
            b"1 ",
            b"{\"base64\":\"AA==\"}",
            b"{\"base64\":1}",
            b"\xff\x00",
            b"true",
            b"0123",
            b"{\"a\":1,\"base64\":\"\"}",
            "d\u{e9}j\u{e0}".as_bytes(),
            b"\r\n",
        ];
        for cell in cells {
            let value = Some(cell.to_vec());
            there_and_back(&Record { key: value.clone(), value: value.clone(), timestamp: 7, headers: vec![] });
            there_and_back(&Record { headers: vec![("h".into(), value)], ..Record::default() });
        }
    }

    #[test]
    fn nulls_and_repeated_headers_come_back() {
        let headers = vec![("a".into(), Some(b"1".to_vec())), ("a".into(), None), ("a".into(), Some(b"\xff".to_vec()))];
        let line = there_and_back(&Record { headers, ..Record::default() });
        assert!(line.contains(r#""key":null,"value":null,"headers":{"a":["1",null,{"base64":"/w=="}]}"#), "{line}");
    }

    #[test]
    fn a_json_value_is_shown_as_json_with_its_place() {
        let line = there_and_back(&Record { value: Some(b"{\"a\":1}".to_vec()), timestamp: 5, ..Record::default() });
        assert_eq!(
            line,
            "{\"topic\":\"orders\",\"partition\":1,\"offset\":0,\"ts\":5,\"key\":null,\"value\":{\"a\":1}}\n"
        );
    }

    #[test]
    fn a_line_without_a_time_is_of_now_and_one_with_a_written_time_of_that() {
        assert_eq!(decode("{}", 42).unwrap().timestamp, 42);
        assert_eq!(decode(r#"{"ts":"1970-01-01T00:00:01Z"}"#, 42).unwrap().timestamp, 1000);
        assert!(decode(r#"{"ts":1.5}"#, 42).unwrap_err().contains("milliseconds since 1970"));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        assert!(decode("{\"kye\":1}", 0).unwrap_err().contains("unknown field `kye`"));
        assert!(decode("not json", 0).unwrap_err().contains("a line is an object"));
        assert!(decode(r#"{"value":{"base64":"*"}}"#, 0).unwrap_err().contains("`value`: `base64`"));
    }
}
