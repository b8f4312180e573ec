//! `weir:plugin/config`: the node's configuration by JSON pointer, for languages without a JSON parser. In wit/config.wit.

use serde_json::Value;

use crate::bindings::weir::plugin::config;
use crate::guest::Guest;

impl config::Host for Guest {
    fn get(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        let found = match self.place.config.pointer(&pointer) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        self.meter.charge(pointer.len() + found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }
}
