//! `headers` of a map.

use super::super::yaml::{Kind, Name, Yaml};
use super::reader::{Reader, unique};

impl Reader<'_> {
    /// The headers that a map writes, and those that it removes.
    pub(super) fn headers(&mut self, value: &Yaml) -> Vec<(Name, Option<Name>)> {
        let wanted = "a map such as `{ source: '\"web\"', secret: null }`";
        let fields = self.map(value, "`headers`", wanted).unwrap_or_default();
        if fields.is_empty() && matches!(value.kind, Kind::Map(_)) {
            self.diagnostics.error(value.span, "no header is written here", format!("write {wanted}"));
        }
        let named: Vec<(&Name, &Yaml)> = unique(fields, "headers", self.diagnostics).collect();
        let mut headers = Vec::with_capacity(named.len());
        for (name, value) in named {
            let removed = matches!(value.kind, Kind::Null);
            if removed && name.text.contains([')', '\'', '"', '=', '<', '>', ']']) {
                let message = "the expression before the comma ends there, as YAML reads it";
                self.diagnostics.error(name.span, message, "put the whole expression in single quotes");
            } else if name.text.is_empty() {
                self.diagnostics.error(name.span, "this header has no name", "write it before the `:`");
            } else if removed {
                headers.push((name.clone(), None));
            } else {
                headers.extend(self.written(fields, &name.text).map(|value| (name.clone(), Some(value))));
            }
        }
        headers
    }
}
