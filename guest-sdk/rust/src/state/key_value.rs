use std::marker::PhantomData;
use std::ops::Bound;

use super::overlay::{Bounds, Overlay, Page, cell};
use super::{Pending, Store, Stored, next_key, written};
use crate::abi::weir::plugin::state::Entries;
use crate::{Column, Format, Reject, boundary};

/// A value for each key.
#[derive(Debug)]
pub struct KeyValue<K, V> {
    store: boundary::KeyValueStore,
    overlay: Overlay<Vec<u8>>,
    types: PhantomData<fn(K) -> V>,
}

/// Entries as they are read: key and value.
type Read<K, V> = Result<Vec<(<K as Stored>::Kept, <V as Stored>::Kept)>, Reject>;

impl<K: Stored, V: Stored> KeyValue<K, V> {
    /// The value of `key`.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes, or the value is not a `V`.
    pub fn get(&mut self, key: &K::Given) -> Result<Option<V::Kept>, Reject> {
        let (key, store) = (written::<K>(key)?, &self.store);
        self.overlay.get(&key, || store.get(&key)).map(V::read).transpose()
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// A [`Reject`] where one of them has no bytes.
    pub fn put(&mut self, key: &K::Given, value: &V::Given) -> Result<(), Reject> {
        self.overlay.put(written::<K>(key)?, Some(written::<V>(value)?));
        Ok(())
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// A [`Reject`] where `key` has no bytes.
    pub fn delete(&mut self, key: &K::Given) -> Result<(), Reject> {
        self.overlay.put(written::<K>(key)?, None);
        Ok(())
    }

    /// At most `limit` entries from `lower` to `upper`, in the order of the keys' bytes. The next page begins after the last
    /// key: `Bound::Excluded`.
    ///
    /// # Errors
    /// A [`Reject`] where a bound has no bytes, or an entry is not of these types.
    pub fn range(&mut self, lower: Bound<&K::Given>, upper: Bound<&K::Given>, limit: usize) -> Read<K, V> {
        self.read((bound::<K>(lower)?, bound::<K>(upper)?), limit, false)
    }

    /// The same from the last key downwards.
    ///
    /// # Errors
    /// As of [`KeyValue::range`].
    pub fn range_backward(&mut self, lower: Bound<&K::Given>, upper: Bound<&K::Given>, limit: usize) -> Read<K, V> {
        self.read((bound::<K>(lower)?, bound::<K>(upper)?), limit, true)
    }

    /// At most `limit` entries whose keys begin with `head` and come after the key `after`.
    ///
    /// # Errors
    /// As of [`KeyValue::range`].
    pub fn prefix(&mut self, head: impl AsRef<[u8]>, after: Option<&K::Given>, limit: usize) -> Read<K, V> {
        let head = head.as_ref();
        let upper = match head.iter().rposition(|&byte| byte != u8::MAX) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut upper = head[..=last].to_vec();
                upper[last] += 1;
                Bound::Excluded(upper)
            }
        };
        let after = after.map(written::<K>).transpose()?.filter(|after| after.as_slice() >= head);
        let lower = after.map_or_else(|| Bound::Included(head.to_vec()), Bound::Excluded);
        self.read((lower, upper), limit, false)
    }

    /// Reads the values of all `keys`, as the records have them, in one call to the host.
    #[doc(hidden)]
    pub fn prefetch(&mut self, keys: &Column) {
        let mut wanted: Vec<&[u8]> = (0..keys.len()).filter_map(|index| keys.get(index)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let found = self.store.get_many(&wanted.iter().map(|key| Some(*key)).collect());
        for (index, key) in wanted.into_iter().enumerate() {
            self.overlay.learn(key.to_vec(), found.get(index).map(<[u8]>::to_vec));
        }
    }

    fn read(&self, bounds: Bounds<Vec<u8>>, limit: usize, backward: bool) -> Read<K, V> {
        let page =
            self.overlay.page(bounds, (limit, backward), |_| true, |bounds, limit| self.ask(bounds, limit, backward));
        page.iter().map(|(key, value)| Ok((K::read(key)?, V::read(value)?))).collect()
    }

    fn ask(&self, (lower, upper): &Bounds<Vec<u8>>, limit: usize, backward: bool) -> Page<Vec<u8>> {
        let lower = match lower {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(key.clone()),
            Bound::Excluded(key) => Some(next_key(key.clone())),
        };
        let upper = match upper {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(next_key(key.clone())),
            Bound::Excluded(key) => Some(key.clone()),
        };
        let found = self.store.range(lower.as_deref(), upper.as_deref(), limit as u32, backward);
        (0..found.keys.len()).map(|index| (cell(&found.keys, index), cell(&found.values, index))).collect()
    }
}

fn bound<K: Stored>(of: Bound<&K::Given>) -> Result<Bound<Vec<u8>>, Reject> {
    Ok(match of {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(written::<K>(key)?),
        Bound::Excluded(key) => Bound::Excluded(written::<K>(key)?),
    })
}

impl<K, V> Pending for KeyValue<K, V> {
    fn keep(&mut self) {
        self.overlay.keep();
    }

    fn forget(&mut self) {
        self.overlay.forget();
    }

    fn flush(&mut self) {
        let (mut keys, mut values) = (Column::with_capacity(0, 0), Column::with_capacity(0, 0));
        for (key, value) in self.overlay.take() {
            keys.push(Some(&key));
            values.push(value.as_deref());
        }
        if !keys.is_empty() {
            self.store.put_many(&Entries { keys, values });
        }
    }
}

impl<K: Stored, V: Stored> Store for KeyValue<K, V> {
    const KIND: &'static str = "key-value";
    const KEY_FORMAT: &'static str = <K as Format>::FORMAT;
    const VALUE_FORMAT: &'static str = <V as Format>::FORMAT;

    fn open(name: &str) -> Self {
        Self { store: boundary::open_key_value(name), overlay: Overlay::new(), types: PhantomData }
    }
}
