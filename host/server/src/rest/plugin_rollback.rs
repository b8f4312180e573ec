use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::blocking;
use super::plugin_put::{answer, wait_of};
use crate::deploy::{request, view};
use crate::host::Host;
use crate::problem::Problem;

/// How long to wait for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackQuery {
    wait: Option<String>,
}

/// Deploys what ran at the node before. 404: nothing else ever did.
pub async fn plugin_rollback(
    State(host): State<Arc<Host>>,
    Path(node): Path<String>,
    Query(query): Query<RollbackQuery>,
) -> Result<Response, Problem> {
    let wait = wait_of(query.wait.as_deref())?;
    blocking(host, move |host| {
        let deployment = request::rollback(host, &node)?;
        Ok(answer(view::wait(host, &deployment, wait)))
    })
    .await
}
