use std::error::Error;
use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

/// The most characters of a source line that [`Diagnostics::render`] shows.
const LINE_CHARS_MAX: usize = 100;

/// Characters kept before a span that begins beyond [`LINE_CHARS_MAX`].
const LEAD_CHARS: usize = 40;

/// A piece of a text: bytes `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// Whether a text can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but it hardly says what was meant.
    Warning,
}

/// A mistake in a text: what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The piece of the text that is meant.
    #[serde(skip)]
    pub span: Span,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// All that is wrong with a text, in its order. As JSON: the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    file_name: String,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// None yet, for `text`, which is shown as `file_name`.
    #[must_use]
    pub fn new(file_name: &str, text: &str) -> Self {
        Self { file_name: file_name.to_owned(), text: text.to_owned(), list: Vec::new() }
    }

    /// Adds an error; `help` says what to write instead, empty says nothing.
    pub fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, span, message.into(), help.into());
    }

    /// Adds a warning, likewise.
    pub fn warning(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, span, message.into(), help.into());
    }

    fn push(&mut self, severity: Severity, span: Span, message: String, help: String) {
        let start = floor_char(&self.text, span.start);
        let line_start = line_start(&self.text, start);
        let diagnostic = Diagnostic {
            severity,
            message,
            line: self.text[..line_start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            span: Span { start, end: floor_char(&self.text, span.end).max(start) },
            help: Some(help).filter(|help| !help.is_empty()),
        };
        let at = self.list.partition_point(|other| other.span.start <= start);
        if !self.list.contains(&diagnostic) {
            self.list.insert(at, diagnostic);
        }
    }

    /// In the order of the text.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// For a terminal: each with its line of the text and a pointer to the place.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    fn render_one(&self, diagnostic: &Diagnostic, out: &mut impl Write) -> fmt::Result {
        let Diagnostic { severity, message, line, column, span, help } = diagnostic;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{severity}: {message}\n  --> {}:{line}:{column}", self.file_name)?;
        let (shown, indent, width) = self.excerpt(*span);
        let help_text = help.as_deref().unwrap_or_default();
        if shown.trim().is_empty() {
            // Nothing to point at, such as the end of the text.
            return if help_text.is_empty() { Ok(()) } else { writeln!(out, "   | {help_text}") };
        }
        writeln!(out, "   |{shown}")?;
        let pointer = format!("{}{} {}", " ".repeat(indent), "^".repeat(width), help_text);
        writeln!(out, "   |{}", pointer.trim_end())
    }

    /// The line of `span`, cut where it is long, and where in it the span begins and how far it goes, in characters.
    fn excerpt(&self, span: Span) -> (String, usize, usize) {
        let start = line_start(&self.text, span.start);
        let line = self.text[start..].split(['\n', '\r']).next().unwrap_or_default();
        let column = self.text[start..span.start].chars().count();
        let width = self.text[span.start..span.end.min(start + line.len()).max(span.start)].chars().count().max(1);
        let long = line.chars().count() > LINE_CHARS_MAX && column + LEAD_CHARS > LINE_CHARS_MAX;
        let skipped = if long { column - LEAD_CHARS } else { 0 };
        let kept = line.chars().skip(skipped).map(|c| if c.is_control() { ' ' } else { c });
        let mut shown: String = kept.take(LINE_CHARS_MAX).collect();
        if line.chars().count() > skipped + LINE_CHARS_MAX {
            shown.push('…');
        }
        if skipped > 0 {
            shown.insert(0, '…');
        }
        let indent = column - skipped + usize::from(skipped > 0);
        (shown, indent, width.min((LINE_CHARS_MAX - indent.min(LINE_CHARS_MAX)).max(1)))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|diagnostic| self.render_one(diagnostic, f))
    }
}

impl Error for Diagnostics {}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The nearest boundary of a character at or before `at`: spans are computed, so they are not trusted to hit one.
fn floor_char(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}
