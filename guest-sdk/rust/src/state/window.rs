use std::marker::PhantomData;
use std::ops::Bound;

use super::overlay::{Bounds, Overlay, Page, cell, is_empty};
use super::{Pending, Store, Stored, times, written};
use crate::abi::weir::plugin::state::{Entries, Spans};
use crate::column::i64_at;
use crate::{Column, Format, Reject, boundary};

/// A value for each key and window, a window being named by its start in milliseconds since 1970 UTC.
#[derive(Debug)]
pub struct WindowStore<K, V> {
    store: boundary::WindowStore,
    overlay: Overlay<(Vec<u8>, i64)>,
    types: PhantomData<fn(K) -> V>,
}

/// An entry of a [`WindowStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windowed<K, V> {
    /// The key.
    pub key: K,
    /// The window's start.
    pub start: i64,
    /// The value.
    pub value: V,
}

/// Entries as they are read.
type Read<K, V> = Result<Vec<Windowed<<K as Stored>::Kept, <V as Stored>::Kept>>, Reject>;

impl<K: Stored, V: Stored> WindowStore<K, V> {
    /// The value of `key` in the window that begins at `start`.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes, or the value is not a `V`.
    pub fn get(&mut self, key: &K::Given, start: i64) -> Result<Option<V::Kept>, Reject> {
        let (at, store) = ((written::<K>(key)?, start), &self.store);
        self.overlay.get(&at, || store.get(&at.0, start)).map(V::read).transpose()
    }

    /// Sets the value of `key` in the window that begins at `start`.
    ///
    /// # Errors
    /// A [`Reject`] where key or value has no bytes.
    pub fn put(&mut self, key: &K::Given, start: i64, value: &V::Given) -> Result<(), Reject> {
        self.overlay.put((written::<K>(key)?, start), Some(written::<V>(value)?));
        Ok(())
    }

    /// Removes that value.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes.
    pub fn delete(&mut self, key: &K::Given, start: i64) -> Result<(), Reject> {
        self.overlay.put((written::<K>(key)?, start), None);
        Ok(())
    }

    /// At most `limit` windows of `key` that begin from `earliest` to `latest`, in that order. The next page begins a
    /// millisecond after the last.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes, or a value is not a `V`.
    pub fn fetch(&mut self, key: &K::Given, earliest: i64, latest: i64, limit: usize) -> Read<K, V> {
        self.read(key, (earliest, latest), limit, false)
    }

    /// The same from `latest` downwards.
    ///
    /// # Errors
    /// As of [`WindowStore::fetch`].
    pub fn fetch_backward(&mut self, key: &K::Given, earliest: i64, latest: i64, limit: usize) -> Read<K, V> {
        self.read(key, (earliest, latest), limit, true)
    }

    /// At most `limit` windows that begin from `earliest` to `latest`, of all keys, by key, then start: those after the
    /// window `after`, for the next page.
    ///
    /// # Errors
    /// As of [`WindowStore::fetch`].
    pub fn all(&mut self, earliest: i64, latest: i64, after: Option<(&K::Given, i64)>, limit: usize) -> Read<K, V> {
        let lower = match after {
            Some((key, start)) => Bound::Excluded((written::<K>(key)?, start)),
            None => Bound::Unbounded,
        };
        let page = self.overlay.page(
            (lower, Bound::Unbounded),
            (limit, false),
            |(_, start)| (earliest..=latest).contains(start),
            |(lower, _), limit| {
                let (key, after) = match lower {
                    Bound::Included((key, start)) | Bound::Excluded((key, start)) => (Some(&key[..]), Some(*start)),
                    Bound::Unbounded => (None, None),
                };
                entries(&self.store.range(key, None, earliest, latest, after, limit as u32))
            },
        );
        decoded::<K, V>(&page)
    }

    fn read(&self, key: &K::Given, (earliest, latest): (i64, i64), limit: usize, backward: bool) -> Read<K, V> {
        let key = written::<K>(key)?;
        let bounds = (Bound::Included((key.clone(), earliest)), Bound::Included((key.clone(), latest)));
        if is_empty(&bounds) {
            return Ok(Vec::new());
        }
        let ask = |bounds: &Bounds<_>, limit| self.ask(&key, bounds, limit, backward);
        decoded::<K, V>(&self.overlay.page(bounds, (limit, backward), |_| true, ask))
    }

    fn ask(
        &self,
        key: &[u8],
        (lower, upper): &Bounds<(Vec<u8>, i64)>,
        limit: usize,
        backward: bool,
    ) -> Page<(Vec<u8>, i64)> {
        let earliest = match lower {
            Bound::Included((_, start)) => Some(*start),
            Bound::Excluded((_, start)) => start.checked_add(1),
            Bound::Unbounded => Some(i64::MIN),
        };
        let latest = match upper {
            Bound::Included((_, start)) => Some(*start),
            Bound::Excluded((_, start)) => start.checked_sub(1),
            Bound::Unbounded => Some(i64::MAX),
        };
        let Some((earliest, latest)) = earliest.zip(latest) else { return Page::new() };
        entries(&self.store.fetch(key, earliest, latest, limit as u32, backward))
    }
}

fn entries(found: &Spans) -> Page<(Vec<u8>, i64)> {
    let entry = |index| ((cell(&found.keys, index), i64_at(&found.starts, index)), cell(&found.values, index));
    (0..found.keys.len()).map(entry).collect()
}

fn decoded<K: Stored, V: Stored>(page: &Page<(Vec<u8>, i64)>) -> Read<K, V> {
    let windowed = |((key, start), value): &((Vec<u8>, i64), Vec<u8>)| {
        Ok(Windowed { key: K::read(key)?, start: *start, value: V::read(value)? })
    };
    page.iter().map(windowed).collect()
}

impl<K, V> Pending for WindowStore<K, V> {
    fn keep(&mut self) {
        self.overlay.keep();
    }

    fn forget(&mut self) {
        self.overlay.forget();
    }

    fn flush(&mut self) {
        let (mut keys, mut values) = (Column::with_capacity(0, 0), Column::with_capacity(0, 0));
        let mut starts = Vec::new();
        for ((key, start), value) in self.overlay.take() {
            keys.push(Some(&key));
            values.push(value.as_deref());
            starts.push(start);
        }
        if !keys.is_empty() {
            self.store.put_many(&Entries { keys, values }, &times(starts.into_iter()));
        }
    }
}

impl<K: Stored, V: Stored> Store for WindowStore<K, V> {
    const KIND: &'static str = "window";
    const KEY_FORMAT: &'static str = <K as Format>::FORMAT;
    const VALUE_FORMAT: &'static str = <V as Format>::FORMAT;

    fn open(name: &str) -> Self {
        Self { store: boundary::open_window(name), overlay: Overlay::new(), types: PhantomData }
    }
}
