//! REST: a route per file, named as the command that calls it. A handler parses, calls, answers; problems are made in
//! [`crate::problem`]. What may wait (the log, a compiler, a deployment) runs on a thread of its own.

mod artifact_put;
mod deployment;
mod livez;
mod metrics;
mod node;
mod plugin_history;
mod plugin_put;
mod plugin_rollback;
mod readyz;
mod records_append;
mod records_tail;
mod status;
mod store_get;
mod store_list;
mod store_range;
mod topology;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{get, post, put};
use tokio::net::TcpListener;

use crate::host::Host;
use crate::host::stop::Cause;
use crate::problem::{Kind, Problem};

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, host: Arc<Host>) {
    let stop = host.clone();
    if let Err(error) = axum::serve(listener, router(host)).await {
        stop.stop.set(Cause::Fault(Problem::failed(format!("REST cannot go on: {error}"))));
    }
}

fn router(host: Arc<Host>) -> Router {
    let api = Router::new()
        .route("/topology", get(topology::topology))
        .route("/status", get(status::status))
        .route("/nodes/{node}", get(node::node))
        .route("/nodes/{node}/plugin", put(plugin_put::plugin_put))
        .route("/nodes/{node}/plugin/rollback", post(plugin_rollback::plugin_rollback))
        .route("/nodes/{node}/plugin/history", get(plugin_history::plugin_history))
        .route("/stores", get(store_list::store_list))
        .route("/stores/{store}", get(store_range::store_range))
        .route("/stores/{store}/keys/{key}", get(store_get::store_get))
        .route("/artifacts/{digest}", put(artifact_put::artifact_put))
        .route("/deployments/{id}", get(deployment::deployment))
        .route("/topics/{topic}/records", post(records_append::records_append).get(records_tail::records_tail));
    Router::new()
        .route("/livez", get(livez::livez))
        .route("/readyz", get(readyz::readyz))
        .route("/metrics", get(metrics::metrics))
        .nest("/api/v1", api)
        .fallback(|| async { Problem::not_found("there is no such route; the API is below /api/v1") })
        .with_state(host)
}

/// Does what may wait.
///
/// # Errors
/// Those of `work`.
pub async fn blocking<T: Send + 'static>(
    host: Arc<Host>,
    work: impl FnOnce(&Host) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(move || work(&host)).await;
    done.unwrap_or_else(|_| Err(Problem::failed("the request met a fault of the host; its log says more")))
}

/// The body of an upload, within the host's cap.
///
/// # Errors
/// It is larger, or the sender went away.
pub async fn component_body(host: &Host, body: Body) -> Result<Vec<u8>, Problem> {
    let bytes_max = host.config.artifact_bytes_max;
    to_bytes(body, bytes_max).await.map(Vec::from).map_err(|_| {
        Problem::new(
            Kind::TooLarge,
            format!(
                "more than {bytes_max} bytes (or the sender went away): strip the plugin, or raise --artifact-bytes-max"
            ),
        )
    })
}
