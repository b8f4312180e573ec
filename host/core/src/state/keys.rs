//! How the kinds of stores write their keys. Every store is one ordered map of bytes; these encodings give it its order.
//!
//! ```text
//! key-value   01 key
//! window      01 key' start          key' = key with 00 written as 00 FF, then 00 00; times as 8 bytes, big-endian,
//! session     01 key' start end             sign bit flipped: the order of bytes is the order of numbers
//! joined      04 key' time sequence  a side of a join of streams; the sequence as 8 bytes, big-endian
//! waiting     05 time side key' sequence    what such a join has found no partner for
//! ```
//! `key'` is no prefix of another `key'`, and has the order of the keys. The first byte keeps a node's own rows apart
//! ([`OWN`], [`BY_TIME`]): all of a store, kept or own, is in its changelog.

use crate::ports::KeyRange;

/// First byte of a row that the user put.
pub const DATA: u8 = 1;
/// First byte of what a node keeps for itself, such as the highest timestamp that it has seen.
pub const OWN: u8 = 0;
/// First byte of an index by time: `02 time key'`.
pub const BY_TIME: u8 = 2;
/// First byte of an index by the host's clock, otherwise as [`BY_TIME`]: timers.
pub const BY_WALL_TIME: u8 = 3;
/// First byte of a row of one side of a join of streams.
pub const JOINED: u8 = 4;
/// First byte of a row of a join of streams that waits for a partner.
pub const WAITING: u8 = 5;

/// The bytes of a time.
pub const TIME_BYTES: usize = 8;

/// The bytes of a sequence number, which tells rows of one key and time apart.
pub const SEQUENCE_BYTES: usize = 8;

/// Bytes that end a key in a window or session store's row.
pub(super) const KEY_END_BYTES: usize = 2;

const ESCAPE: u8 = 0xff;

/// The key of a key-value store's row.
#[must_use]
pub fn key_value(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.push(DATA);
    out.extend_from_slice(key);
    out
}

/// The user's key of a key-value store's row; none: the row is not the user's.
#[must_use]
pub fn split_key_value(row: &[u8]) -> Option<&[u8]> {
    row.split_first().filter(|(first, _)| **first == DATA).map(|(_, key)| key)
}

/// The key of a window store's row.
#[must_use]
pub fn window(key: &[u8], start: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 11);
    write_window(&mut out, key, start);
    out
}

/// [`window`] into a buffer that is used again.
pub fn write_window(out: &mut Vec<u8>, key: &[u8], start: i64) {
    out.clear();
    out.push(DATA);
    push_key(out, key);
    push_time(out, start);
}

/// Key and start of a window store's row.
#[must_use]
pub fn split_window(row: &[u8]) -> Option<(Vec<u8>, i64)> {
    let (key, rest) = split_key(row.strip_prefix(&[DATA])?)?;
    Some((key, time(rest)?))
}

/// The key of a session store's row. Sessions of a key are in order of their starts.
#[must_use]
pub fn session(key: &[u8], start: i64, end: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 19);
    out.push(DATA);
    push_key(&mut out, key);
    push_time(&mut out, start);
    push_time(&mut out, end);
    out
}

/// Key, start and end of a session store's row.
#[must_use]
pub fn split_session(row: &[u8]) -> Option<(Vec<u8>, i64, i64)> {
    let (key, rest) = split_key(row.strip_prefix(&[DATA])?)?;
    let (start, end) = rest.split_at_checked(TIME_BYTES)?;
    Some((key, time(start)?, time(end)?))
}

/// What the rows of `key` in a window or session store begin with.
#[must_use]
pub fn of_key(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 3);
    out.push(DATA);
    push_key(&mut out, key);
    out
}

/// The key of a row of an index by time: `detail` tells rows of one time and key apart.
#[must_use]
pub fn by_time(at: i64, key: &[u8], detail: &[u8]) -> Vec<u8> {
    by(BY_TIME, at, key, detail)
}

/// The key of a row of index `index`, [`BY_TIME`] or [`BY_WALL_TIME`].
#[must_use]
pub fn by(index: u8, at: i64, key: &[u8], detail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + detail.len() + 11);
    out.push(index);
    push_time(&mut out, at);
    push_key(&mut out, key);
    out.extend_from_slice(detail);
    out
}

