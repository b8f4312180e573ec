//! The shell's side of a host's REST API.

use std::io::Read;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::problem::{Kind, Problem};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that is read as a whole.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which host to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// The host's REST address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8480", env = "WEIR_HOST")]
    pub host: String,
}

/// A host.
pub struct Client {
    agent: Agent,
    base: String,
}

/// A request that is about to be sent.
pub struct Request<'a> {
    /// Below `/api/v1`.
    pub path: &'a str,
    /// Headers beside the usual ones.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: &'a [u8],
}

impl Client {
    /// The host of `args`.
    #[must_use]
    pub fn new(args: &HostArgs) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_connect(Some(CONNECT_TIMEOUT)).build();
        let host = args.host.trim_start_matches("http://").trim_end_matches('/');
        Self { agent: config.into(), base: format!("http://{host}") }
    }

    /// The answer to a GET of `path`.
    ///
    /// # Errors
    /// The host's problem, or that there is none.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let url = format!("{}/api/v1/{path}", self.base);
        self.json(self.agent.get(&url).call())
    }

    /// The answer to a GET of `path`, as it comes.
    ///
    /// # Errors
    /// The host's problem, or that there is none.
    pub fn stream(&self, path: &str) -> Result<impl Read + use<>, Problem> {
        let url = format!("{}/api/v1/{path}", self.base);
        Ok(self.answer(self.agent.get(&url).call())?.into_body().into_reader())
    }

    /// The answer to a PUT.
    ///
    /// # Errors
    /// The host's problem, or that there is none.
    pub fn put<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, Problem> {
        let url = format!("{}/api/v1/{}", self.base, request.path);
        let headers = request.headers.iter();
        let builder = headers.fold(self.agent.put(&url), |builder, (name, value)| builder.header(*name, *value));
        self.json(builder.send(request.body))
    }

    /// The answer to a POST.
    ///
    /// # Errors
    /// The host's problem, or that there is none.
    pub fn post<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, Problem> {
        let url = format!("{}/api/v1/{}", self.base, request.path);
        let headers = request.headers.iter();
        let builder = headers.fold(self.agent.post(&url), |builder, (name, value)| builder.header(*name, *value));
        self.json(builder.send(request.body))
    }

    fn json<T: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<T, Problem> {
        let text = self.text(self.answer(answer)?)?;
        serde_json::from_str(&text).map_err(|error| {
            Problem::failed(format!("{} answers what this shell does not understand: {error}", self.base))
        })
    }

    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Problem> {
        let answer = answer.map_err(|error| {
            Problem::unreachable(format!(
                "no host answers at {}: {error}; start one with `weir run`, or name another with --host",
                self.base
            ))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = self.text(answer)?;
        Err(serde_json::from_str(&text).unwrap_or_else(|_| {
            let kind = if status.as_u16() == 404 { Kind::NotFound } else { Kind::Failed };
            Problem::new(kind, format!("{} answers {status}: {text}", self.base))
        }))
    }

    fn text(&self, answer: Response<Body>) -> Result<String, Problem> {
        answer
            .into_body()
            .into_with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| Problem::unreachable(format!("the answer of {} broke off: {error}", self.base)))
    }
}

/// `text` as a part of a path or a query.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
