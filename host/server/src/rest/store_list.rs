use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::host::Host;
use crate::host::query::{self, StoreInfo};

/// The stores of the topology, and which partitions of each this host has.
pub async fn store_list(State(host): State<Arc<Host>>) -> Json<Vec<StoreInfo>> {
    Json(query::stores(&host))
}
