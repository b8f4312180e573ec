use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::blocking;
use crate::host::Host;
use crate::problem::Problem;
use crate::records::{Begin, Tail, TailArgs};

/// Pieces of an answer that wait for a slow reader.
const PIECES_MAX: usize = 4;

/// How to read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TailQuery {
    from: Option<String>,
    partition: Option<i32>,
    #[serde(default)]
    until_end: bool,
}

impl TailQuery {
    fn args(self) -> Result<TailArgs, Problem> {
        let from = match self.from.as_deref() {
            None => Begin::End,
            // How the shell writes a time that it has parsed already.
            Some(from) => match from.strip_prefix('@').map(str::parse) {
                Some(Ok(time)) => Begin::Time(time),
                _ => from.parse().map_err(|error| Problem::bad_request(format!("from: {error}")))?,
            },
        };
        Ok(TailArgs { from, until_end: self.until_end, partition: self.partition })
    }
}

/// The committed records of a topic, a line each, as they come.
pub async fn records_tail(
    State(host): State<Arc<Host>>,
    Path(topic): Path<String>,
    Query(query): Query<TailQuery>,
) -> Result<Response, Problem> {
    let args = query.args()?;
    let tail = blocking(host.clone(), move |host| Tail::new(host.client()?, &topic, &args)).await?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || pump(&host, tail, &sender));
    let headers = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((headers, Body::new(Pieces(receiver))).into_response())
}

fn pump(host: &Host, mut tail: Tail, to: &mpsc::Sender<Result<Bytes, Problem>>) {
    while !host.stop.is_set() && !to.is_closed() {
        match tail.next() {
            Ok(None) => return,
            Ok(Some(lines)) if lines.is_empty() => {}
            Ok(Some(lines)) => {
                if to.blocking_send(Ok(lines.into())).is_err() {
                    return;
                }
            }
            Err(problem) => {
                // The status line is long gone: the reader sees an answer that breaks off.
                tracing::warn!(cause = problem.detail, "a tail broke off");
                let _ = to.blocking_send(Err(problem));
                return;
            }
        }
    }
}

/// The pieces of an answer.
struct Pieces(mpsc::Receiver<Result<Bytes, Problem>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| Some(piece?.map(Frame::data).map_err(|problem| std::io::Error::other(problem.detail))))
    }
}
