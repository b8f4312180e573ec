use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::ResourceAny;
use weir_core::ports::{Call, Output, Processor, Trap, TrapKind};

use crate::bindings;
use crate::columns::{self, Gathered};
use crate::coordinates::Coordinates;
use crate::guest::Guest;
use crate::plugin::Plugin;
use crate::ticker::Ticker;
use crate::trap;

/// A plugin at work for one task: a component instance with a memory of its own, and the resource made in it.
///
/// After a trap it answers every call with a trap: what its memory holds is anyone's guess.
pub struct Instance {
    plugin: Plugin,
    store: Store<Guest>,
    guest: bindings::Processor,
    processor: ResourceAny,
    trapped: bool,
}

impl Instance {
    pub(crate) fn new(plugin: Plugin, store: Store<Guest>, guest: bindings::Processor, processor: ResourceAny) -> Self {
        Self { plugin, store, guest, processor, trapped: false }
    }

    fn call(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        let limits = self.plugin.limits();
        let deadline = limits.deadline(call.rows.len());
        let coordinates = self.plugin.artifact().asks_for_rows().then(|| Coordinates::of(call));
        self.store.data_mut().begin(call.rows.len(), coordinates);
        self.store.set_epoch_deadline(Ticker::epochs(deadline));
        let gathered = Gathered::new(call, self.plugin.artifact().manifest().reads);
        let processor = self.guest.weir_plugin_processing().processor();
        let output = processor.call_process(&mut self.store, self.processor, gathered.batch());
        let output = output.map_err(|error| self.trap(&error, deadline))?;
        let checked = self.store.data().meter.check_output(columns::bytes(&output));
        checked.map_err(|exceeded| self.trap(&wasmtime::Error::new(exceeded), deadline))?;
        columns::checked(output).map_err(malformed)
    }

    fn trap(&mut self, error: &wasmtime::Error, deadline: Duration) -> Trap {
        let last_words = self.store.data_mut().last_words.take();
        trap::trap(error, last_words, &self.plugin.limits(), deadline)
    }
}

impl Processor for Instance {
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        debug_assert!(!call.rows.is_empty(), "a call has at least one row");
        if self.trapped {
            let message = "this instance has trapped before and must not be called again".to_owned();
            return Err(Trap { kind: TrapKind::Panic, message, backtrace: String::new(), row: None });
        }
        let result = self.call(call);
        self.trapped = result.is_err();
        let guest = self.store.data_mut();
        guest.coordinates = None;
        guest.log.flush(&guest.place, Some(call));
        if result.is_ok() {
            self.plugin.metrics().apply(&guest.place.node, &mut guest.metrics);
        }
        result
    }
}

/// Tells the guest, as a courtesy: it never comes after a trap, and what it does about it reaches nobody.
impl Drop for Instance {
    fn drop(&mut self) {
        if self.trapped {
            return;
        }
        self.store.data_mut().begin(0, None);
        self.store.set_epoch_deadline(Ticker::epochs(self.plugin.limits().call_deadline));
        if let Err(error) = self.processor.resource_drop(&mut self.store) {
            let node = self.plugin.node().as_str();
            tracing::debug!(node, "the plugin failed when it was told that it is dropped: {error}");
        }
        let guest = self.store.data_mut();
        guest.log.flush(&guest.place, None);
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("plugin", &self.plugin).field("trapped", &self.trapped).finish_non_exhaustive()
    }
}

fn malformed(message: String) -> Trap {
    Trap { kind: TrapKind::Malformed, message, backtrace: String::new(), row: None }
}
