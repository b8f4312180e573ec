//! Two topics held against each other: what each key has on either side, as hashes, so that it fits into memory.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Memory for each key that is seen, about: its hash, and for either side a hash, a count and coordinates.
pub const KEY_BYTES: usize = 200;

/// The first 16 bytes of a SHA-256: two texts that have the same are the same.
type Hash = [u8; 16];

/// Whole numbers up to here are themselves as floating ones.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The last value of each key; a null value is no value.
    Key,
    /// All values of each key, in their order.
    Sequence,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// What one side has for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Of the last value, or of all one after the other; none: a null value was the last.
    hash: Option<Hash>,
    /// Records of it.
    pub count: u64,
    /// The last one.
    pub at: At,
}

/// A key that has not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differing {
    key: Hash,
    /// What either side has; none: nothing, or nothing any more.
    pub sides: [Option<Seen>; 2],
}

/// Records without a key, in no order: they go to the partitions in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Keyless {
    count: u64,
    sum: u128,
}

/// Both sides as far as they were read.
#[derive(Debug)]
pub struct Comparison {
    by: By,
    keys_max: usize,
    keys: HashMap<Hash, [Option<Seen>; 2]>,
    keyless: [Keyless; 2],
}

/// There are more keys than may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyKeys;

impl Comparison {
    /// Of at most so many keys.
    #[must_use]
    pub fn new(by: By, keys_max: usize) -> Self {
        Self { by, keys_max, keys: HashMap::new(), keyless: [Keyless::default(); 2] }
    }

    /// Takes a record of side 0 or 1 in, those of a partition in their order.
    ///
    /// # Errors
    /// [`TooManyKeys`].
    pub fn take(&mut self, side: usize, at: At, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TooManyKeys> {
        let value = value.map(hash_value);
        let Some(key) = key else {
            let keyless = &mut self.keyless[side];
            keyless.count += 1;
            keyless.sum = keyless.sum.wrapping_add(u128::from_be_bytes(value.unwrap_or_default()));
            return Ok(());
        };
        let key = hash(&[key]);
        if self.keys.len() >= self.keys_max && !self.keys.contains_key(&key) {
            return Err(TooManyKeys);
        }
        let seen = &mut self.keys.entry(key).or_default()[side];
        let before = seen.map_or((None, 0), |seen| (seen.hash, seen.count));
        let hash = match self.by {
            By::Key => value,
            By::Sequence => {
                let marker: &[u8] = if value.is_some() { b"v" } else { b"n" };
                Some(hash(&[&before.0.unwrap_or_default(), marker, &value.unwrap_or_default()]))
            }
        };
        *seen = Some(Seen { hash, count: before.1 + 1, at });
        Ok(())
    }

    /// How many keys there are on either side.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many records without a key each side has, if those of both are not the same.
    #[must_use]
    pub fn keyless(&self) -> Option<[u64; 2]> {
        let [left, right] = self.keyless;
        (left != right).then_some([left.count, right.count])
    }

    /// The keys that differ, by where they stand.
    #[must_use]
    pub fn differing(&self) -> Vec<Differing> {
        // A null value deletes: nothing is left of the key.
        let left_of = |seen: &Option<Seen>| seen.filter(|seen| seen.hash.is_some());
        let sides = self
            .keys
            .iter()
            .map(|(key, sides)| Differing { key: *key, sides: [left_of(&sides[0]), left_of(&sides[1])] });
        let hashes = |of: &Differing| [0, 1].map(|side| of.sides[side].map(|seen| seen.hash));
        let mut differing: Vec<Differing> = sides.filter(|of| hashes(of)[0] != hashes(of)[1]).collect();
        differing.sort_by_key(|of| (of.sides[0].is_none(), of.sides[0].or(of.sides[1]).map(|seen| seen.at)));
        differing
    }
}

/// A value as a hash, and where it stands.
type Told = (Option<Hash>, At);

/// Where in their sequences keys begin to differ: a second look at both sides, for a few keys.
#[derive(Debug)]
pub struct Sequences {
    /// Of each key its values on either side.
    keys: HashMap<Hash, [Vec<Told>; 2]>,
    values_max: usize,
}

impl Sequences {
    /// Of `keys`, of which at most so many values are looked at on either side.
    #[must_use]
    pub fn new(keys: &[Differing], values_max: usize) -> Self {
        Self { keys: keys.iter().map(|of| (of.key, Default::default())).collect(), values_max }
    }

    /// Takes a record in, as [`Comparison::take`] does.
    pub fn take(&mut self, side: usize, at: At, key: Option<&[u8]>, value: Option<&[u8]>) {
        let Some(key) = key.map(|key| hash(&[key])) else { return };
        if let Some(sides) = self.keys.get_mut(&key).filter(|sides| sides[side].len() < self.values_max) {
            sides[side].push((value.map(hash_value), at));
        }
    }

