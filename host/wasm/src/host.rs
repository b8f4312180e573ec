use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use thiserror::Error;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store};
use weir_core::ports::Digest;
use weir_core::topology::NodeName;

use crate::artifact::{Artifact, Compiled, Offers, digest_of};
use crate::binding::Binding;
use crate::bindings::Every;
use crate::check::{self, LoadError};
use crate::config::HostConfig;
use crate::guest::{Guest, Place};
use crate::manifest::Manifest;
use crate::metrics::PluginMetrics;
use crate::plugin::{ConfigError, Plugin};
use crate::pool;
use crate::ticker::Ticker;
use crate::trap;

/// Makes plugins of uploads, and holds what all of them share: the engine, its pool of instances, its clock. Cheap to clone.
#[derive(Clone)]
pub struct PluginHost {
    inner: Arc<Inner>,
}

struct Inner {
    config: HostConfig,
    engine: Engine,
    linker: Linker<Guest>,
    /// What is in use somewhere is not compiled again.
    loaded: Mutex<BTreeMap<Digest, Weak<Compiled>>>,
    metrics: PluginMetrics,
    _ticker: Ticker,
}

/// Why there is no plugin host: the machine, not a plugin.
#[derive(Debug, Error)]
#[error("cannot set up the plugin host ({instances_max} instances of {memory_bytes_max} bytes): {message}")]
pub struct HostError {
    /// Instances asked for.
    pub instances_max: u32,
    /// Memory asked for, of each.
    pub memory_bytes_max: usize,
    /// What the machine said.
    pub message: String,
}

