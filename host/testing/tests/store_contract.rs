//! The store in memory keeps the contract.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests are named as sentences, and fail by panicking")]

use std::sync::Arc;

use weir_core::ports::{StateStore, StateSupplier};
use weir_core::state::MemoryStores;
use weir_testing::store_contract::{StoreFixture, TASK};

struct InMemory;

impl StoreFixture for InMemory {
    fn open(&self) -> Arc<dyn StateStore> {
        MemoryStores.open(TASK).unwrap()
    }
}

weir_testing::store_contract_tests!(InMemory);
