use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, component_body};
use crate::deploy::request::{Component, Outcome, Request, deploy};
use crate::deploy::view::{self, View};
use crate::host::Host;
use crate::problem::Problem;
use crate::units;

/// The longest that a request may wait for its deployment.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How to deploy.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutQuery {
    #[serde(default)]
    dry_run: bool,
    wait: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    artifact: String,
    #[serde(default)]
    config: Option<Value>,
}

/// Deploys a plugin: the body is a component, or JSON that names one. 202 and where to look; 200 once it is live (`?wait=`)
/// or if it ran already; 412, 413, 422: what is wrong, and the version before goes on.
pub async fn plugin_put(
    State(host): State<Arc<Host>>,
    Path(node): Path<String>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = wait_of(query.wait.as_deref())?;
    let if_match = if_match(&headers)?;
    let (component, config) = component_of(component_body(&host, body).await?)?;
    blocking(host, move |host| {
        let request = Request { node, component, config, if_match, dry_run: query.dry_run };
        Ok(match deploy(host, request)? {
            // Decided before, by whoever; its swaps may still be under way.
            Outcome::Unchanged(live) => answer(View { changed: false, ..view::wait(host, &live, wait) }),
            Outcome::Tried { version, records } => {
                Json(json!({ "dryRun": true, "version": version, "records": records })).into_response()
            }
            Outcome::Deployed(deployment) => answer(view::wait(host, &deployment, wait)),
        })
    })
    .await
}

/// 200 for what is live, 202 and where to look for what is not yet.
pub fn answer(view: View) -> Response {
    let status = if view.phase == "live" { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/api/v1/deployments/{}", view.id);
    (status, [(header::LOCATION, location)], Json(view)).into_response()
}

/// How long to wait, as `30s`.
pub fn wait_of(wait: Option<&str>) -> Result<Duration, Problem> {
    let Some(wait) = wait else { return Ok(Duration::ZERO) };
    units::duration(wait).map(|wait| wait.min(WAIT_MAX)).map_err(|error| Problem::bad_request(format!("wait: {error}")))
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision = text.trim_start_matches("W/").trim_matches('"').parse();
    revision.map(Some).map_err(|_| {
        Problem::bad_request(format!(
            "If-Match `{text}` is no revision: send the ETag of GET /api/v1/nodes/.., such as \"7\""
        ))
    })
}

fn component_of(body: Vec<u8>) -> Result<(Component, Option<Value>), Problem> {
    if body.starts_with(b"\0asm") {
        return Ok((Component::Bytes(body), None));
    }
    if !body.trim_ascii_start().starts_with(b"{") {
        let start: Vec<String> = body.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Err(Problem::invalid(format!(
            "the body begins with `{}`: neither a component (\\0asm) nor JSON such as {{\"artifact\": \"sha256:..\"}}",
            start.join(" ")
        )));
    }
    let named: Named = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not {{\"artifact\": .., \"config\": ..}}: {error}")))?;
    Ok((Component::Digest(named.artifact), named.config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_told_from_json_by_its_first_bytes() {
        assert!(matches!(component_of(b"\0asm1234".to_vec()), Ok((Component::Bytes(_), None))));
        let (named, config) = component_of(br#" {"artifact":"sha256:a","config":{"x":1}}"#.to_vec()).ok().unwrap();
        assert!(matches!(named, Component::Digest(digest) if digest == "sha256:a"));
        assert_eq!(config, Some(json!({"x": 1})));
        assert!(component_of(b"\x7fELF".to_vec()).err().unwrap().detail.contains("7f 45 4c 46"));
        assert!(component_of(br#"{"artefact":"x"}"#.to_vec()).err().unwrap().detail.contains("artefact"));
    }

    #[test]
    fn a_revision_comes_as_an_etag_or_bare() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, text.parse().unwrap());
            if_match(&headers)
        };
        assert_eq!(of("\"7\""), Ok(Some(7)));
        assert_eq!(of("7"), Ok(Some(7)));
        assert_eq!(of("*"), Ok(None));
        assert!(of("\"x\"").is_err());
    }
}