    /// The first value of `of` that differs, counted from 1, and where it stands on either side.
    #[must_use]
    pub fn first(&self, of: &Differing) -> Option<(usize, [Option<At>; 2])> {
        let [left, right] = self.keys.get(&of.key)?;
        let length = left.len().max(right.len());
        let value = |side: &[Told], index: usize| side.get(index).map(|(hash, _)| *hash);
        let index = (0..length).find(|index| value(left, *index) != value(right, *index))?;
        Some((index + 1, [left.get(index).map(|(_, at)| *at), right.get(index).map(|(_, at)| *at)]))
    }
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(&hasher.finalize()[..16]);
    hash
}

/// JSON by what it says: spaces, the order of fields and `1.0` for `1` make no difference. Other bytes as they are.
fn hash_value(value: &[u8]) -> Hash {
    match serde_json::from_slice::<Value>(value) {
        Ok(json) => {
            let mut canonical = Vec::with_capacity(value.len());
            write_canonical(&json, &mut canonical);
            hash(&[b"json", &canonical])
        }
        Err(_) => hash(&[b"bytes", value]),
    }
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                out.extend_from_slice(Value::String(name.clone()).to_string().as_bytes());
                out.push(b':');
                write_canonical(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                write_canonical(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < WHOLE_MAX);
            let text = whole.map_or_else(|| number.to_string(), |whole| (whole as i64).to_string());
            out.extend_from_slice(text.as_bytes());
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<&[u8]> = Some(b"a");
    const B: Option<&[u8]> = Some(b"b");

    /// Key and value; their offsets count from 0.
    type Row<'a> = (Option<&'a [u8]>, Option<&'a str>);

    fn compared(by: By, sides: [&[Row<'_>]; 2]) -> (Comparison, Sequences) {
        let mut comparison = Comparison::new(by, 100);
        let rows = || {
            sides.into_iter().enumerate().flat_map(|(side, rows)| rows.iter().enumerate().map(move |row| (side, row)))
        };
        let at = |offset: usize| At { partition: 0, offset: offset as i64 };
        for (side, (offset, (key, value))) in rows() {
            comparison.take(side, at(offset), *key, value.map(str::as_bytes)).unwrap();
        }
        let mut sequences = Sequences::new(&comparison.differing(), 100);
        for (side, (offset, (key, value))) in rows() {
            sequences.take(side, at(offset), *key, value.map(str::as_bytes));
        }
        (comparison, sequences)
    }

    #[test]
    fn by_key_only_the_last_value_counts_and_null_is_none() {
        let (left, right) = ([(A, Some("1")), (B, Some("2")), (A, Some("3"))], [(A, Some("3")), (B, Some("2"))]);
        assert!(compared(By::Key, [&left, &right]).0.differing().is_empty());
        let deleted = [(B, Some("2")), (A, Some("3")), (B, None)];
        let differing = compared(By::Key, [&left, &deleted]).0.differing();
        assert_eq!((differing.len(), differing[0].sides[1]), (1, None));
        assert!(compared(By::Key, [&[(A, Some("1")), (A, None)], &[]]).0.differing().is_empty());
    }

    #[test]
    fn by_sequence_the_first_value_that_differs_is_told() {
        let (left, right) = ([(A, Some("1")), (A, Some("2")), (A, Some("3"))], [(A, Some("1")), (A, Some("3"))]);
        assert!(compared(By::Key, [&left, &right]).0.differing().is_empty());
        let (comparison, sequences) = compared(By::Sequence, [&left, &right]);
        let differing = comparison.differing();
        let at = |offset| Some(At { partition: 0, offset });
        assert_eq!(sequences.first(&differing[0]), Some((2, [at(1), at(1)])));
        let longer = [(A, Some("1")), (A, Some("2")), (A, Some("3")), (A, None)];
        let (comparison, sequences) = compared(By::Sequence, [&left, &longer]);
        assert_eq!(sequences.first(&comparison.differing()[0]), Some((4, [None, at(3)])));
    }

    #[test]
    fn json_is_compared_by_what_it_says_and_other_bytes_as_they_are() {
        let same =
            [(r#"{"a":1,"b":[1.0,"x"]}"#, r#"{ "b": [1, "x"], "a": 1.0 }"#), (r#""é""#, r#""\u00e9""#), ("1e2", "100")];
        for (one, other) in same {
            assert_eq!(hash_value(one.as_bytes()), hash_value(other.as_bytes()), "{one} {other}");
        }
        let different =
            [("1", "\"1\""), ("[1,2]", "[2,1]"), ("a b", "a  b"), (r#"{"a":null}"#, "{}"), ("0.1", "0.10000001")];
        for (one, other) in different {
            assert_ne!(hash_value(one.as_bytes()), hash_value(other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn rows_without_a_key_are_compared_in_no_order() {
        let (left, right) = ([(None, Some("1")), (None, Some("2"))], [(None, Some("2")), (None, Some("1"))]);
        assert_eq!(compared(By::Key, [&left, &right]).0.keyless(), None);
        assert_eq!(compared(By::Key, [&left, &right[..1]]).0.keyless(), Some([2, 1]));
    }

    #[test]
    fn more_keys_than_may_be_held_are_refused() {
        let mut comparison = Comparison::new(By::Key, 1);
        let at = At { partition: 0, offset: 0 };
        comparison.take(0, at, A, None).unwrap();
        comparison.take(1, at, A, None).unwrap();
        assert_eq!(comparison.take(1, at, B, None), Err(TooManyKeys));
    }
}
