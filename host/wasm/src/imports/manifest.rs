//! `weir:plugin/manifest`: what a plugin declares of itself, inside `describe` alone. In wit/manifest.wit.

use crate::bindings::weir::plugin::manifest;
use crate::guest::Guest;
use crate::manifest::{Aggregates, Manifest, Port, Reads, StoreNeed};
use crate::trap::Misuse;

impl Guest {
    fn declare(&mut self, function: &str, bytes: usize) -> wasmtime::Result<&mut Manifest> {
        self.meter.charge(bytes)?;
        let outside = || Misuse(format!("manifest.{function} is called outside of `describe`"));
        Ok(self.manifest.as_mut().ok_or_else(outside)?)
    }
}

impl manifest::Host for Guest {
    fn about(&mut self, name: String, version: String, sdk: String) -> wasmtime::Result<()> {
        let manifest = self.declare("about", name.len() + version.len() + sdk.len())?;
        (manifest.name, manifest.version, manifest.sdk) = (name, version, sdk);
        Ok(())
    }

    fn config_schema(&mut self, json_schema: String) -> wasmtime::Result<()> {
        let manifest = self.declare("config-schema", json_schema.len())?;
        manifest.config_schema = Some(json_schema);
        Ok(())
    }

    fn reads(&mut self, keys: bool, values: bool, timestamps: bool) -> wasmtime::Result<()> {
        self.declare("reads", 0)?.reads = Reads { keys, values, timestamps };
        Ok(())
    }

    fn input(&mut self, key_format: String, value_format: String) -> wasmtime::Result<()> {
        let manifest = self.declare("input", key_format.len() + value_format.len())?;
        manifest.input = (key_format, value_format);
        Ok(())
    }

    fn port(&mut self, name: String, key_format: String, value_format: String) -> wasmtime::Result<()> {
        let manifest = self.declare("port", name.len() + key_format.len() + value_format.len())?;
        manifest.ports.push(Port { name, key_format, value_format });
        Ok(())
    }

    fn store(&mut self, name: String, kind: String, key_format: String, value_format: String) -> wasmtime::Result<()> {
        let bytes = name.len() + kind.len() + key_format.len() + value_format.len();
        let manifest = self.declare("store", bytes)?;
        if manifest.stores.iter().any(|store| store.name == name) {
            return Err(Misuse(format!("manifest.store names store `{name}` twice")).into());
        }
        manifest.stores.push(StoreNeed { name, kind, key_format, value_format });
        Ok(())
    }

    fn timers(&mut self) -> wasmtime::Result<()> {
        self.declare("timers", 0)?.timers = true;
        Ok(())
    }

    fn aggregates(&mut self, merges: bool, removes: bool) -> wasmtime::Result<()> {
        self.declare("aggregates", 0)?.aggregates = Aggregates { merges, removes };
        Ok(())
    }
}
