//! Errors as people and programs meet them: RFC 9457 over HTTP, words on stderr, an exit code in the shell.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use weir_core::ports::TransportError;
use weir_core::topology::{Diagnostic, Diagnostics};

use crate::exit::Exit;

/// When to ask again what was not there yet, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What kind of problem it is: its name, its status and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The request itself makes no sense.
    #[serde(rename = "urn:weir:problem:bad-request")]
    BadRequest,
    /// No such node, topic, deployment or file.
    #[serde(rename = "urn:weir:problem:not-found")]
    NotFound,
    /// A deployment of this node is running.
    #[serde(rename = "urn:weir:problem:conflict")]
    Conflict,
    /// A process has it that must end first.
    #[serde(rename = "urn:weir:problem:in-use")]
    InUse,
    /// The revision in `If-Match` is not the current one.
    #[serde(rename = "urn:weir:problem:precondition-failed")]
    PreconditionFailed,
    /// Over a cap that a setting names.
    #[serde(rename = "urn:weir:problem:too-large")]
    TooLarge,
    /// Well-formed but wrong: a topology, a plugin, a configuration.
    #[serde(rename = "urn:weir:problem:invalid")]
    Invalid,
    /// The broker or the host does not answer; it may pass.
    #[serde(rename = "urn:weir:problem:unreachable")]
    Unreachable,
    /// It will be there in a while: state is being restored.
    #[serde(rename = "urn:weir:problem:not-ready")]
    NotReady,
    /// Everything else.
    #[serde(rename = "urn:weir:problem:failed", other)]
    Failed,
}

impl Kind {
    #[rustfmt::skip]
    fn row(self) -> (StatusCode, &'static str, Exit) {
        match self {
            Self::BadRequest         => (StatusCode::BAD_REQUEST,           "The request is not understood",     Exit::Usage),
            Self::NotFound           => (StatusCode::NOT_FOUND,             "Not found",                         Exit::NotFound),
            Self::Conflict           => (StatusCode::CONFLICT,              "A deployment of this node is running", Exit::Conflict),
            Self::InUse              => (StatusCode::LOCKED,                "In use",                            Exit::Conflict),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED,   "Not the current revision",          Exit::Conflict),
            Self::TooLarge           => (StatusCode::PAYLOAD_TOO_LARGE,     "Too large",                         Exit::Invalid),
            Self::Invalid            => (StatusCode::UNPROCESSABLE_ENTITY,  "Invalid",                           Exit::Invalid),
            Self::Unreachable        => (StatusCode::SERVICE_UNAVAILABLE,   "Unreachable",                       Exit::Unreachable),
            Self::NotReady           => (StatusCode::SERVICE_UNAVAILABLE,   "Not ready yet",                     Exit::Unreachable),
            Self::Failed             => (StatusCode::INTERNAL_SERVER_ERROR, "Failed",                            Exit::Failed),
        }
    }
}

/// A problem: what, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The kind in words.
    #[serde(default)]
    title: String,
    /// The HTTP status.
    #[serde(default)]
    status: u16,
    /// What happened here.
    #[serde(default)]
    pub detail: String,
    /// Each mistake, where there are several or they have a place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
    /// For a terminal, where it differs from `detail` and `errors`: a topology's errors with their lines.
    #[serde(skip)]
    rendered: Option<String>,
}

/// One mistake and its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// JSON pointer into what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// A problem of `kind`; `detail` says what, where and how to mend it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, title, _) = kind.row();
        Self {
            kind,
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            rendered: None,
        }
    }

    /// [`Kind::NotFound`].
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// [`Kind::Invalid`].
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// [`Kind::Failed`].
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Failed, detail)
    }

    /// [`Kind::BadRequest`].
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// [`Kind::Unreachable`].
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, detail)
    }

    /// The same with each mistake.
    #[must_use]
    pub fn with(mut self, errors: Vec<Mistake>) -> Self {
        self.errors = errors;
        self
    }

    /// What is wrong with a topology file.
    pub fn topology(diagnostics: &Diagnostics) -> Self {
        let errors = diagnostics.list().iter().map(Mistake::from).collect();
        let mut problem = Self::invalid("the topology file is wrong").with(errors);
        problem.rendered = Some(diagnostics.render());
        problem
    }

    /// How the shell ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.kind.row().2
    }

    /// For a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(rendered) = &self.rendered {
            return rendered.trim_end().to_owned();
        }
        let mut text = format!("error: {}", self.detail);
        for error in &self.errors {
            let place = match (&error.pointer, error.line) {
                (Some(pointer), _) => format!("{pointer}: "),
                (None, Some(line)) => format!("line {line}: "),
                (None, None) => String::new(),
            };
            text.push_str(&format!("\n  {place}{}", error.detail.replace('\n', "\n  ")));
            if let Some(help) = &error.help {
                text.push_str(&format!("\n    help: {help}"));
            }
        }
        text
    }
}

impl From<&Diagnostic> for Mistake {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            pointer: None,
            detail: diagnostic.message.clone(),
            line: Some(diagnostic.line),
            column: Some(diagnostic.column),
            help: diagnostic.help.clone(),
        }
    }
}

impl From<TransportError> for Problem {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Retriable(detail) => Self::unreachable(detail),
            TransportError::Abortable(detail) | TransportError::Fatal(detail) => Self::failed(detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.row().0;
        let mut response = (status, axum::Json(&self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        let media_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_its_way_over_http() {
        let mistake = Mistake { line: Some(3), detail: "no".into(), ..Mistake::default() };
        let problem = Problem::invalid("two mistakes").with(vec![mistake]);
        let text = serde_json::to_string(&problem).unwrap();
        assert!(text.contains(r#""type":"urn:weir:problem:invalid","title":"Invalid","status":422"#), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    }

    #[test]
    fn a_kind_of_a_newer_host_is_a_failure_to_an_older_shell() {
        let problem: Problem = serde_json::from_str(r#"{"type":"urn:weir:problem:teapot","detail":"short"}"#).unwrap();
        assert_eq!((problem.kind, problem.exit()), (Kind::Failed, Exit::Failed));
    }

    #[test]
    fn what_may_pass_says_when_to_ask_again() {
        let header = |kind| Problem::new(kind, "x").into_response().headers().get(header::RETRY_AFTER).cloned();
        assert_eq!(header(Kind::NotReady), Some(HeaderValue::from_static("1")));
        assert_eq!(header(Kind::NotFound), None);
    }

    #[test]
    fn a_transport_that_may_come_back_is_told_from_one_that_does_not() {
        assert_eq!(Problem::from(TransportError::Retriable("x".into())).exit(), Exit::Unreachable);
        assert_eq!(Problem::from(TransportError::Fatal("x".into())).exit(), Exit::Failed);
    }
}
