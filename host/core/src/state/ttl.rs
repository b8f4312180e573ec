//! Entries with a time to live: a value begins with the stream time at which it was written, and an index by that time finds
//! those that have expired.

use super::{TaskState, keys};
use crate::ports::StoreError;
use crate::topology::StoreIndex;

/// Expired entries that one commit removes: the rest waits for the next.
const SWEEP_MAX: usize = 10_000;

/// When a value was written, and the value.
pub(super) fn split(stored: &[u8]) -> Option<(i64, &[u8])> {
    let (at, value) = stored.split_at_checked(keys::TIME_BYTES)?;
    Some((keys::time(at)?, value))
}

/// Sets the value of `key` at stream time `now`; none deletes it.
pub(super) fn put(
    state: &mut TaskState,
    store: StoreIndex,
    key: &[u8],
    value: Option<&[u8]>,
    now: i64,
) -> Result<(), StoreError> {
    if let Some((at, _)) = state.get(store, key)?.and_then(split) {
        state.put(store, &keys::by_time(at, key, b""), None);
    }
    let Some(value) = value else {
        state.put(store, key, None);
        return Ok(());
    };
    let mut stored = Vec::with_capacity(value.len() + keys::TIME_BYTES);
    keys::push_time(&mut stored, now);
    stored.extend_from_slice(value);
    state.put(store, key, Some(&stored));
    state.put(store, &keys::by_time(now, key, b""), Some(b""));
    Ok(())
}

/// Removes entries written at `latest` or before.
pub(crate) fn sweep(state: &mut TaskState, store: StoreIndex, latest: i64) -> Result<(), StoreError> {
    for (index, _) in state.range(store, &keys::until(keys::BY_TIME, latest), SWEEP_MAX, false)? {
        state.put(store, &index, None);
        if let Some((_, key, _)) = keys::split_by_time(&index) {
            state.put(store, &key, None);
        }
    }
    Ok(())
}
