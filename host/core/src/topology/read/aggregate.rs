//! `aggregate`, `window` and `suppress`.

use super::super::yaml::{Kind, Name, Yaml};
use super::super::{Emit, Format, Span, SuppressUntil, WhenFull, Window, WindowKind};
use super::node::Repartition;
use super::reader::{Reader, field, unique};

/// Rows that a suppress node holds back at most, unless the file says otherwise.
const ROWS_MAX: u64 = 1_000_000;

/// Bytes that it holds back at most, likewise.
const BYTES_MAX: u64 = 64 << 20;

/// The most windows that a row can be in: each is read and written for it.
const WINDOWS_PER_ROW_MAX: i64 = 10_000;

/// Kinds of windows, and the name of their size.
const WINDOWS: [&str; 4] = ["tumbling", "hopping", "sliding", "session"];

/// Built-in functions of an expression; `count` has none.
const FUNCTIONS: [&str; 7] = ["sum", "min", "max", "avg", "first", "last", "reduce"];

/// `aggregate` and what stands beside it.
#[derive(Debug)]
pub(crate) struct RawAggregate {
    /// Where it says `aggregate`.
    pub span: Span,
    pub function: RawFunction,
    pub store: Option<Name>,
    pub window: Option<Window>,
    pub emit: Emit,
    pub repartition: Option<Repartition>,
}

#[derive(Debug)]
pub(crate) enum RawFunction {
    One(RawBuiltin),
    Object(Vec<(Name, RawBuiltin)>),
    Plugin {
        plugin: Name,
        config: String,
        value: Option<Format>,
    },
    /// Reported already.
    Bad,
}

/// A built-in function by name, and the expression that it is of; none for `count`.
#[derive(Debug)]
pub(crate) struct RawBuiltin {
    pub function: &'static str,
    pub of: Option<Name>,
}

/// `suppress`; of `until: close` the grace is not known yet.
#[derive(Debug)]
pub(crate) struct RawSuppress {
    pub until: SuppressUntil,
    pub until_span: Span,
    pub rows_max: u64,
    pub bytes_max: u64,
    pub when_full: WhenFull,
}