/// Time, key and detail of a row of an index.
#[must_use]
pub fn split_by_time(row: &[u8]) -> Option<(i64, Vec<u8>, &[u8])> {
    let (at, rest) = row.get(1..)?.split_at_checked(TIME_BYTES)?;
    let (key, detail) = split_key(rest)?;
    Some((time(at)?, key, detail))
}

/// What the rows of index `index` at `at` and later begin from.
#[must_use]
pub fn from_time(index: u8, at: i64) -> Vec<u8> {
    let mut out = vec![index];
    push_time(&mut out, at);
    out
}

/// The rows of index `index` at `latest` and earlier.
#[must_use]
pub fn until(index: u8, latest: i64) -> KeyRange {
    KeyRange::between(vec![index], from_time(index, latest.saturating_add(1)))
}

/// The key of a row that a node keeps for itself.
#[must_use]
pub fn own(name: &str) -> Vec<u8> {
    let mut out = vec![OWN];
    out.extend_from_slice(name.as_bytes());
    out
}

/// What the rows of `key` at `at` and later begin from, in one side of a join of streams.
pub fn write_joined_from(out: &mut Vec<u8>, key: &[u8], at: i64) {
    out.clear();
    out.push(JOINED);
    push_key(out, key);
    push_time(out, at);
}

/// The key of a row of one side of a join of streams: of a key in order of their times, then as they came.
pub fn write_joined(out: &mut Vec<u8>, key: &[u8], at: i64, sequence: u64) {
    write_joined_from(out, key, at);
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Key, time and sequence number of a row of one side of a join of streams.
#[must_use]
pub fn split_joined(row: &[u8]) -> Option<(Vec<u8>, i64, u64)> {
    let (key, rest) = split_key(row.strip_prefix(&[JOINED])?)?;
    let (at, sequence) = rest.split_at_checked(TIME_BYTES)?;
    Some((key, time(at)?, u64::from_be_bytes(sequence.try_into().ok()?)))
}

/// Time and sequence number of what [`split_joined`] splits.
#[must_use]
pub fn joined_at(row: &[u8]) -> Option<(i64, u64)> {
    let (rest, sequence) = row.split_last_chunk::<SEQUENCE_BYTES>()?;
    let (_, at) = rest.split_last_chunk::<TIME_BYTES>()?;
    Some((time(at)?, u64::from_be_bytes(*sequence)))
}

/// The key of a row that waits for a partner: in order of times, then of sides and keys, then as they came.
pub fn write_waiting(out: &mut Vec<u8>, at: i64, side: u8, key: &[u8], sequence: u64) {
    out.clear();
    out.push(WAITING);
    push_time(out, at);
    out.push(side);
    push_key(out, key);
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Time, side and key of a row that waits for a partner.
#[must_use]
pub fn split_waiting(row: &[u8]) -> Option<(i64, u8, Vec<u8>)> {
    let (at, rest) = row.strip_prefix(&[WAITING])?.split_at_checked(TIME_BYTES)?;
    let (&side, rest) = rest.split_first()?;
    let (key, sequence) = split_key(rest)?;
    (sequence.len() == SEQUENCE_BYTES).then_some((time(at)?, side, key))
}

/// The time that a row expires by: a window's start, a session's end, a joined row's own.
#[must_use]
pub fn last_time(row: &[u8]) -> Option<i64> {
    match *row.first()? {
        DATA => time(&row[row.len().checked_sub(TIME_BYTES)?..]),
        JOINED => joined_at(row).map(|(at, _)| at),
        _ => None,
    }
}

/// Appends `at` so that bytes order as numbers do.
pub fn push_time(out: &mut Vec<u8>, at: i64) {
    out.extend_from_slice(&(at as u64 ^ (1 << 63)).to_be_bytes());
}

/// The time that 8 bytes of [`push_time`] hold.
#[must_use]
pub fn time(bytes: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63)) as i64)
}

