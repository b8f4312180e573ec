use std::marker::PhantomData;
use std::ops::Bound;

use super::overlay::{Bounds, Overlay, Page, cell};
use super::{Pending, Store, Stored, times, written};
use crate::abi::weir::plugin::state::Spans;
use crate::column::i64_at;
use crate::{Column, Format, Reject, boundary};

/// A value for each key and session, a session being named by its start and end in milliseconds since 1970 UTC.
#[derive(Debug)]
pub struct SessionStore<K, V> {
    store: boundary::SessionStore,
    overlay: Overlay<At>,
    types: PhantomData<fn(K) -> V>,
}

/// Key, start and end.
type At = (Vec<u8>, i64, i64);

/// An entry of a [`SessionStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<K, V> {
    /// The key.
    pub key: K,
    /// The session's start.
    pub start: i64,
    /// The session's end.
    pub end: i64,
    /// The value.
    pub value: V,
}

/// Entries as they are read.
type Read<K, V> = Result<Vec<Session<<K as Stored>::Kept, <V as Stored>::Kept>>, Reject>;

impl<K: Stored, V: Stored> SessionStore<K, V> {
    /// The value of `key` in the session from `start` to `end`.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes, or the value is not a `V`.
    pub fn get(&mut self, key: &K::Given, start: i64, end: i64) -> Result<Option<V::Kept>, Reject> {
        let (at, store) = ((written::<K>(key)?, start, end), &self.store);
        self.overlay.get(&at, || store.get(&at.0, start, end)).map(V::read).transpose()
    }

    /// Sets the value of `key` in the session from `start` to `end`.
    ///
    /// # Errors
    /// A [`Reject`] where key or value has no bytes.
    pub fn put(&mut self, key: &K::Given, start: i64, end: i64, value: &V::Given) -> Result<(), Reject> {
        self.overlay.put((written::<K>(key)?, start, end), Some(written::<V>(value)?));
        Ok(())
    }

    /// Removes that session.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes.
    pub fn delete(&mut self, key: &K::Given, start: i64, end: i64) -> Result<(), Reject> {
        self.overlay.put((written::<K>(key)?, start, end), None);
        Ok(())
    }

    /// At most `limit` sessions of `key` that end at `earliest_end` or later and start at `latest_start` or before, by start,
    /// then end: those after the session `after`, for the next page.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes, or a value is not a `V`.
    pub fn fetch(
        &mut self,
        key: &K::Given,
        earliest_end: i64,
        latest_start: i64,
        after: Option<(i64, i64)>,
        limit: usize,
    ) -> Read<K, V> {
        let key = written::<K>(key)?;
        let lower = match after {
            Some((start, end)) => Bound::Excluded((key.clone(), start, end)),
            None => Bound::Included((key.clone(), i64::MIN, i64::MIN)),
        };
        let bounds = (lower, Bound::Included((key.clone(), latest_start, i64::MAX)));
        let wanted = |at: &At| at.2 >= earliest_end;
        let page = self.overlay.page(bounds, (limit, false), wanted, |(lower, _): &Bounds<At>, limit| {
            let after = if let Bound::Excluded((_, start, end)) = lower { Some((*start, *end)) } else { None };
            entries(&self.store.fetch(&key, earliest_end, latest_start, after, limit as u32, false))
        });
        let session = |((key, start, end), value): &(At, Vec<u8>)| {
            Ok(Session { key: K::read(key)?, start: *start, end: *end, value: V::read(value)? })
        };
        page.iter().map(session).collect()
    }
}

fn entries(found: &Spans) -> Page<At> {
    let entry = |index| {
        let (start, end) = (i64_at(&found.starts, index), i64_at(&found.ends, index));
        ((cell(&found.keys, index), start, end), cell(&found.values, index))
    };
    (0..found.keys.len()).map(entry).collect()
}

impl<K, V> Pending for SessionStore<K, V> {
    fn keep(&mut self) {
        self.overlay.keep();
    }

    fn forget(&mut self) {
        self.overlay.forget();
    }

    fn flush(&mut self) {
        let (mut keys, mut values) = (Column::with_capacity(0, 0), Column::with_capacity(0, 0));
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for ((key, start, end), value) in self.overlay.take() {
            keys.push(Some(&key));
            values.push(value.as_deref());
            starts.push(start);
            ends.push(end);
        }
        if !keys.is_empty() {
            let (starts, ends) = (times(starts.into_iter()), times(ends.into_iter()));
            self.store.put_many(&Spans { keys, starts, ends, values });
        }
    }
}

impl<K: Stored, V: Stored> Store for SessionStore<K, V> {
    const KIND: &'static str = "session";
    const KEY_FORMAT: &'static str = <K as Format>::FORMAT;
    const VALUE_FORMAT: &'static str = <V as Format>::FORMAT;

    fn open(name: &str) -> Self {
        Self { store: boundary::open_session(name), overlay: Overlay::new(), types: PhantomData }
    }
}