impl PluginHost {
    /// A host with every instance's slot reserved, and its ticking thread.
    ///
    /// # Errors
    /// [`HostError`] where the address space, the cache's directory or a thread is not to be had.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let set_up = || -> wasmtime::Result<_> {
            let engine = pool::engine(&config)?;
            let mut linker = Linker::new(&engine);
            Every::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
            let ticker = Ticker::start(engine.clone())?;
            Ok((engine, linker, ticker))
        };
        let (engine, linker, ticker) = set_up().map_err(|error| HostError {
            instances_max: config.instances_max,
            memory_bytes_max: config.limits.memory_bytes_max,
            message: format!("{error:#}"),
        })?;
        let (loaded, metrics) = (Mutex::default(), PluginMetrics::default());
        Ok(Self { inner: Arc::new(Inner { config, engine, linker, loaded, metrics, _ticker: ticker }) })
    }

    /// An upload, checked, compiled, and asked what it is. The same bytes again cost nothing while they are in use.
    ///
    /// # Errors
    /// [`LoadError`] says what the bytes are and how to mend them.
    pub fn load(&self, bytes: &[u8]) -> Result<Artifact, LoadError> {
        let digest = digest_of(bytes);
        let loaded = || self.inner.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = loaded().get(&digest).and_then(Weak::upgrade) {
            return Ok(Artifact { inner });
        }
        // Compiled without the lock: a large plugin takes seconds, and two uploads of one at a time are rare.
        let inner = Arc::new(self.compile(&digest, bytes)?);
        let mut loaded = loaded();
        loaded.retain(|_, compiled| compiled.strong_count() > 0);
        loaded.insert(digest, Arc::downgrade(&inner));
        Ok(Artifact { inner })
    }

    /// A version of `node`'s plugin: `artifact` with a configuration in JSON (empty: `null`).
    ///
    /// # Errors
    /// [`ConfigError`] where the configuration is not JSON. Whether the plugin takes it, [`Plugin::instantiate`] tells.
    pub fn plugin(
        &self,
        artifact: &Artifact,
        config_json: &str,
        application: &str,
        node: &NodeName,
    ) -> Result<Plugin, ConfigError> {
        self.bound_plugin(artifact, config_json, application, node, Binding::default())
    }

    /// The same of a node that is more than a `process` node without stores: `binding` is what it gives.
    ///
    /// # Errors
    /// As of [`PluginHost::plugin`]. Whether the plugin fits, [`Binding::misfits`] tells.
    pub fn bound_plugin(
        &self,
        artifact: &Artifact,
        config_json: &str,
        application: &str,
        node: &NodeName,
        binding: Binding,
    ) -> Result<Plugin, ConfigError> {
        let place = Place {
            application: application.into(),
            node: node.clone(),
            config: Arc::default(),
            binding: Arc::new(binding),
            task: None,
        };
        Plugin::new(self.clone(), artifact.clone(), config_json, place)
    }

    /// How it was set up.
    #[must_use]
    pub fn config(&self) -> &HostConfig {
        &self.inner.config
    }

    /// What its plugins have counted.
    #[must_use]
    pub fn metrics(&self) -> &PluginMetrics {
        &self.inner.metrics
    }

    fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Compiled, LoadError> {
        let Inner { config, engine, linker, .. } = &*self.inner;
        let invalid = |error: wasmtime::Error| LoadError::Invalid { message: format!("{error:#}") };
        let binary = check::componentize(bytes, config.artifact_bytes_max)?;
        let component = Component::from_binary(engine, &binary).map_err(invalid)?;
        let surface = check::surface(&component.component_type(), engine)?;
        let pre = linker.instantiate_pre(&component).map_err(invalid)?;
        let offers = Offers::of(&pre, &surface.exports).map_err(invalid)?;
        let manifest = self.describe(&pre, &offers)?;
        if manifest.timers && offers.timing.is_none() {
            let message = "it declares timers, but exports no `weir:plugin/timing` to be called when they are due";
            return Err(LoadError::Contradiction { message: message.to_owned() });
        }
        let check::Surface { imports, exports, asks_for_rows } = surface;
        let size = bytes.len();
        Ok(Compiled { digest: digest.clone(), size, manifest, imports, exports, asks_for_rows, pre, offers })
    }

    /// Asks a plugin what it is, on an instance that is thrown away.
    fn describe(&self, pre: &InstancePre<Guest>, offers: &Offers) -> Result<Manifest, LoadError> {
        let limits = self.inner.config.limits;
        let node = NodeName::from("(describe)");
        let (config, binding) = (Arc::default(), Arc::default());
        let place = Place { application: "".into(), node, config, binding, task: None };
        let mut store = self.store(Guest::new(place, limits));
        store.data_mut().manifest = Some(Manifest::default());
        store.set_epoch_deadline(Ticker::epochs(limits.call_deadline));
        let failed = |error| LoadError::Instantiate { message: self.instantiation_error(&error) };
        let instance = pre.instantiate(&mut store).map_err(failed)?;
        let guest = offers.description.load(&mut store, &instance).map_err(failed)?;
        let described = guest.call_describe(&mut store);
        let state = store.data_mut();
        state.log.flush(&state.place, None);
        described.map_err(|error| {
            let last_words = state.last_words.take();
            LoadError::Describe { trap: trap::trap(&error, last_words, &limits, limits.call_deadline) }
        })?;
        Ok(state.manifest.take().unwrap_or_default().completed())
    }

    /// A store for one instance, with its limits in force.
    pub(crate) fn store(&self, guest: Guest) -> Store<Guest> {
        let limits = &self.inner.config.limits;
        let mut store = Store::new(&self.inner.engine, guest);
        store.limiter(|guest| &mut guest.meter);
        store.set_hostcall_fuel(limits.output_bytes_max.max(limits.host_call_bytes_max));
        store
    }

    /// Why an instance could not be made, with the setting that mends it.
    pub(crate) fn instantiation_error(&self, error: &wasmtime::Error) -> String {
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            let instances = self.inner.config.instances_max;
            return format!("all {instances} instances of this host are in use; raise instances_max ({error})");
        }
        let limits = self.inner.config.limits;
        let trap = trap::trap(error, None, &limits, limits.call_deadline);
        format!("{trap}\n{}", trap.backtrace).trim_end().to_owned()
    }
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
