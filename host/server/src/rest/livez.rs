use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::host::{Host, status};

/// Whether stream threads step, whatever the log does. 503: restart the process.
pub async fn livez(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    match status::not_alive(&host) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
