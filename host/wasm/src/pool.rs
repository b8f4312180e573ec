//! The engine: how guests are compiled, and where their memories and tables come from.

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::config::HostConfig;

/// Core modules in a component. A Rust guest has three (itself and two of glue), a Python guest some thirty.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 64;
/// Memories of a component: its own, and an adapter's.
const MEMORIES_PER_COMPONENT_MAX: u32 = 2;
/// Tables of a component: its own, and its glue's.
const TABLES_PER_COMPONENT_MAX: u32 = 8;
/// Tables that a component has as a rule; the pool is sized by it.
const TABLES_PER_COMPONENT: u32 = 4;
/// What the engine itself keeps of a core instance or component: offsets of imports, functions, globals.
const INSTANCE_BYTES_MAX: usize = 8 << 20;
/// What stays resident of a dropped instance's memory for the next one, to spare it page faults.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// An engine with every slot reserved: an instance costs microseconds, and a deployment that would not fit is refused
/// before anything is stopped for it.
pub(crate) fn engine(host: &HostConfig) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .cranelift_opt_level(OptLevel::Speed)
        // The same bytes on every machine, or a re-execution after an abort could differ from what was read.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .epoch_interruption(true)
        .max_wasm_stack(host.limits.stack_bytes_max)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(slots(host)));
    if let Some(directory) = &host.cache_dir {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache)?));
    }
    Engine::new(&config)
}

fn slots(host: &HostConfig) -> PoolingAllocationConfig {
    let (instances, limits) = (host.instances_max, &host.limits);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT_MAX))
        .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .max_tables_per_module(TABLES_PER_COMPONENT_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(limits.memory_bytes_max)
        .table_elements(limits.table_elements_max)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES.min(limits.memory_bytes_max));
    pool
}
