//! `flat-map`.

use super::super::Format;
use super::super::yaml::{Kind, Name, Yaml};
use super::reader::{Reader, field};

/// `flat-map`.
#[derive(Debug)]
pub(crate) struct RawFlatMap {
    /// What yields the list.
    pub each: Name,
    /// None: the key stays.
    pub key: Option<Name>,
    /// None: the item itself.
    pub value: Option<Name>,
    pub key_format: Option<Format>,
    pub value_format: Option<Format>,
}

impl Reader<'_> {
    /// An expression, or `{ each: …, key: …, value: … }`.
    pub(super) fn flat_map(&mut self, kind: &Name, value: &Yaml) -> Option<RawFlatMap> {
        let fields = match &value.kind {
            Kind::Map(fields) => fields.as_slice(),
            Kind::List(_) => {
                let help = "put a list in quotes: `flat-map: '[value.first, value.second]'`";
                self.diagnostics.error(value.span, "`flat-map` should be an expression; here is a list", help);
                return None;
            }
            _ => {
                let wanted = "an expression such as `value.lines`, or `{ each: value.lines, key: item.sku }`";
                let each = self.word(value, "`flat-map`", wanted)?;
                return Some(RawFlatMap { each, key: None, value: None, key_format: None, value_format: None });
            }
        };
        self.check_keys(fields, "`flat-map`", &["each", "key", "value", "key-format", "value-format"], &[]);
        let (each, key, new) =
            (self.written(fields, "each"), self.written(fields, "key"), self.written(fields, "value"));
        let (key_format, value_format) = (self.format(fields, "key-format"), self.format(fields, "value-format"));
        if field(fields, "each").is_none() {
            let help = "add `each:` with what yields the list; `item` is each of it";
            self.diagnostics.error(kind.span, "this flat-map has no list", help);
        }
        Some(RawFlatMap { each: each?, key, value: new, key_format, value_format })
    }
}