impl Reader<'_> {
    pub fn aggregate(&mut self, kind: &Name, value: &Yaml, fields: &[(Name, Yaml)]) -> Option<RawAggregate> {
        let function = self.function(kind, value);
        let window = field(fields, "window").and_then(|(key, value)| self.window(key, value));
        let store = field(fields, "store").and_then(|(_, value)| self.word(value, "`store`", "the name of a store"));
        let repartition = self.repartition_beside(fields);
        let mut emit = Emit::default();
        if let Some((_, value)) = field(fields, "emit") {
            let choices = [("update", Emit::Update), ("commit", Emit::Commit), ("close", Emit::Close)];
            emit = self.one_of(value, "`emit`", &choices).unwrap_or_default();
            if emit == Emit::Close && field(fields, "window").is_none() {
                let help = "add `window: { tumbling: 10s }`, or write `emit: commit`";
                self.diagnostics.error(value.span, "without a window there is nothing that closes", help);
                emit = Emit::default();
            }
        }
        Some(RawAggregate { span: kind.span, function: function?, store, window, emit, repartition })
    }

    fn function(&mut self, kind: &Name, value: &Yaml) -> Option<RawFunction> {
        let wanted = "`count`, a function such as `{ sum: value.price }`, or an object of such";
        let fields = match &value.kind {
            Kind::Scalar { .. } => {
                return Some(self.builtin(value, "`aggregate`").map_or(RawFunction::Bad, RawFunction::One));
            }
            Kind::Map(fields) => fields,
            _ => {
                self.wrong(value, "`aggregate`", wanted);
                return None;
            }
        };
        if field(fields, "plugin").is_some_and(|(_, plugin)| is_text(plugin)) {
            self.check_keys(fields, "`aggregate`", &["plugin", "config", "value"], &[]);
            let (config, value) = (self.config(fields), self.format(fields, "value"));
            return Some(RawFunction::Plugin { plugin: self.plugin(kind, fields)?, config, value });
        }
        if let [(name, of)] = fields.as_slice()
            && (FUNCTIONS.contains(&name.text.as_str()) || (name.text == "count" && !is_count(of)))
            && is_text(of)
        {
            return Some(self.builtin(value, "`aggregate`").map_or(RawFunction::Bad, RawFunction::One));
        }
        if fields.is_empty() {
            self.diagnostics.error(value.span, "this aggregate has no function", format!("write {wanted}"));
        }
        let fields: Vec<_> = unique(fields, "fields", self.diagnostics).collect();
        let mut object = Vec::new();
        for (name, value) in fields {
            if name.text.is_empty() {
                self.diagnostics.error(name.span, "there is no name before the `:`", "");
            } else if FUNCTIONS.contains(&name.text.as_str()) && is_text(value) && !is_count(value) {
                let message = format!("of several functions each needs a name; `{}` is a function", name.text);
                let of = if let Kind::Scalar { text, .. } = &value.kind { text } else { "" };
                let help = format!("write `{}: {{ {}: {of} }}`", name.text, name.text);
                self.diagnostics.error(name.span, message, help);
            } else if let Some(builtin) = self.builtin(value, &format!("field `{}`", name.text)) {
                object.push((name.clone(), builtin));
            }
        }
        Some(RawFunction::Object(object))
    }

    /// `count`, or `{ sum: EXPRESSION }`.
    fn builtin(&mut self, value: &Yaml, what: &str) -> Option<RawBuiltin> {
        let names = || format!("count, {}", FUNCTIONS.join(", "));
        let fields = match &value.kind {
            _ if is_count(value) => return Some(RawBuiltin { function: "count", of: None }),
            Kind::Scalar { text, .. } => {
                let help = match FUNCTIONS.iter().find(|function| *function == text) {
                    Some(function) => format!("say of what: `{{ {function}: value.price }}`"),
                    None => format!("write `count`, or a map of one of {} and an expression", FUNCTIONS.join(", ")),
                };
                self.diagnostics.error(value.span, format!("{what} should be a function; here is `{text}`"), help);
                return None;
            }
            Kind::Map(fields) => fields,
            _ => {
                self.wrong(value, what, "`count`, or a function such as `{ sum: value.price }`");
                return None;
            }
        };
        let [(name, of)] = fields.as_slice() else {
            let message = format!("{what} should be one function; here are {}", fields.len());
            self.diagnostics.error(value.span, message, "give each a field of its own");
            return None;
        };
        if name.text == "count" {
            self.diagnostics.error(name.span, "`count` counts rows and has no expression", "write `count` alone");
            return None;
        }
        let Some(function) = FUNCTIONS.iter().find(|function| **function == name.text) else {
            let help =
                super::super::did_you_mean(&name.text, FUNCTIONS).unwrap_or_else(|| format!("there are {}", names()));
            self.diagnostics.error(name.span, format!("there is no function `{}`", name.text), help);
            return None;
        };
        let of = self.word(of, &format!("`{function}`"), "an expression such as `value.price`")?;
        Some(RawBuiltin { function, of: Some(of) })
    }

    fn window(&mut self, key: &Name, value: &Yaml) -> Option<Window> {
        let fields = self.map(value, "`window`", "a map such as `{ tumbling: 10s, grace: 5s }`")?;
        self.check_keys(fields, "`window`", &["tumbling", "hopping", "sliding", "session", "advance", "grace"], &[]);
        let kinds: Vec<&Name> =
            fields.iter().map(|(key, _)| key).filter(|key| WINDOWS.contains(&key.text.as_str())).collect();
        let Some(kind) = kinds.first() else {
            // A word that is not known was meant to be its kind, and is noted already.
            if fields.iter().any(|(key, _)| !["advance", "grace"].contains(&key.text.as_str())) {
                return None;
            }
            let help = "write one of `tumbling: 10s`, `hopping: 10s`, `sliding: 10s`, `session: 10s`";
            self.diagnostics.error(key.span, "this window has no size", help);
            return None;
        };
        if let Some(second) = kinds.iter().find(|other| other.text != kind.text) {
            let message = format!("a window is {} or {}, not both", kind.text, second.text);
            self.diagnostics.error(second.span, message, "make it two aggregates");
        }
        let least = i64::from(kind.text != "sliding");
        let size = self.duration(fields, &kind.text, least);
        let grace = match field(fields, "grace") {
            Some(_) => self.duration(fields, "grace", 0).map(|grace| grace.ms),
            None => Some(0),
        };
        let advance =
            if kind.text == "hopping" { self.advance(kind, fields, size?.ms) } else { size.map(|size| size.ms) };
        if let (Some((key, _)), true) = (field(fields, "advance"), kind.text != "hopping") {
            let message = format!("a {} window does not advance", kind.text);
            self.diagnostics.error(key.span, message, "write `hopping` for windows that overlap");
        }
        let (size_ms, advance_ms) = (size?.ms, advance?);
        let kind = match kind.text.as_str() {
            "sliding" => WindowKind::Sliding { difference_ms: size_ms },
            "session" => WindowKind::Session { gap_ms: size_ms },
            _ => WindowKind::Hopping { size_ms, advance_ms },
        };
        Some(Window { kind, grace_ms: grace? })
    }

    /// Of a hopping window.
    fn advance(&mut self, kind: &Name, fields: &[(Name, Yaml)], size_ms: i64) -> Option<i64> {
        if field(fields, "advance").is_none() {
            let help = "add `advance: 1s`, or write `tumbling` for windows that do not overlap";
            self.diagnostics.error(kind.span, "this hopping window has no `advance`", help);
            return None;
        }
        let advance = self.duration(fields, "advance", 1)?;
        if advance.ms > size_ms {
            let message = "`advance` is longer than the window: rows between two windows would be in none";
            self.diagnostics.error(advance.span, message, "make it as long as the window at most");
            return None;
        }
        let windows = (size_ms - 1) / advance.ms + 1;
        if windows > WINDOWS_PER_ROW_MAX {
            let message = format!("each row would be in {windows} windows; {WINDOWS_PER_ROW_MAX} are the most");
            self.diagnostics.error(advance.span, message, "advance by more, or make the window shorter");
            return None;
        }
        Some(advance.ms)
    }

    pub fn suppress(&mut self, kind: &Name, value: &Yaml) -> Option<RawSuppress> {
        let fields = self.map(value, "`suppress`", "a map such as `{ until: close }`")?;
        self.check_keys(fields, "`suppress`", &["until", "rows-max", "bytes-max", "when-full"], &[]);
        let rows_max = self.count(fields, "rows-max").unwrap_or(ROWS_MAX);
        let bytes_max = self.size(fields, "bytes-max").unwrap_or(BYTES_MAX);
        let mut when_full = WhenFull::default();
        if let Some((_, value)) = field(fields, "when-full") {
            let choices = [("fail", WhenFull::Fail), ("emit-early", WhenFull::EmitEarly)];
            when_full = self.one_of(value, "`when-full`", &choices).unwrap_or_default();
        }
        let Some((_, until)) = field(fields, "until") else {
            let help = "add `until: close`, or a duration: `until: 10s`";
            self.diagnostics.error(kind.span, "this suppress does not say until when", help);
            return None;
        };
        let closes = matches!(&until.kind, Kind::Scalar { text, .. } if text == "close");
        let until_is = if closes {
            SuppressUntil::WindowCloses { grace_ms: 0 }
        } else {
            SuppressUntil::TimeLimit { limit_ms: self.duration(fields, "until", 0)?.ms }
        };
        if let (true, WhenFull::EmitEarly, Some((_, value))) = (closes, when_full, field(fields, "when-full")) {
            let message =
                "`until: close` promises one final result for each window, and a result that leaves early is none";
            self.diagnostics.error(value.span, message, "write `when-full: fail`, or a duration after `until`");
        }
        Some(RawSuppress { until: until_is, until_span: until.span, rows_max, bytes_max, when_full })
    }
}

fn is_text(value: &Yaml) -> bool {
    matches!(value.kind, Kind::Scalar { .. })
}

fn is_count(value: &Yaml) -> bool {
    matches!(&value.kind, Kind::Scalar { text, .. } if text == "count")
}
