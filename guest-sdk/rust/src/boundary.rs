//! What the host offers, in one place: imported functions in a component, a stand-in of [`crate::test`] in a native test.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::test::host::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::test::stores::{
    KeyValueStore, SessionStore, WindowStore, cancel, open_key_value, open_session, open_window, schedule,
    schedule_after,
};
#[cfg(target_arch = "wasm32")]
pub(crate) use component::*;

#[cfg(target_arch = "wasm32")]
mod component {
    pub(crate) use crate::abi::weir::plugin::config::get as config_get;
    pub(crate) use crate::abi::weir::plugin::context::{
        application, node, partition, random, row_headers, row_sources, stream_times,
    };
    pub(crate) use crate::abi::weir::plugin::logging::{enabled as log_enabled, log};
    pub(crate) use crate::abi::weir::plugin::metrics::{count, gauge, observe};
    pub(crate) use crate::abi::weir::plugin::state::{
        KeyValueStore, SessionStore, WindowStore, open_key_value, open_session, open_window,
    };
    pub(crate) use crate::abi::weir::plugin::timers::{cancel, schedule, schedule_after};
}
