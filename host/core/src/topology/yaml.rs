//! YAML as a tree that knows where in the text each part stands.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as YamlSpan, Tag};
use serde_json::{Number, Value};

use super::{Diagnostics, Span};

/// The deepest nesting of lists and maps.
const NESTING_MAX: usize = 64;

/// The longest text, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// A part of the text.
#[derive(Debug)]
pub(super) struct Yaml {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Scalar {
        text: String,
        /// Neither quoted nor a block: `5` may be a number.
        plain: bool,
    },
    List(Vec<Yaml>),
    Map(Vec<(Name, Yaml)>),
    /// Reported already: no more is said about it.
    Bad,
}

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub text: String,
    pub span: Span,
}

impl Yaml {
    /// What it is, for "here is …".
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null | Kind::Bad => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// As JSON; what JSON cannot say is an error.
    pub fn to_json(&self, diagnostics: &mut Diagnostics) -> Value {
        match &self.kind {
            Kind::Null | Kind::Bad => Value::Null,
            Kind::Scalar { text, plain: false } => Value::String(text.clone()),
            Kind::Scalar { text, plain: true } => scalar_to_json(text).unwrap_or_else(|| {
                let message = format!("`{text}` is a number that JSON cannot carry");
                diagnostics.error(self.span, message, "put it in quotes to pass it as text");
                Value::Null
            }),
            Kind::List(items) => items.iter().map(|item| item.to_json(diagnostics)).collect(),
            Kind::Map(fields) => {
                let mut object = serde_json::Map::new();
                for (name, value) in fields {
                    if object.insert(name.text.clone(), value.to_json(diagnostics)).is_some() {
                        diagnostics.error(name.span, format!("`{}` is given twice", name.text), "remove one");
                    }
                }
                Value::Object(object)
            }
        }
    }
}

/// YAML's core schema; `None`: a number beyond JSON.
fn scalar_to_json(text: &str) -> Option<Value> {
    match text {
        "true" | "True" | "TRUE" => return Some(true.into()),
        "false" | "False" | "FALSE" => return Some(false.into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) =
            text.strip_prefix(prefix).filter(|digits| digits.chars().all(|c| c.is_digit(radix)) && !digits.is_empty())
        {
            return u64::from_str_radix(digits, radix).ok().map(Value::from);
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Some(Value::String(text.to_owned()));
    }
    let positive = text.strip_prefix('+').unwrap_or(text);
    if digits == unsigned.len() {
        return positive.parse::<i64>().map(Value::from).or_else(|_| positive.parse::<u64>().map(Value::from)).ok();
    }
    match positive.parse::<f64>() {
        Ok(number) => Number::from_f64(number).map(Value::Number),
        Err(_) => Some(Value::String(text.to_owned())), // such as 10.0.0.1
    }
}

/// The tree of `text`, which holds one document; `None` after a mistake in the YAML itself.
pub(super) fn parse(text: &str, diagnostics: &mut Diagnostics) -> Option<Yaml> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("this file has {} bytes; {TEXT_BYTES_MAX} are the most", text.len());
        diagnostics.error(Span::default(), message, "");
        return None;
    }
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    Builder { text, offsets, diagnostics, open: Vec::new(), root: None }.run()
}

/// A list or map that is not at its end.
struct Open {
    span: Span,
    map: bool,
    /// Of a map: the name whose value comes next.
    name: Option<Name>,
    items: Vec<Yaml>,
    fields: Vec<(Name, Yaml)>,
}

struct Builder<'a> {
    text: &'a str,
    /// The byte of each character: the parser counts characters.
    offsets: Vec<usize>,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
    root: Option<Yaml>,
}

impl<'a> Builder<'a> {
    fn run(mut self) -> Option<Yaml> {
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, span) = match event {
                Ok((event, span)) => (event, self.span(span)),
                Err(error) => {
                    self.syntax_error(&error);
                    return None;
                }
            };
            documents += usize::from(matches!(event, Event::DocumentStart(_)));
            if documents > 1 {
                self.diagnostics.error(span, "a second document begins here", "one file holds one topology");
                return None;
            }
            self.event(event, span)?;
        }
        self.root.or(Some(Yaml { kind: Kind::Null, span: Span::default() }))
    }

    /// `None`: there is no going on.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let kind = if null { Kind::Null } else { Kind::Scalar { text: text.into_owned(), plain } };
                let kind = if self.refuse_tag(tag.as_deref(), span) { Kind::Bad } else { kind };
                self.add(Yaml { kind, span });
            }
            Event::Alias(_) => {
                self.diagnostics.error(
                    span,
                    "aliases (`*…`) are not supported",
                    "write it out, or put it in quotes if it is text",
                );
                self.add(Yaml { kind: Kind::Bad, span });
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= NESTING_MAX => {
                self.diagnostics.error(span, format!("this is nested more than {NESTING_MAX} deep"), "");
                return None;
            }
            Event::SequenceStart(_, tag) => self.begin(false, tag.as_deref(), span),
            Event::MappingStart(_, tag) => self.begin(true, tag.as_deref(), span),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let kind = if open.map { Kind::Map(open.fields) } else { Kind::List(open.items) };
                self.add(Yaml { kind, span: Span { start: open.span.start, end: span.end } });
            }
            _ => {}
        }
        Some(())
    }

    fn begin(&mut self, map: bool, tag: Option<&Tag>, span: Span) {
        self.refuse_tag(tag, span);
        self.open.push(Open { span, map, name: None, items: Vec::new(), fields: Vec::new() });
    }

    fn add(&mut self, yaml: Yaml) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(yaml);
            return;
        };
        if !open.map {
            open.items.push(yaml);
        } else if let Some(name) = open.name.take() {
            open.fields.push((name, yaml));
        } else {
            // A name is text even if it reads `null` or is not said.
            let text = match &yaml.kind {
                Kind::Scalar { text, .. } => text.clone(),
                Kind::Null => self.text[yaml.span.start..yaml.span.end].trim().to_owned(),
                Kind::Bad => String::new(),
                Kind::List(_) | Kind::Map(_) => {
                    self.diagnostics.error(yaml.span, format!("a name is expected here, not {}", yaml.what()), "");
                    String::new()
                }
            };
            open.name = Some(Name { text, span: yaml.span });
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        if tag.is_some() {
            let message = "YAML takes a word that begins with `!` for a tag, and tags are not supported";
            self.diagnostics.error(span, message, "put an expression that begins with `!` in single quotes");
        }
        tag.is_some()
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let start = self.offset(error.marker().index());
        let line = &self.text[self.text[..start].rfind('\n').map_or(0, |newline| newline + 1)..];
        let line = line.lines().next().unwrap_or_default();
        let help = if error.info().contains("tab") {
            "indent with spaces"
        } else if line.contains("filter:") || line.contains("branch:") {
            "put an expression with any of `[ ] { } , # & * ! | > % @` or `: ` in single quotes"
        } else {
            ""
        };
        self.diagnostics.error(Span { start, end: start }, format!("this is not YAML: {}", error.info()), help);
    }

    fn span(&self, span: YamlSpan) -> Span {
        Span { start: self.offset(span.start.index()), end: self.offset(span.end.index()) }
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).copied().unwrap_or(self.text.len())
    }
}
