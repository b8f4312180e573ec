use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};

use super::blocking;
use crate::host::Host;
use crate::problem::{Kind, Problem};
use crate::records::{Appended, Appender, Lines};
use crate::units::now_ms;

/// Bytes of a request: `weir produce` sends less at a time.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Writes the lines of the body to a topic; answers once they are durable. A bad line: 422 with its number, and nothing is
/// written.
pub async fn records_append(
    State(host): State<Arc<Host>>,
    Path(topic): Path<String>,
    body: Body,
) -> Result<Json<Appended>, Problem> {
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Problem::new(Kind::TooLarge, format!("more than {BODY_BYTES_MAX} bytes; send the lines in several requests"))
    })?;
    blocking(host, move |host| {
        let (mut lines, now) = (Lines::default(), now_ms());
        let mut records = Vec::new();
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            records.extend(lines.record(line, now)?);
        }
        let mut appender = Appender::new(host.client()?, &topic)?;
        appender.append(&records)?;
        Ok(Json(appender.appended))
    })
    .await
}
