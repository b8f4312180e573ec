//! Words, names, choices, durations and sizes in a file, and what is said where they are not what is wanted.

use std::collections::BTreeSet;

use super::super::yaml::{Kind, Name, Yaml};
use super::super::{Diagnostics, Format, Span, did_you_mean};

/// The longest name of a node, a case or a store: it goes into metrics, paths and internal topics.
const NAME_BYTES_MAX: usize = 100;

/// The longest time that a file can name, 100 years: sums of a few such and any time of day still fit.
pub(super) const DURATION_MS_MAX: i64 = 100 * 365 * 24 * 60 * 60 * 1_000;

/// Units of durations, in milliseconds.
const TIME_UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of sizes, in bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];

/// A duration and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub ms: i64,
    pub span: Span,
}

pub(crate) fn field<'a>(fields: &'a [(Name, Yaml)], name: &str) -> Option<&'a (Name, Yaml)> {
    fields.iter().find(|(key, _)| key.text == name)
}

/// The first field of each name; the others are noted as `noun` of the same name.
pub(crate) fn unique<'a>(
    fields: &'a [(Name, Yaml)],
    noun: &str,
    diagnostics: &mut Diagnostics,
) -> impl Iterator<Item = (&'a Name, &'a Yaml)> + use<'a> {
    let mut kept: Vec<&'a (Name, Yaml)> = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in fields {
        if seen.insert(&entry.0.text) {
            kept.push(entry);
        } else if !entry.0.text.is_empty() {
            diagnostics.error(entry.0.span, format!("two {noun} are named `{}`", entry.0.text), "rename one of them");
        }
    }
    kept.into_iter().map(|(name, value)| (name, value))
}

