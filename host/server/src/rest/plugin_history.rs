use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::deploy::view::{View, view};
use crate::host::{Host, status};
use crate::problem::Problem;

/// The deployments of a node, newest first.
pub async fn plugin_history(
    State(host): State<Arc<Host>>,
    Path(node): Path<String>,
) -> Result<Json<Vec<View>>, Problem> {
    status::node(&host, &node)?;
    let history = host.deployments.with(|fold| fold.history(&node).to_vec());
    Ok(Json(history.iter().rev().map(|deployment| view(&host, deployment, true)).collect()))
}
