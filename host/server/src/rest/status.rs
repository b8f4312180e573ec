use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::blocking;
use crate::host::{self, Host};
use crate::problem::Problem;

/// Tasks with state, positions, lag and versions; threads; nodes.
pub async fn status(State(host): State<Arc<Host>>) -> Result<Json<host::status::Status>, Problem> {
    blocking(host, |host| Ok(Json(host::status::status(host)))).await
}
