//! Flat maps: the list, and what is made of its items.

use std::sync::Arc;

use super::super::model::NodeKind;
use super::super::read::RawFlatMap;
use super::super::{FlatMap, Format};
use super::{Flow, Resolver};
use crate::expression::Items;

impl Resolver<'_> {
    pub(super) fn flat_map(&mut self, index: usize, raw: &RawFlatMap, input: Flow) -> (Option<NodeKind>, Flow) {
        let (key_of_sinks, value_of_sinks) = self.sinks_take(index).unzip();
        // As for a map: text is a key as it is, and as a value JSON text.
        let new_key = || raw.key_format.or(key_of_sinks).or(Some(Format::String));
        let output = Flow {
            key: if raw.key.is_some() { new_key() } else { input.key },
            value: raw.value_format.or(value_of_sinks).or(Some(Format::Json)),
            closes_ms: input.closes_ms,
        };
        let (key, value, windowed) = input.formats();
        let compiled = Items::compile(&raw.each.text, key, value, windowed);
        let Some(mut items) = self.compiled(&raw.each, compiled) else { return (None, output) };
        if let Some(source) = &raw.key {
            let compiled = items.set_key(&source.text);
            self.compiled(source, compiled);
        }
        if let Some(source) = &raw.value {
            let compiled = items.set_value(&source.text);
            self.compiled(source, compiled);
        }
        let kind = NodeKind::FlatMap(FlatMap {
            items: Arc::new(items),
            key_format: output.key.unwrap_or(Format::Bytes),
            value_format: output.value.unwrap_or(Format::Bytes),
        });
        (Some(kind), output)
    }
}