/// What is common to all parts of a file.
pub(crate) struct Reader<'a> {
    pub diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    /// Notes that `value`, of `what`, is not what is wanted.
    pub fn wrong(&mut self, value: &Yaml, what: &str, wanted: &str) {
        if !matches!(value.kind, Kind::Bad) {
            self.diagnostics.error(value.span, format!("{what} should be {wanted}; here is {}", value.what()), "");
        }
    }

    pub fn map<'y>(&mut self, value: &'y Yaml, what: &str, wanted: &str) -> Option<&'y [(Name, Yaml)]> {
        if let Kind::Map(fields) = &value.kind {
            return Some(fields);
        }
        self.wrong(value, what, wanted);
        None
    }

    pub fn word(&mut self, value: &Yaml, what: &str, wanted: &str) -> Option<Name> {
        if let Kind::Scalar { text, .. } = &value.kind {
            return Some(Name { text: text.clone(), span: value.span });
        }
        self.wrong(value, what, wanted);
        None
    }

    pub fn check_keys<'y>(
        &mut self,
        fields: impl IntoIterator<Item = &'y (Name, Yaml)>,
        what: &str,
        known: &[&str],
        later: &[&str],
    ) {
        let mut seen = BTreeSet::new();
        for (key, value) in fields {
            let text = &key.text;
            if !seen.insert(text) && !text.is_empty() {
                self.diagnostics.error(key.span, format!("`{text}` is given twice"), "remove one");
            } else if text.is_empty() {
                self.diagnostics.error(
                    key.span,
                    "there is no name before the `:`",
                    format!("there are {}", known.join(", ")),
                );
            } else if known.contains(&text.as_str()) {
            } else if later.contains(&text.as_str()) {
                self.diagnostics.error(key.span, format!("`{text}` is not in this version"), "");
            } else if matches!(value.kind, Kind::Null) && text.contains([')', '\'', '"', '=', '<', '>', ']']) {
                let message = "the expression before the comma ends there, as YAML reads it";
                self.diagnostics.error(key.span, message, "put the whole expression in single quotes");
            } else {
                let help = did_you_mean(text, known.iter().copied())
                    .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                self.diagnostics.error(key.span, format!("{what} has no `{text}`"), help);
            }
        }
    }

    pub fn kafka_name(&mut self, value: &Yaml, noun: &str, bytes_max: usize) -> Option<Name> {
        let name = self.word(value, &format!("the name of {noun}"), "text")?;
        self.check_kafka_name(&name, noun, bytes_max).then_some(name)
    }

    pub fn check_kafka_name(&mut self, name: &Name, noun: &str, bytes_max: usize) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let valid = name.text.chars().all(legal) && !matches!(name.text.as_str(), "" | "." | "..");
        if !valid {
            let message = format!("`{}` is no name for {noun}", name.text);
            self.diagnostics.error(name.span, message, "use letters, digits, `.`, `_` and `-`");
        } else if name.text.len() > bytes_max {
            let message = format!("this name has {} characters; {bytes_max} are the most for {noun}", name.text.len());
            self.diagnostics.error(name.span, message, "");
        }
        valid && name.text.len() <= bytes_max
    }

    /// A name that a topic's can be made of.
    pub fn check_part_name(&mut self, name: &Name, noun: &str) {
        self.check_kafka_name(name, noun, NAME_BYTES_MAX);
    }

    /// Names without dots: `node.case` is an output.
    pub fn check_node_name(&mut self, name: &Name, noun: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.text.is_empty() || !name.text.chars().all(legal) {
            let message = format!("`{}` is no name for {noun}", name.text);
            self.diagnostics.error(name.span, message, "use letters, digits, `_` and `-`");
        } else if name.text.len() > NAME_BYTES_MAX {
            let message =
                format!("this name has {} characters; {NAME_BYTES_MAX} are the most for {noun}", name.text.len());
            self.diagnostics.error(name.span, message, "");
        }
    }

    pub fn one_of<T: Copy>(&mut self, value: &Yaml, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let wanted = match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => names.concat(),
        };
        let word = self.word(value, what, &wanted)?;
        let found = choices.iter().find(|(name, _)| *name == word.text).map(|(_, choice)| *choice);
        if found.is_none() {
            let help = did_you_mean(&word.text, names).unwrap_or_default();
            self.diagnostics.error(word.span, format!("{what} should be {wanted}; here is `{}`", word.text), help);
        }
        found
    }

    pub fn format(&mut self, fields: &[(Name, Yaml)], name: &str) -> Option<Format> {
        let (_, value) = field(fields, name)?;
        let formats = [("bytes", Format::Bytes), ("string", Format::String), ("json", Format::Json)];
        self.one_of(value, &format!("`{name}`"), &formats)
    }

    /// `true` or `false`.
    pub fn truth(&mut self, fields: &[(Name, Yaml)], name: &str) -> Option<bool> {
        let (_, value) = field(fields, name)?;
        self.one_of(value, &format!("`{name}`"), &[("true", true), ("false", false)])
    }

    /// A duration of at least `least` milliseconds.
    pub fn duration(&mut self, fields: &[(Name, Yaml)], name: &str, least: i64) -> Option<Time> {
        let (_, value) = field(fields, name)?;
        let word = self.word(value, &format!("`{name}`"), "a duration such as 500ms, 10s, 5m, 1h or 7d")?;
        let (digits, unit) = split_unit(&word.text);
        let unit = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
        let ms = unit.and_then(|unit| digits.parse::<i64>().ok()?.checked_mul(unit));
        let (message, help) = match ms {
            Some(ms) if ms > DURATION_MS_MAX || ms < least.min(-DURATION_MS_MAX) => {
                (format!("`{name}` is longer than 100 years"), String::new())
            }
            Some(ms) if ms >= least => return Some(Time { ms, span: word.span }),
            Some(ms) if ms < 0 => (format!("`{name}` is negative"), "write a duration such as 10s".to_owned()),
            Some(_) => (format!("`{name}` is no time at all"), "write a duration such as 10s".to_owned()),
            None if !digits.is_empty() && digits.len() == word.text.len() => (
                format!("`{name}` has no unit"),
                format!("write `{digits}ms` if milliseconds are meant, or `10s`, `5m`, `1h`, `7d`"),
            ),
            None => (
                format!("`{name}` should be a duration; here is `{}`", word.text),
                "write a whole number and its unit: 500ms, 10s, 5m, 1h or 7d".to_owned(),
            ),
        };
        self.diagnostics.error(word.span, message, help);
        None
    }

    /// A number of bytes, 1 at least.
    pub fn size(&mut self, fields: &[(Name, Yaml)], name: &str) -> Option<u64> {
        let (_, value) = field(fields, name)?;
        let word = self.word(value, &format!("`{name}`"), "a size such as 64MB")?;
        let (digits, unit) = split_unit(&word.text);
        let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
        let bytes = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit)).filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            let message = format!("`{name}` should be a size; here is `{}`", word.text);
            self.diagnostics.error(word.span, message, "write a whole number and its unit: 500KB, 64MB or 1GB");
        }
        bytes
    }

    /// A whole number, 1 at least.
    pub fn count<T: std::str::FromStr + PartialOrd + From<u8>>(
        &mut self,
        fields: &[(Name, Yaml)],
        name: &str,
    ) -> Option<T> {
        let (_, value) = field(fields, name)?;
        let wanted = "a whole number, 1 at least";
        let word = self.word(value, &format!("`{name}`"), wanted)?;
        let number = word.text.parse().ok().filter(|number| *number >= T::from(1));
        if number.is_none() {
            self.diagnostics.error(word.span, format!("`{name}` should be {wanted}; here is `{}`", word.text), "");
        }
        number
    }
}

/// `10s` as `10` and `s`.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+').unwrap_or(text.len());
    (&text[..digits], text[digits..].trim_start())
}
