use thiserror::Error;
use wasmtime::ResourceLimiter;
use weir_core::ports::TrapKind;

use crate::config::Limits;

/// A limit that a guest has met. The call ends at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{name}: the plugin has {current}, asked for {requested}, and may have {limit}; mend the plugin or raise the limit"
)]
pub struct LimitExceeded {
    /// The limit, by its name in [`Limits`].
    pub name: &'static str,
    /// What it is set to.
    pub limit: u64,
    /// What was taken so far.
    pub current: u64,
    /// What would have been taken in all.
    pub requested: u64,
    /// How a trap over it is told.
    pub kind: TrapKind,
}

/// Counts what an instance takes: memory and tables for its life, import calls by the call.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    memory_bytes: usize,
    host_calls: u64,
    host_calls_max: u64,
    host_call_bytes: usize,
    store_handles: u32,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        let host_calls_max = limits.host_calls(0);
        Self { limits, memory_bytes: 0, host_calls: 0, host_calls_max, host_call_bytes: 0, store_handles: 0 }
    }

    /// A call of `rows` rows begins.
    pub(crate) fn begin(&mut self, rows: usize) {
        self.host_calls = 0;
        self.host_calls_max = self.limits.host_calls(rows);
        self.host_call_bytes = 0;
    }

    /// An import was called that moves `bytes`.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), LimitExceeded> {
        let calls = self.host_calls + 1;
        if calls > self.host_calls_max {
            return Err(refused("host_calls_max", self.host_calls_max, self.host_calls, calls));
        }
        self.charge_bytes(bytes)?;
        self.host_calls = calls;
        Ok(())
    }

    /// The call of an import in progress moves `bytes` more.
    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), LimitExceeded> {
        let bytes = self.host_call_bytes.saturating_add(bytes);
        if bytes > self.limits.host_call_bytes_max {
            let limit = self.limits.host_call_bytes_max as u64;
            return Err(refused("host_call_bytes_max", limit, self.host_call_bytes as u64, bytes as u64));
        }
        self.host_call_bytes = bytes;
        Ok(())
    }

    /// A store is opened: the guest holds one more handle, for as long as it likes.
    pub(crate) fn open_handle(&mut self) -> Result<(), LimitExceeded> {
        let (handles, limit) = (self.store_handles + 1, self.limits.store_handles_max);
        if handles > limit {
            return Err(refused("store_handles_max", limit.into(), self.store_handles.into(), handles.into()));
        }
        self.store_handles = handles;
        Ok(())
    }

    /// The guest has dropped a handle.
    pub(crate) fn close_handle(&mut self) {
        self.store_handles = self.store_handles.saturating_sub(1);
    }

    /// What a call returned must fit.
    pub(crate) fn check_output(&self, bytes: usize) -> Result<(), LimitExceeded> {
        let (limit, requested) = (self.limits.output_bytes_max as u64, bytes as u64);
        if requested <= limit {
            return Ok(());
        }
        Err(LimitExceeded { name: "output_bytes_max", limit, current: 0, requested, kind: TrapKind::OutputSize })
    }
}

fn refused(name: &'static str, limit: u64, current: u64, requested: u64) -> LimitExceeded {
    LimitExceeded { name, limit, current, requested, kind: TrapKind::HostCalls }
}

/// A refusal traps instead of answering -1: no guest's allocator can do better than to abort, and the trap then says why.
impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let requested = self.memory_bytes.saturating_add(desired - current);
        if requested > self.limits.memory_bytes_max {
            return Err(wasmtime::Error::new(LimitExceeded {
                name: "memory_bytes_max",
                limit: self.limits.memory_bytes_max as u64,
                current: self.memory_bytes as u64,
                requested: requested as u64,
                kind: TrapKind::Memory,
            }));
        }
        self.memory_bytes = requested;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limits.table_elements_max {
            return Err(wasmtime::Error::new(LimitExceeded {
                name: "table_elements_max",
                limit: self.limits.table_elements_max as u64,
                current: current as u64,
                requested: desired as u64,
                kind: TrapKind::Memory,
            }));
        }
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }
}
