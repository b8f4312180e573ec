//! Aggregates, and what holds their results back.

use super::super::model::NodeKind;
use super::super::read::{RawAggregate, RawBuiltin, RawFunction, RawSuppress};
use super::super::{Aggregate, Builtin, Format, Function, StoreIndex, Suppress, SuppressUntil, Window, WindowKind};
use super::{Flow, Resolver, stateless};
use crate::expression::compile_reduction;

/// How long after its end a window takes rows.
fn closes_ms(window: Window) -> i64 {
    match window.kind {
        WindowKind::Hopping { .. } | WindowKind::Sliding { .. } => window.grace_ms,
        // A row may come a gap after the last and still belong to it.
        WindowKind::Session { gap_ms } => window.grace_ms + gap_ms,
    }
}

impl Resolver<'_> {
    pub(super) fn aggregate(
        &mut self,
        aggregate: &RawAggregate,
        input: Flow,
        store: Option<StoreIndex>,
    ) -> (Option<NodeKind>, Flow) {
        let (function, value) = self.function(&aggregate.function, input);
        let window = aggregate.window;
        let output = Flow { key: input.key, value, closes_ms: window.map(closes_ms) };
        let kind = || {
            let value_format = value.unwrap_or(Format::Bytes);
            let (function, store, emit) = (function?, store?, aggregate.emit);
            Some(NodeKind::Aggregate(Box::new(Aggregate { store, function, window, emit, value_format })))
        };
        (kind(), output)
    }

    /// The function, and what its results are.
    fn function(&mut self, function: &RawFunction, input: Flow) -> (Option<Function>, Option<Format>) {
        match function {
            RawFunction::Bad => (None, None),
            RawFunction::One(builtin) => {
                let value = if builtin.function == "reduce" { input.value } else { Some(Format::Json) };
                (self.builtin(builtin, input).map(Function::One), value)
            }
            RawFunction::Object(fields) => {
                let mut functions = Vec::new();
                for (name, builtin) in fields {
                    if builtin.function == "reduce" && input.value.is_some_and(|value| value != Format::Json) {
                        let message =
                            format!("field `{}` of an object must be JSON, and these values are not", name.text);
                        let help =
                            "write `value: json` where the topic is declared, or reduce in an aggregate of its own";
                        self.diagnostics.error(name.span, message, help);
                    }
                    functions.extend(self.builtin(builtin, input).map(|builtin| (name.text.clone(), builtin)));
                }
                (Some(Function::Object(functions)), Some(Format::Json))
            }
            RawFunction::Plugin { plugin, config, value } => {
                (Some(Function::Plugin(stateless(plugin, config))), Some(value.unwrap_or(Format::Bytes)))
            }
        }
    }

    fn builtin(&mut self, builtin: &RawBuiltin, input: Flow) -> Option<Builtin> {
        let Some(of) = &builtin.of else { return Some(Builtin::Count) };
        if builtin.function == "reduce" {
            let (key, value, windowed) = input.formats();
            let compiled = compile_reduction(&of.text, key, value, value, windowed);
            return self.compiled(of, compiled).map(Builtin::Reduce);
        }
        let mapping = self.mapping(of, input)?;
        Some(match builtin.function {
            "sum" => Builtin::Sum(mapping),
            "min" => Builtin::Min(mapping),
            "max" => Builtin::Max(mapping),
            "avg" => Builtin::Avg(mapping),
            "first" => Builtin::First(mapping),
            _ => Builtin::Last(mapping),
        })
    }

    pub(super) fn suppress(
        &mut self,
        name: &str,
        suppress: &RawSuppress,
        input: Flow,
        store: Option<StoreIndex>,
    ) -> (Option<NodeKind>, Flow) {
        let until = match (suppress.until, input.closes_ms) {
            (SuppressUntil::WindowCloses { .. }, Some(grace_ms)) => SuppressUntil::WindowCloses { grace_ms },
            (SuppressUntil::WindowCloses { .. }, None) => {
                if input.value.is_some() || input.key.is_some() {
                    let message = format!("node `{name}` waits for windows to close, and what it reads has none");
                    let help = "let it read an aggregate with `window:`, or give a duration: `until: 10s`";
                    self.diagnostics.error(suppress.until_span, message, help);
                }
                return (None, input);
            }
            (limit, _) => limit,
        };
        let kind = store.map(|store| {
            let RawSuppress { rows_max, bytes_max, when_full, .. } = *suppress;
            NodeKind::Suppress(Suppress { store, until, rows_max, bytes_max, when_full })
        });
        (kind, input)
    }
}
