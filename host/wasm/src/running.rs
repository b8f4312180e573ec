use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::ResourceAny;
use weir_core::ports::{StateCell, Trap, TrapKind};
use weir_core::record::{Rows, Taken};

use crate::config::Limits;
use crate::coordinates::Coordinates;
use crate::guest::Guest;
use crate::plugin::Plugin;
use crate::ticker::Ticker;
use crate::trap;

/// What instances of every role share: the store with the guest in it, the resource made there, how a call begins and ends.
pub(crate) struct Running {
    pub(crate) plugin: Plugin,
    pub(crate) store: Store<Guest>,
    pub(crate) resource: ResourceAny,
    pub(crate) trapped: bool,
}

/// A call's rows, where they came from, and what state it may reach.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) taken: &'a Taken,
    pub(crate) state: Option<&'a StateCell>,
}

impl Running {
    pub(crate) fn new(plugin: Plugin, store: Store<Guest>, resource: ResourceAny) -> Self {
        Self { plugin, store, resource, trapped: false }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.plugin.limits()
    }

    /// Runs one call: sets its limits, and afterwards gives out what it logged and, if it succeeded, what it counted.
    pub(crate) fn run<T>(
        &mut self,
        scope: Scope<'_>,
        rows: usize,
        call: impl FnOnce(&mut Self, Duration) -> Result<T, Trap>,
    ) -> Result<T, Trap> {
        if self.trapped {
            let message = "this instance has trapped before and must not be called again".to_owned();
            return Err(Trap { kind: TrapKind::Panic, message, backtrace: String::new(), row: None });
        }
        let deadline = self.limits().deadline(rows);
        let asks = self.plugin.artifact().asks_for_rows();
        let coordinates = asks.then(|| Coordinates::of(scope.rows, scope.taken));
        self.store.data_mut().begin(rows, coordinates, scope.state.cloned());
        self.store.set_epoch_deadline(Ticker::epochs(deadline));
        let result = call(self, deadline);
        self.trapped = result.is_err();
        let guest = self.store.data_mut();
        guest.end();
        guest.log.flush(&guest.place, Some((scope.rows, scope.taken)));
        if result.is_ok() {
            self.plugin.metrics().apply(&guest.place.node, &mut guest.metrics);
        }
        result
    }

    /// What a call returned must fit.
    pub(crate) fn check_output(&mut self, bytes: usize, deadline: Duration) -> Result<(), Trap> {
        let checked = self.store.data().meter.check_output(bytes);
        checked.map_err(|exceeded| self.trap(&wasmtime::Error::new(exceeded), deadline))
    }

    pub(crate) fn trap(&mut self, error: &wasmtime::Error, deadline: Duration) -> Trap {
        let last_words = self.store.data_mut().last_words.take();
        trap::trap(error, last_words, &self.limits(), deadline)
    }
}

/// Tells the guest, as a courtesy: it never comes after a trap, and what it does about it reaches nobody.
impl Drop for Running {
    fn drop(&mut self) {
        if self.trapped {
            return;
        }
        self.store.data_mut().begin(0, None, None);
        self.store.set_epoch_deadline(Ticker::epochs(self.plugin.limits().call_deadline));
        if let Err(error) = self.resource.resource_drop(&mut self.store) {
            let node = self.plugin.node().as_str();
            tracing::debug!(node, "the plugin failed when it was told that it is dropped: {error}");
        }
        let guest = self.store.data_mut();
        guest.log.flush(&guest.place, None);
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("plugin", &self.plugin).field("trapped", &self.trapped).finish_non_exhaustive()
    }
}

/// The trap of a result that contradicts itself.
pub(crate) fn malformed(message: String) -> Trap {
    Trap { kind: TrapKind::Malformed, message, backtrace: String::new(), row: None }
}
