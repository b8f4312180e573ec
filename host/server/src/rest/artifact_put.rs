use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{blocking, component_body};
use crate::deploy::intent::{artifact_digest, is_digest};
use crate::host::Host;
use crate::problem::Problem;

/// Uploads a component without deploying it. 201; 200: it was there; 413; 422: what does not fit.
pub async fn artifact_put(
    State(host): State<Arc<Host>>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !is_digest(&digest) {
        return Err(Problem::invalid(format!("`{digest}` is no digest: write sha256: and 64 hex digits")));
    }
    let bytes = component_body(&host, body).await?;
    blocking(host, move |host| {
        let is = artifact_digest(&bytes);
        if is != digest {
            return Err(Problem::invalid(format!(
                "the body is {is}, not {digest}: it changed on its way, or the name is of another"
            )));
        }
        let artifact = host.plugins.load(&bytes)?;
        let new = host.store_artifact(&digest, &bytes)?;
        let view = json!({ "artifact": digest, "size": artifact.size(), "name": artifact.manifest().name, "new": new });
        Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
    })
    .await
}
