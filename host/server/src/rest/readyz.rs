use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::host::{Host, status};

/// Whether partitions are assigned and rows go through. 503: not yet, and why.
pub async fn readyz(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    match status::not_ready(&host) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
