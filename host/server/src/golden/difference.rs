//! Where two results differ, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use weir_core::state::StoreEntry;
use weir_testing::TestRecord;

use super::files::{Expected, entry_line, record_line};
use super::play::Outcome;
use crate::line;

/// Differences of a case that are shown; one bug often makes many.
const SHOWN_MAX: usize = 20;

/// Parts of a value that are shown where they differ.
const PARTS_MAX: usize = 8;

/// What differs between what is expected and what came.
#[derive(Debug, Default)]
pub struct Differences {
    list: Vec<String>,
    more: usize,
}

impl Differences {
    fn add(&mut self, difference: String) {
        if self.list.len() < SHOWN_MAX { self.list.push(difference) } else { self.more += 1 }
    }

    /// A line each; none: there are none.
    #[must_use]
    pub fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.list.push(format!("and {} more", self.more));
        }
        self.list
    }

    /// Holds the rows of each topic against those expected.
    pub fn topics(&mut self, expect: &BTreeMap<String, Vec<Expected>>, outcome: &Outcome) {
        for topic in expect.keys().filter(|topic| !outcome.topics.iter().any(|(name, _)| name == *topic)) {
            self.add(format!("{topic}: rows are expected, but the topology does not write this topic"));
        }
        for (topic, came) in &outcome.topics {
            let expected = expect.get(topic).map_or(&[][..], Vec::as_slice);
            for (index, expected) in expected.iter().enumerate() {
                let at = format!("{topic}, row {}", index + 1);
                match came.get(index) {
                    Some(came) => self.record(&at, expected, came),
                    None => self.add(format!("{at}: missing: {}", record_line(topic, &expected.record).trim_end())),
                }
            }
            for (index, came) in came.iter().enumerate().skip(expected.len()) {
                self.add(format!("{topic}, row {}: not expected: {}", index + 1, record_line(topic, came).trim_end()));
            }
        }
    }

    fn record(&mut self, at: &str, expected: &Expected, came: &TestRecord) {
        let Expected { record, is_timed } = expected;
        self.cell(&format!("{at}: key"), record.key.as_deref(), came.key.as_deref());
        self.cell(&format!("{at}: value"), record.value.as_deref(), came.value.as_deref());
        if *is_timed && record.timestamp != came.timestamp {
            self.add(format!("{at}: ts: expected {}, came {}", record.timestamp, came.timestamp));
        }
        if record.headers != came.headers {
            let text = |record: &TestRecord| {
                let only = TestRecord { headers: record.headers.clone(), ..TestRecord::new("", "", 0) };
                let line: Value = serde_json::from_str(&record_line("", &only)).unwrap_or_default();
                line["headers"].to_string()
            };
            self.add(format!("{at}: headers: expected {}, came {}", text(record), text(came)));
        }
    }

    /// Holds the entries of each store against those expected.
    pub fn stores(&mut self, expect: &BTreeMap<String, Vec<StoreEntry>>, outcome: &Outcome) {
        for store in expect.keys().filter(|store| !outcome.stores.iter().any(|(name, _)| name == *store)) {
            self.add(format!("{store}: entries are expected, but the topology has no such store"));
        }
        for (store, came) in &outcome.stores {
            let expected = expect.get(store).map_or(&[][..], Vec::as_slice);
            let place = |entry: &StoreEntry| (entry.key.clone(), entry.window);
            let expected: BTreeMap<_, _> = expected.iter().map(|entry| (place(entry), entry)).collect();
            let came: BTreeMap<_, _> = came.iter().map(|entry| (place(entry), entry)).collect();
            let places: BTreeSet<_> = expected.keys().chain(came.keys()).collect();
            for place in places {
                match (expected.get(place), came.get(place)) {
                    (Some(expected), Some(came)) => {
                        let window =
                            place.1.map_or_else(String::new, |(start, end)| format!(", window {start}..{end}"));
                        let at = format!("{store}, key {}{window}: value", line::shown(Some(&place.0)));
                        self.cell(&at, expected.value.as_deref(), came.value.as_deref());
                    }
                    (Some(entry), None) => {
                        self.add(format!("{store}: missing: {}", entry_line(store, entry).trim_end()))
                    }
                    (None, Some(entry)) => {
                        self.add(format!("{store}: not expected: {}", entry_line(store, entry).trim_end()));
                    }
                    (None, None) => {}
                }
            }
        }
    }

    fn cell(&mut self, at: &str, expected: Option<&[u8]>, came: Option<&[u8]>) {
        if expected == came {
            return;
        }
        let json = |bytes: Option<&[u8]>| serde_json::from_slice::<Value>(bytes?).ok();
        if let (Some(expected), Some(came)) = (json(expected), json(came)) {
            // Spaces and the order of fields are nobody's result.
            if expected == came {
                return;
            }
            if expected.is_object() || expected.is_array() {
                let mut parts = Vec::new();
                compare("", &expected, &came, &mut parts);
                for part in parts {
                    self.add(format!("{at}{part}"));
                }
                return;
            }
        }
        let text = |bytes: Option<&[u8]>| line::shown(bytes).to_string();
        self.add(format!("{at}: expected {}, came {}", text(expected), text(came)));
    }
}

fn compare(pointer: &str, expected: &Value, came: &Value, parts: &mut Vec<String>) {
    if expected == came || parts.len() >= PARTS_MAX {
        return;
    }
    match (expected, came) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => compare(&pointer, left, right, parts),
                    (Some(left), None) => parts.push(format!(" {pointer}: expected {left}, is missing")),
                    (None, Some(right)) => parts.push(format!(" {pointer}: not expected: {right}")),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{pointer}/{index}"), left, right, parts);
            }
        }
        _ => parts.push(format!(" {pointer}: expected {expected}, came {came}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(expected: &str, came: &str) -> Vec<String> {
        let mut differences = Differences::default();
        differences.cell("value", Some(expected.as_bytes()), Some(came.as_bytes()));
        differences.finish()
    }

    #[test]
    fn a_difference_is_shown_at_its_field() {
        assert_eq!(cell(r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#), ["value /a/b: expected 1, came 2"]);
        assert_eq!(
            cell(r#"{"a":1}"#, r#"{"b/c":1}"#),
            ["value /a: expected 1, is missing", "value /b~1c: not expected: 1"]
        );
        assert_eq!(cell("[1,2]", "[1,3]"), ["value /1: expected 2, came 3"]);
        assert_eq!(cell("[1]", "[1,3]"), ["value : expected [1], came [1,3]"]);
        assert_eq!(cell("abc", "abd"), ["value: expected \"abc\", came \"abd\""]);
    }

    #[test]
    fn spaces_and_the_order_of_fields_are_no_difference() {
        assert!(cell(r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#).is_empty());
    }
}
