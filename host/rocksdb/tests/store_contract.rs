//! The store on disk keeps the contract, with buffers so small that much of it happens on files.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests are named as sentences, and fail by panicking")]

mod kept;

use std::sync::Arc;

use kept::{Folder, SMALL};
use weir_core::ports::{StateStore, StateSupplier};
use weir_rocksdb::RocksOptions;
use weir_testing::store_contract::{StoreFixture, TASK};

struct OnDisk(RocksOptions);

impl StoreFixture for OnDisk {
    fn open(&self) -> Arc<dyn StateStore> {
        let folder = Folder::new(self.0.clone());
        folder.stores().open(TASK).map(|stores| Arc::new(kept::Owned(stores, folder)) as Arc<dyn StateStore>).unwrap()
    }
}

mod with_small_buffers {
    use super::*;
    weir_testing::store_contract_tests!(OnDisk(SMALL));
}

mod with_usual_buffers {
    use super::*;
    weir_testing::store_contract_tests!(OnDisk(RocksOptions::default()));
}