fn push_key(out: &mut Vec<u8>, key: &[u8]) {
    if key.contains(&0) {
        for &byte in key {
            out.push(byte);
            if byte == 0 {
                out.push(ESCAPE);
            }
        }
    } else {
        out.extend_from_slice(key);
    }
    out.extend_from_slice(&[0, 0]);
}

/// The key that `bytes` begin with, and what follows it.
fn split_key(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut key = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().enumerate();
    while let Some((_, &byte)) = rest.next() {
        if byte != 0 {
            key.push(byte);
            continue;
        }
        match rest.next()? {
            (at, 0) => return Some((key, &bytes[at + 1..])),
            (_, &ESCAPE) => key.push(0),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_in_the_order_of_key_and_time(
            a in (proptest::collection::vec(0_u8..3, 0..5), any::<i64>(), any::<i64>()),
            b in (proptest::collection::vec(0_u8..3, 0..5), any::<i64>(), any::<i64>()),
        ) {
            prop_assert_eq!(window(&a.0, a.1).cmp(&window(&b.0, b.1)), (&a.0, a.1).cmp(&(&b.0, b.1)));
            let sessions = session(&a.0, a.1, a.2).cmp(&session(&b.0, b.1, b.2));
            prop_assert_eq!(sessions, (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
            let index = by_time(a.1, &a.0, b"").cmp(&by_time(b.1, &b.0, b""));
            prop_assert_eq!(index, (a.1, &a.0).cmp(&(b.1, &b.0)));
            let (mut one, mut other) = (Vec::new(), Vec::new());
            write_joined(&mut one, &a.0, a.1, a.2 as u64);
            write_joined(&mut other, &b.0, b.1, b.2 as u64);
            prop_assert_eq!(one.cmp(&other), (&a.0, a.1, a.2 as u64).cmp(&(&b.0, b.1, b.2 as u64)));
            let side = |number: i64| number.rem_euclid(2) as u8;
            write_waiting(&mut one, a.1, side(a.2), &a.0, a.2 as u64);
            write_waiting(&mut other, b.1, side(b.2), &b.0, b.2 as u64);
            let order = (a.1, side(a.2), &a.0, a.2 as u64).cmp(&(b.1, side(b.2), &b.0, b.2 as u64));
            prop_assert_eq!(one.cmp(&other), order);
        }

        #[test]
        fn what_was_written_is_read(key in proptest::collection::vec(any::<u8>(), 0..9), start: i64, end: i64) {
            prop_assert_eq!(split_window(&window(&key, start)), Some((key.clone(), start)));
            prop_assert_eq!(split_session(&session(&key, start, end)), Some((key.clone(), start, end)));
            let index = by_time(start, &key, b"\0x");
            prop_assert_eq!(split_by_time(&index), Some((start, key.clone(), &b"\0x"[..])));
            let row = key_value(&key);
            prop_assert_eq!(split_key_value(&row), Some(&key[..]));
            prop_assert_eq!(last_time(&window(&key, start)), Some(start));
            prop_assert_eq!(last_time(&session(&key, start, end)), Some(end));
            prop_assert!(window(&key, start).starts_with(&of_key(&key)));
            let mut row = Vec::new();
            write_joined(&mut row, &key, start, end as u64);
            prop_assert_eq!(split_joined(&row), Some((key.clone(), start, end as u64)));
            prop_assert_eq!((joined_at(&row), last_time(&row)), (Some((start, end as u64)), Some(start)));
            write_waiting(&mut row, start, 1, &key, end as u64);
            prop_assert_eq!((split_waiting(&row), last_time(&row)), (Some((start, 1, key)), None));
        }
    }

    #[test]
    fn a_row_that_is_no_such_row_is_told() {
        assert_eq!(split_window(&own("stream-time")), None);
        assert_eq!(split_window(&[DATA, b'a', 0, 7]), None);
        assert_eq!(split_window(&[DATA, b'a']), None);
        assert_eq!(split_session(&window(b"a", 1)), None);
        assert_eq!(last_time(&[DATA, 1]), None);
        assert_eq!(last_time(&[JOINED, 1]), None);
        assert_eq!(split_joined(&[JOINED, b'a', 0, 0, 1]), None);
        assert_eq!(split_waiting(&[WAITING, 1]), None);
    }
}
