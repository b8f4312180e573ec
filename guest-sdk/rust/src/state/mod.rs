//! A plugin's stores and timers. What a row writes is kept when it succeeds and dropped when it is refused; all of a call
//! goes to the host at once, at its end.
//!
//! Start at [`KeyValue`]; then [`Pending`], what becomes of a row's writes, and `overlay.rs`, how reads see them.

mod codec;
mod key_value;
mod overlay;
mod session;
mod timers;
mod window;

pub use codec::Stored;
pub use key_value::KeyValue;
pub use session::{Session, SessionStore};
pub use timers::{Timer, Timers, each_timer};
pub use window::{WindowStore, Windowed};

use crate::{Column, Reject};

/// A store or timers, for the length of a row and of a call.
pub trait Pending {
    /// The row in progress has succeeded.
    fn keep(&mut self);

    /// The row in progress is refused.
    fn forget(&mut self);

    /// The call is over: hands what was kept to the host.
    fn flush(&mut self);
}

/// A kind of store. A plugin has it as an argument, `name: &mut KeyValue<Str, i64>`, and the argument's name is the store's.
pub trait Store: Pending + Sized {
    /// As manifest and topology call it.
    const KIND: &'static str;
    /// The format of its keys.
    const KEY_FORMAT: &'static str;
    /// The format of its values.
    const VALUE_FORMAT: &'static str;

    /// Opens the store `name` of the node.
    fn open(name: &str) -> Self;

    /// What a manifest says of it.
    #[must_use]
    fn declaration(name: &'static str) -> StoreDeclaration {
        let (key_format, value_format) = (Self::KEY_FORMAT, Self::VALUE_FORMAT);
        StoreDeclaration { name, kind: Self::KIND, key_format, value_format }
    }
}

/// A store that a plugin opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreDeclaration {
    /// Its name.
    pub name: &'static str,
    /// Its kind: key-value, window, session.
    pub kind: &'static str,
    /// The format of its keys.
    pub key_format: &'static str,
    /// The format of its values.
    pub value_format: &'static str,
}

/// All that a plugin keeps; the macro writes it from the arguments.
pub trait State: Sized + 'static {
    /// Whether it sets timers.
    const TIMERS: bool;

    /// The stores, for the manifest.
    fn stores() -> Vec<StoreDeclaration>;

    /// Opens all of it, when an instance is made.
    fn open() -> Self;

    /// Shows each part.
    fn each(&mut self, visit: &mut dyn FnMut(&mut dyn Pending));

    /// Reads ahead what the rows of a call will ask for.
    fn prefetch(&mut self, keys: Option<&Column>) {
        let _ = keys;
    }
}

impl State for () {
    const TIMERS: bool = false;

    fn stores() -> Vec<StoreDeclaration> {
        Vec::new()
    }

    fn open() {}

    fn each(&mut self, _: &mut dyn FnMut(&mut dyn Pending)) {}
}

/// The bytes of `given`.
fn written<T: Stored>(given: &T::Given) -> Result<Vec<u8>, Reject> {
    let mut bytes = Vec::new();
    T::write(given, &mut bytes)?;
    Ok(bytes)
}

/// The first key after `key`.
fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn times(times: impl Iterator<Item = i64>) -> Vec<u8> {
    times.flat_map(i64::to_le_bytes).collect()
}
