use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::deploy::view::{View, view};
use crate::host::Host;
use crate::problem::Problem;

/// How far a deployment has come.
pub async fn deployment(State(host): State<Arc<Host>>, Path(id): Path<String>) -> Result<Json<View>, Problem> {
    let found = host.deployments.with(|fold| fold.find(&id).cloned());
    let found = found.ok_or_else(|| Problem::not_found(format!("there is no deployment `{id}`")))?;
    Ok(Json(view(&host, &found, true)))
}
