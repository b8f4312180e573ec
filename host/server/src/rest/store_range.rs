use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;
use weir_core::state::Selection;

use super::blocking;
use crate::host::Host;
use crate::host::query::{ENTRIES_MAX, MinPosition, Page, Reader};
use crate::problem::Problem;
use crate::units;

/// Entries of an answer where none are asked for.
const LIMIT: usize = 100;

/// How keys of a request are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As they are: text, or JSON as it was written.
    #[default]
    Text,
    /// Base64, with either alphabet.
    Base64,
}

/// Which entries to read.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RangeQuery {
    from: Option<String>,
    to: Option<String>,
    prefix: Option<String>,
    window_from: Option<String>,
    window_to: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    #[serde(default)]
    encoding: Encoding,
    min_position: Option<String>,
}

impl RangeQuery {
    fn selection(&self) -> Result<Selection, Problem> {
        let key = |text: &Option<String>| text.as_deref().map(|text| bytes(text, self.encoding)).transpose();
        let time = |text: &Option<String>| text.as_deref().map(units::instant_ms).transpose();
        let after = self.after.as_deref().map(|after| {
            URL_SAFE_NO_PAD.decode(after).map_err(|_| Problem::bad_request("`after` is not the `next` of an answer"))
        });
        Ok(Selection {
            from: key(&self.from)?,
            to: key(&self.to)?,
            prefix: key(&self.prefix)?,
            window_from: time(&self.window_from).map_err(Problem::bad_request)?,
            window_to: time(&self.window_to).map_err(Problem::bad_request)?,
            after: after.transpose()?,
        })
    }
}

/// The committed entries of a range of keys, of this host. `to` is the last key, it belongs to the range.
pub async fn store_range(
    State(host): State<Arc<Host>>,
    Path(store): Path<String>,
    Query(query): Query<RangeQuery>,
) -> Result<Json<Page>, Problem> {
    let selection = query.selection()?;
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=ENTRIES_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit={limit}: from 1 to {ENTRIES_MAX} are possible")));
    }
    let at_least: MinPosition =
        query.min_position.as_deref().map_or(Ok(MinPosition::default()), str::parse).map_err(Problem::bad_request)?;
    blocking(host, move |host| {
        let reader = Reader::open(host, &store, &at_least)?;
        let position = reader.position();
        let (entries, next) = reader.select(&selection, limit)?;
        Ok(Json(Page { store, entries, next: next.map(|row| URL_SAFE_NO_PAD.encode(row)), position }))
    })
    .await
}

/// The bytes of a key.
///
/// # Errors
/// It is not base64.
pub fn bytes(text: &str, encoding: Encoding) -> Result<Vec<u8>, Problem> {
    match encoding {
        Encoding::Text => Ok(text.as_bytes().to_vec()),
        Encoding::Base64 => [STANDARD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok())
            .ok_or_else(|| Problem::bad_request(format!("`{text}` is not base64"))),
    }
}
