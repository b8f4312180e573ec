use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use weir_core::state::Selection;

use super::blocking;
use super::store_range::{Encoding, bytes};
use crate::host::Host;
use crate::host::query::{ENTRIES_MAX, EntryView, Found, MinPosition, Reader};
use crate::problem::Problem;
use crate::units;

/// How to read a key.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GetQuery {
    /// Windows from this time on.
    from: Option<String>,
    /// Windows up to this time.
    to: Option<String>,
    #[serde(default)]
    encoding: Encoding,
    min_position: Option<String>,
}

/// The committed value of a key, or of a key and its windows. 404: there is none on this host.
pub async fn store_get(
    State(host): State<Arc<Host>>,
    Path((store, key)): Path<(String, String)>,
    Query(query): Query<GetQuery>,
) -> Result<Json<Found>, Problem> {
    let key = bytes(&key, query.encoding)?;
    let time = |text: Option<String>| text.as_deref().map(units::instant_ms).transpose().map_err(Problem::bad_request);
    let selection = Selection { window_from: time(query.from)?, window_to: time(query.to)?, ..Selection::of_key(&key) };
    let at_least: MinPosition =
        query.min_position.as_deref().map_or(Ok(MinPosition::default()), str::parse).map_err(Problem::bad_request)?;
    blocking(host, move |host| {
        let reader = Reader::open(host, &store, &at_least)?;
        let position = reader.position();
        if reader.is_windowed() {
            let (entries, _) = reader.select(&selection, ENTRIES_MAX)?;
            if entries.is_empty() {
                return Err(reader.no_key(&key));
            }
            return Ok(Json(Found::Windows { store, entries, position }));
        }
        if selection.window_from.is_some() || selection.window_to.is_some() {
            let detail = format!("store `{store}` has no windows: `from` and `to` of a key are times of windows");
            return Err(Problem::bad_request(detail));
        }
        let EntryView { key, value, ts, partition, .. } = reader.get(&key)?;
        Ok(Json(Found::Value { store, key, value, ts, partition, position }))
    })
    .await
}
