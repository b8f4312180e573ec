use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};

use crate::host::{self, Host};
use crate::problem::Problem;

/// A node: what it has done and what it runs; its revision is the ETag.
pub async fn node(State(host): State<Arc<Host>>, Path(node): Path<String>) -> Result<Response, Problem> {
    let view = host::status::node(&host, &node)?;
    let revision = view.revision;
    let mut response = Json(view).into_response();
    if let Some(etag) = revision.and_then(|revision| http::HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}
